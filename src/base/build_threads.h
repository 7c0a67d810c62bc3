/* Threads that run one function together, fork and join: the calling thread is one of them, and waits for the others. */
#ifndef SF_BASE_BUILD_THREADS_H
#define SF_BASE_BUILD_THREADS_H

#include "base/error.h"

typedef struct sf_build_threads sf_build_threads;

/* Of `num_threads` (at least 1), the calling thread included. Where fewer can be started, there are fewer. */
sf_code sf_build_threads_create(uint32_t num_threads, sf_build_threads **threads, sf_error *error);
void sf_build_threads_free(sf_build_threads *threads); /* NULL is allowed */

uint32_t sf_build_threads_size(const sf_build_threads *threads);

/* Calls `work` on each thread at once with its number, from 0 (the caller) to sf_build_threads_size − 1; returns when all have
 * returned. One call at a time. */
typedef void (*sf_thread_function)(void *context, uint32_t thread);
void sf_build_threads_run(sf_build_threads *threads, sf_thread_function work, void *context);

#endif
