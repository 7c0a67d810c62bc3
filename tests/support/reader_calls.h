/* Calls of a reader of the fixture whose operations arrive at a queue. */
#ifndef SF_SUPPORT_READER_CALLS_H
#define SF_SUPPORT_READER_CALLS_H

#include "support/reader_fixture.h"

/* A reader whose operations arrive at a queue. */
typedef struct reader_calls {
  reader_fixture *fixture;
  sf_completion_queue *queue;
  sf_reader *reader;
} reader_calls;

reader_calls calls_begin(void **state, const sf_reader_options *options);
void calls_finish(const reader_calls *test);
sf_operation *calls_submit(const reader_calls *test, size_t query);
sf_operation *calls_submit_refresh(const reader_calls *test);
sf_operation *calls_submit_close(const reader_calls *test, int64_t timeout_ms);
/* Waits for the operation, checks its code, and releases it. */
void expect_code(sf_operation *operation, sf_code expected);
void calls_expect_answer(const reader_calls *test, sf_operation *operation, int snapshot, size_t query);

#endif
