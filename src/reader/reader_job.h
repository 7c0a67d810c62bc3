/* Jobs that use a reader: its refresh and its close, run asynchronously. The reader is not freed before they have ended. */
#ifndef SF_READER_READER_JOB_H
#define SF_READER_READER_JOB_H

#include "reader/reader.h"

/* The context of the job. */
typedef struct sf_reader_job {
  sf_reader *reader;
  int64_t timeout_ms;           /* of a close */
  sf_manifest_source *manifest; /* to refresh to; owned. NULL: what `_CURRENT` points to */
} sf_reader_job;

/* Submits a job with a copy of `job` as its context. Its manifest is taken over, also on failure. */
sf_code sf_reader_job_submit(sf_reader_job job, const sf_job_functions *functions, sf_completion_queue *queue,
                             void *user_data, sf_operation **operation, sf_error *error);

/* The free_context of its functions. */
void sf_reader_job_free(void *context);

#endif
