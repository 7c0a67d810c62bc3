/*
 * POSIX threads: starting them, timed waits, priorities, and helper threads. Signals are blocked in all threads of the
 * library.
 */
#ifndef SF_BASE_THREAD_H
#define SF_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The clock of timed waits. On macOS a condition has the real-time clock only. */
#if defined(__APPLE__)
#define SF_CONDITION_CLOCK CLOCK_REALTIME
#else
#define SF_CONDITION_CLOCK CLOCK_MONOTONIC
#endif

/* Initialises a condition whose timed waits use SF_CONDITION_CLOCK. False when that fails. */
bool sf_condition_init(pthread_cond_t *condition);

/* Waits for a signal, or until `deadline` (NULL: none); false when it has passed. As with pthreads, a wake-up may be
 * spurious. */
bool sf_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline);

/* Waits without sleeping for another thread to change `value` from `seen`: about as long as sleeping and waking up would take,
 * while other threads that are ready run first. Whether it changed. */
bool sf_wait_awake(const atomic_uint *value, unsigned seen);

/* Yields the CPU to another thread that is ready; costs next to nothing if there is none. For threads that compute for long:
 * one that becomes ready may have to wait for the kernel's next tick (1 to 10 ms) otherwise. */
void sf_thread_offer_cpu(void);

/* Asks the kernel for longer time slices of the calling thread, 4 ms each. Its share of the CPU stays the same, but under
 * EEVDF a thread that becomes ready preempts one with a longer slice. With four searching processes on two CPUs, a timer
 * of 1 ms was late by 1.7 to 2.6 ms (99th percentile) instead of 3.5 to 4.6; 8 ms cost more searches beside programs that
 * keep the CPUs busy. Linux 6.12 and later (sched_setattr(2), sched_runtime); elsewhere nothing changes. */
void sf_thread_prefer_long_turns(void);

/* Starts a thread with all signals blocked, so that a host program's handlers run on its own threads. 0 or an errno; ENOMEM
 * where memory was the reason, as far as the system tells. */
int sf_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/* Reports a thread that could not be started: "can't start a thread <purpose>" as an SF_POOL_EXHAUSTED_ERROR, or
 * SF_OUT_OF_MEMORY_ERROR where `reason`, an errno, is ENOMEM. */
sf_code sf_fail_thread(sf_error *error, int reason, const char *purpose);

/* Raises the calling thread's nice value to `nice` above the process's (0: leaves it), so that other threads are scheduled
 * before it. It needs no privileges and can't be undone. Linux and macOS; elsewhere nothing changes. */
void sf_thread_lower_priority(uint32_t nice);

/* ---- Helper threads, which share one piece of waiting work with the thread that starts them, and end with it. ---- */

/* How many there are at once in a process, over all readers. */
#define SF_MAX_HELPER_THREADS 32

/* False when there are as many as there may be, or none can be started: then the caller does the work itself. */
bool sf_helper_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);
void sf_helper_thread_join(pthread_t thread);

#endif
