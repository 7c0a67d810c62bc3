/* A request to stop, passed down to whatever takes long and looked at between its steps. */
#ifndef SF_BASE_CANCELLATION_H
#define SF_BASE_CANCELLATION_H

#include "base/error.h"

#include <stdatomic.h>

typedef struct sf_cancellation {
  atomic_bool requested;
} sf_cancellation;

static inline void sf_cancellation_request(sf_cancellation *cancellation) {
  atomic_store_explicit(&cancellation->requested, true, memory_order_release);
}

/* `cancellation` may be NULL: never cancelled. */
static inline bool sf_cancellation_requested(const sf_cancellation *cancellation) {
  return cancellation != NULL && atomic_load_explicit(&cancellation->requested, memory_order_acquire);
}

static inline sf_code sf_cancellation_check(const sf_cancellation *cancellation, sf_error *error) {
  if (sf_cancellation_requested(cancellation))
    return sf_fail(error, SF_CANCELLED_ERROR, "the operation was cancelled");
  return SF_OK;
}

#endif
