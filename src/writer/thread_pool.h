/* Threads that run one function together, fork and join: the calling thread is one of them, and waits for the others. */
#ifndef SF_WRITER_THREAD_POOL_H
#define SF_WRITER_THREAD_POOL_H

#include "base/error.h"

typedef struct sf_thread_pool sf_thread_pool;

/* Of `num_threads` (at least 1), the calling thread included. Where fewer can be started, there are fewer. */
sf_code sf_thread_pool_create(uint32_t num_threads, sf_thread_pool **pool, sf_error *error);
void sf_thread_pool_free(sf_thread_pool *pool); /* NULL is allowed */

uint32_t sf_thread_pool_size(const sf_thread_pool *pool);

/* Calls `work` on each thread at once with its number, from 0 (the caller) to sf_thread_pool_size − 1; returns when all have
 * returned. One call at a time. */
typedef void (*sf_thread_function)(void *context, uint32_t thread);
void sf_thread_pool_run(sf_thread_pool *pool, sf_thread_function work, void *context);

#endif
