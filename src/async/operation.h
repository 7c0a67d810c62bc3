/*
 * Operations: asynchronous work as its submitter sees it (wait, cancel, take the result), and jobs, which are operations that
 * block and run on the CONTROL lane.
 *
 * An operation has two references: the submitter's and the runner's. The runner completes it once, with a code, an error and
 * an outcome; the outcome is opaque here, and the room that submits an operation of some kind takes its value out again.
 * All functions may be called from any thread. Locks: an operation's mutex is taken before its queue's. It is held
 * while a cancellation wakes its hooks (base/cancellation.h); the functions of kinds, jobs and on_cancel run without it.
 */
#ifndef SF_ASYNC_OPERATION_H
#define SF_ASYNC_OPERATION_H

#include "async/executor.h"
#include "base/cancellation.h"
#include "shardyfusion/async.h"

/* A kind of result: one constant for each, owned by the room that completes operations with it. Its address tells kinds
 * apart. */
typedef struct sf_outcome_kind {
  const char *name;
  void (*free)(void *value, size_t count); /* for a value that was not taken; NULL where the kind has only a count */
} sf_outcome_kind;

/* What a finished operation holds until it is taken. */
typedef struct sf_outcome {
  const sf_outcome_kind *kind; /* NULL: no result */
  void *value;                 /* owned; NULL where the kind has only a count */
  size_t count;                /* of what `value` is an array of, or a number of the kind's own */
} sf_outcome;

/* The `free` of a kind whose value is one block. */
void sf_outcome_free_block(void *value, size_t count);

/* Takes the value out of a finished operation, once: from now on it is the caller's. `count` may be NULL. NULL, and a count
 * of 0, where the operation has not finished, has a result of another kind (which it keeps) or none, or where the value was
 * taken. */
void *sf_operation_take(sf_operation *operation, const sf_outcome_kind *kind, size_t *count);

/* The count of a finished operation's result, whether or not its value was taken; 0 where it is of another kind. */
size_t sf_operation_count(const sf_operation *operation, const sf_outcome_kind *kind);

/* `queue` may be NULL. */
sf_code sf_operation_create(sf_completion_queue *queue, void *user_data, sf_operation **operation, sf_error *error);

/* Completes the operation: wakes its waiting threads, queues it, and releases the runner's reference. `outcome` is taken
 * over; `error` and `outcome` may be NULL. */
void sf_operation_complete(sf_operation *operation, sf_code code, const sf_error *error, const sf_outcome *outcome);

/* For work that does not poll the cancellation: `cancel` is called once, when the operation is cancelled, by the thread that
 * cancels and with no lock held; not at all if the operation is completed before. The operation holds a reference to the
 * context, which it releases with `release`. To be set before the submitter gets the operation. */
void sf_operation_on_cancel(sf_operation *operation, void (*cancel)(void *context), void (*release)(void *context),
                            void *context);

const sf_cancellation *sf_operation_cancellation(const sf_operation *operation);

/* Frees an operation that its submitter never got and that never ran. */
void sf_operation_discard(sf_operation *operation);

/* A job: `run` returns the code and fills the error or the outcome; `free_context` frees the context afterwards, and also
 * where the job never ran. */
typedef struct sf_job_functions {
  sf_code (*run)(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error);
  void (*free_context)(void *context);
} sf_job_functions;

/* Submits a job. `executor` NULL: one is created for it. The context is taken over, also on failure. */
sf_code sf_job_submit(sf_executor *executor, sf_completion_queue *queue, void *user_data,
                      const sf_job_functions *functions, void *context, sf_operation **operation, sf_error *error);

#endif
