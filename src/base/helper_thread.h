/* Threads that share out one piece of waiting work and end with it. */
#ifndef SF_BASE_HELPER_THREAD_H
#define SF_BASE_HELPER_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* How many there are at once in a process, however many readers load. */
#define SF_MAX_HELPER_THREADS 32

/* False when there are as many as there may be, or none can be started: then the caller does the work itself. */
bool sf_helper_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);
void sf_helper_thread_join(pthread_t thread);

#endif
