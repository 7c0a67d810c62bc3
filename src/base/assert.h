/*
 * Invariants. SF_ASSERT(condition) says what the code around it relies on, and has no part in what the code does: on where
 * SF_ASSERTIONS is defined (the project's own tests) and under the address and thread sanitizers, where a false condition
 * prints its place and its text and aborts. Elsewhere the condition is compiled but never evaluated.
 * It is not for what a caller, a file or a system call can cause: those are errors.
 */
#ifndef SF_BASE_ASSERT_H
#define SF_BASE_ASSERT_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SF_ASSERTS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SF_ASSERTS 1
#endif
#endif
#if defined(SF_ASSERTIONS) && !defined(SF_ASSERTS)
#define SF_ASSERTS 1
#endif

#if defined(SF_ASSERTS)
#define SF_ASSERT(condition)                                                                                           \
  ((condition)                                                                                                         \
       ? (void)0                                                                                                       \
       : ((void)fprintf(stderr, "%s:%d: %s: expected %s\n", __FILE__, __LINE__, __func__, #condition), abort()))
#else
#define SF_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

/* Asserts that a thread holds the mutex: a function named `_locked` begins with it. (POSIX does not tell which thread;
 * the thread sanitizer finds the case where it is another.) */
#define SF_ASSERT_LOCKED(mutex) SF_ASSERT(sf_mutex_is_locked(mutex))

/* Only for SF_ASSERT_LOCKED: takes the mutex where it was free. */
static inline bool sf_mutex_is_locked(const pthread_mutex_t *mutex) {
  return pthread_mutex_trylock((pthread_mutex_t *)(uintptr_t)mutex) == EBUSY;
}

#endif
