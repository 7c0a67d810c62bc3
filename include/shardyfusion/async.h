/* Worker threads and asynchronous work: executors, completion queues and operations. */
#ifndef SHARDYFUSION_ASYNC_H
#define SHARDYFUSION_ASYNC_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------------------------------- Worker threads */

/*
 * A share of the process's threads: bounds how many of them scan and load at once for the readers that use it. A reader
 * creates its own executor unless it is given one.
 *
 * All executors of a process share one set of threads: as many for scanning as the largest executor may use (by default
 * one for each CPU), up to 16 more than that for loading, and up to 64 for opening, refreshing and closing. Threads start
 * when there is work and end after 5 seconds without any. Executors that have work take turns. The threads block all
 * signals.
 *
 * Closing a reader releases its executor. Releasing the last executor ends the threads: the releasing thread waits for
 * them, unless it is one of them.
 *
 * The threads run at the priority of the process; `thread_nice` lowers it. A scanning thread yields its CPU to other
 * threads about once a millisecond, so that an event loop still runs while searches use every CPU.
 *
 * Reference counted: readers and operations hold references; sf_executor_release drops the caller's.
 */
typedef struct sf_executor sf_executor;

typedef struct sf_executor_options {
  size_t size;          /* sizeof(sf_executor_options) */
  uint32_t num_workers; /* most threads that scan at once; 0: one for each CPU that the process may use */
  uint32_t num_loaders; /* most threads that load at once; 0: 16 */
  /* Added to the process's nice value for these threads, up to 19 (on macOS, any value above 0 selects the "utility"
   * class). The threads then get little CPU time beside busy processes at the normal priority. 0: the value of the
   * environment variable SHARDYFUSION_THREAD_NICE, or no change. */
  uint32_t thread_nice;
} sf_executor_options;

#define SF_EXECUTOR_OPTIONS_INIT SF_INITIALIZER(sf_executor_options)

/* The same as SF_EXECUTOR_OPTIONS_INIT, for languages without macros. */
SF_API void sf_executor_options_init(sf_executor_options *options);

/* `options` may be NULL. */
SF_API sf_code sf_executor_create_with(const sf_executor_options *options, sf_executor **executor, sf_error *error);
/* As sf_executor_create_with, with these two options and the defaults for the rest. */
SF_API sf_code sf_executor_create(uint32_t num_workers, uint32_t num_loaders, sf_executor **executor, sf_error *error);
SF_API void sf_executor_release(sf_executor *executor);

/*
 * Receives finished operations. Its file descriptor is readable while there are any, for poll, epoll, kqueue, libuv or
 * libevent. One wake-up serves all operations that finished since the queue was last emptied.
 */
typedef struct sf_completion_queue sf_completion_queue;
typedef struct sf_operation sf_operation;

SF_API sf_code sf_completion_queue_create(sf_completion_queue **queue, sf_error *error);
/* Borrowed: don't read from it or close it. */
SF_API int sf_completion_queue_fd(const sf_completion_queue *queue);
/* Returns the next finished operation, in the order in which they finished, or NULL. Never blocks. The caller gets no new
 * reference: this is the operation that submit returned, which the caller still has to release. After it has returned
 * NULL, the descriptor is not readable. */
SF_API sf_operation *sf_completion_queue_pop(sf_completion_queue *queue);
/* As pop, but waits up to timeout_ms (negative: no limit). */
SF_API sf_operation *sf_completion_queue_wait(sf_completion_queue *queue, int64_t timeout_ms);
/* Operations in flight finish without being queued. The caller's references to them stay valid. */
SF_API void sf_completion_queue_free(sf_completion_queue *queue);

/* True once the operation has finished, with any outcome. */
SF_API bool sf_operation_is_done(const sf_operation *operation);
/* Waits up to timeout_ms (negative: no limit); true when finished. */
SF_API bool sf_operation_wait(sf_operation *operation, int64_t timeout_ms);
/* Requests cancellation and returns immediately. The operation finishes with SF_CANCELLED_ERROR at its next checkpoint, or
 * with its normal outcome if it is past the last one. May be called any number of times, also after it has finished. */
SF_API void sf_operation_cancel(sf_operation *operation);
/* The outcome of a finished operation: SF_OK, or the error's code with `error` filled. */
SF_API sf_code sf_operation_result(const sf_operation *operation, sf_error *error);
SF_API void *sf_operation_user_data(const sf_operation *operation);
/* Drops the submitter's reference and frees a result that was not taken. An operation that is still in flight is cancelled
 * and never arrives at its queue. */
SF_API void sf_operation_release(sf_operation *operation);

#ifdef __cplusplus
}
#endif

#endif
