/* The failures of a shard's rows when it is verified: the first one, and how many there are. */
#ifndef SF_FORMATS_ROW_FAILURES_H
#define SF_FORMATS_ROW_FAILURES_H

#include "base/error.h"

/* Zero-initialise. */
typedef struct sf_row_failures {
  uint64_t count;
  sf_error first;
} sf_row_failures;

/* Notes the outcome of a check: a failure of the row itself (SF_DB_ADAPTER_ERROR) is counted, any other is returned in
 * `error`, because the rows that follow can't be checked either. */
static inline sf_code sf_row_failures_add(sf_row_failures *failures, sf_code outcome, const sf_error *failure,
                                          sf_error *error) {
  if (outcome == SF_DB_ADAPTER_ERROR && failures->count++ == 0)
    failures->first = *failure;
  if (outcome == SF_OK || outcome == SF_DB_ADAPTER_ERROR)
    return SF_OK;
  if (error != NULL)
    *error = *failure;
  return outcome;
}

/* Fails if any was added. */
static inline sf_code sf_row_failures_report(const sf_row_failures *failures, sf_error *error) {
  if (failures->count == 0)
    return SF_OK;
  if (failures->count == 1)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "%s", failures->first.message);
  return sf_fail(error, SF_DB_ADAPTER_ERROR, "%s (and %llu more)", failures->first.message,
                 (unsigned long long)(failures->count - 1));
}

#endif
