/* Asynchronous work: what submit returns, what runs it, and what it leaves. */
#ifndef SF_ASYNC_OPERATION_H
#define SF_ASYNC_OPERATION_H

#include "async/executor.h"
#include "base/cancellation.h"
#include "shardyfusion/build.h"
#include "shardyfusion/search.h"

/* What a finished operation holds until it is taken. One of these, by what was submitted. */
typedef struct sf_outcome {
  sf_reader *reader;
  sf_search_response *response;
  sf_search_response **responses; /* num_responses of them; the array is owned too */
  size_t num_responses;
  sf_published_manifest *history;
  size_t history_count;
  bool refresh_changed;
  size_t verify_failed;
  void *object; /* object_length bytes */
  size_t object_length;
  sf_build_result *build_result;
  sf_builder *builder;
  size_t cleanup_runs;
  char *rollback;
} sf_outcome;

/* An operation with two references: the submitter's and the runner's. `queue` may be NULL. */
sf_code sf_operation_create(sf_completion_queue *queue, void *user_data, sf_operation **operation, sf_error *error);

/* The runner's: finishes the operation, wakes who waits for it, queues it, and drops the runner's reference. `outcome`
 * is taken over (zeroed where the code is not SF_OK); either pointer may be NULL. */
void sf_operation_complete(sf_operation *operation, sf_code code, const sf_error *error, const sf_outcome *outcome);

/* For work that waits rather than looks at the cancellation: `cancel` is called once, when the operation is cancelled, by
 * the thread that cancels and with no lock held, unless it finished before. The operation holds a reference to the
 * context, which it gives back with `release`. Set before the operation is handed to its submitter. */
void sf_operation_on_cancel(sf_operation *operation, void (*cancel)(void *context), void (*release)(void *context),
                            void *context);

const sf_cancellation *sf_operation_cancellation(const sf_operation *operation);

/* Drops an operation that was never handed to its submitter nor run. */
void sf_operation_discard(sf_operation *operation);

/* Work that blocks, run on the CONTROL lane. `run` returns the code and fills the error or the outcome; `context` is
 * freed by `free_context` when it is done with, whether it ran or not. */
typedef struct sf_job_functions {
  sf_code (*run)(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error);
  void (*free_context)(void *context);
} sf_job_functions;

/* Queues it. `executor` NULL: one is made for it. On failure the context is freed, too. */
sf_code sf_job_submit(sf_executor *executor, sf_completion_queue *queue, void *user_data,
                      const sf_job_functions *functions, void *context, sf_operation **operation, sf_error *error);

#endif
