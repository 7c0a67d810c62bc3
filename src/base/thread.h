/* POSIX threads with the decisions made once. */
#ifndef SF_BASE_THREAD_H
#define SF_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The clock of timed waits. macOS can't give a condition another clock than the real-time one. */
#if defined(__APPLE__)
#define SF_CONDITION_CLOCK CLOCK_REALTIME
#else
#define SF_CONDITION_CLOCK CLOCK_MONOTONIC
#endif

/* A condition whose timed waits run on SF_CONDITION_CLOCK. False when it can't be made. */
bool sf_condition_init(pthread_cond_t *condition);

/* Waits until signalled or `deadline` (NULL: without end) has passed; false when it has. As with pthreads, a wake-up can
 * come for no reason. */
bool sf_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline);

/* Waits awake for another thread, which is about to change `value` from what was seen there: for no longer than going to sleep
 * and waking up would take, and after any thread that could run in the meantime. Whether it changed. */
bool sf_wait_awake(const atomic_uint *value, unsigned seen);

/* Lets another thread that is ready have the calling thread's CPU, if there is one; costs next to nothing if not. For what
 * computes for long: a thread that becomes ready where another runs may have to wait for the kernel's next tick (4 ms, or 1
 * to 10) otherwise. */
void sf_thread_offer_cpu(void);

/* Asks the kernel for fewer and longer turns of the calling thread on its CPU. Its share of the CPU stays the same, but a
 * thread that becomes ready gets the CPU at once, where it would have to wait for the end of a shorter turn. 4 ms: with four
 * searching processes on two CPUs, a timer of 1 ms was late by 1.7 to 2.6 ms (99th percentile) instead of 3.5 to 4.6; 8 ms cost
 * more searches beside programs that keep the CPUs busy. Linux 6.12 and later (EEVDF; sched_setattr(2), sched_runtime);
 * elsewhere nothing changes. */
void sf_thread_prefer_long_turns(void);

/* Starts a thread with all signals blocked, so that a host program's handlers run on its own threads. 0 or an errno:
 * ENOMEM where there was no memory for it, as far as the system tells. */
int sf_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/* For threads that could not be started, with the errno that says why: "can't start a thread <purpose>" as an
 * SF_POOL_EXHAUSTED_ERROR, or SF_OUT_OF_MEMORY_ERROR. */
sf_code sf_fail_thread(sf_error *error, int reason, const char *purpose);

/* Raises the calling thread's nice value, and no other's, to so much above the process's (0: leaves it): threads that are
 * ready to run come before it. Needs no rights, but has no way back; where a system can't, nothing changes. */
void sf_thread_lower_priority(uint32_t nice);

#endif
