/*
 * Scenarios: uses of the library that the sweep runs again and again, each time with another fault. Each is a struct and a
 * line in one of the tables.
 */
#ifndef SF_TESTS_SCENARIOS_H
#define SF_TESTS_SCENARIOS_H

#include "shardyfusion/error.h"

#include <stddef.h>

typedef struct scenario {
  const char *name;
  unsigned short_stride; /* from one point to the next in the short form; 0: it is not in that */
  bool needs_store;      /* $FAULTS_STORE, an s3:// URL to write below; left out where that is not set */
  const void *plan;
  void *(*set_up)(const void *plan);
  /* Before each run with a fault: makes its initial state. */
  void (*prepare)(void *state);
  /* The use itself. Frees everything except the results in `state`. */
  sf_code (*run)(void *state, sf_error *error);
  /* Checks and discards the results of a run: NULL, or a description of the error. A run that failed must leave no files; one
   * that succeeded must have the right results, with a fault or without. */
  const char *(*check)(void *state, sf_code code, bool had_fault);
  void (*tear_down)(void *state);
} scenario;

extern const scenario reading_scenarios[];
extern const size_t num_reading_scenarios;
extern const scenario refreshing_scenarios[];
extern const size_t num_refreshing_scenarios;
extern const scenario writing_scenarios[];
extern const size_t num_writing_scenarios;

#endif
