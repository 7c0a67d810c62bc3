/*
 * Faults on demand: calls that can fail are counted while armed, and the n-th of them fails, alone or with all that come
 * after it. What counts is what the interposed functions ask about: allocations.c has those of memory.
 *
 * In a program that is linked with these files, faults_arm and faults_disarm enclose what is tested. As a preloaded
 * library the same files take their orders from the environment (preload.c).
 */
#ifndef SF_TESTS_FAULTS_H
#define SF_TESTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Other languages find them in the preloaded library. */
#define FAULTS_API __attribute__((visibility("default")))

typedef enum fault_mode { FAULT_ONCE = 0, FAULT_FROM_THERE_ON = 1 } fault_mode;

/* From now on, the calls of all threads are counted. The call numbered `point` (from 1) fails; 0: none does. */
FAULTS_API void faults_arm(uint64_t point, fault_mode mode);
/* Ends the counting; gives how many calls failed. */
FAULTS_API uint64_t faults_disarm(void);
/* The calls counted since faults_arm. */
FAULTS_API uint64_t faults_counted(void);
/* Writes where the first call that failed was made: one address a line, as "program(+0x1234)". */
FAULTS_API void faults_report(int descriptor);

/* For interposed functions: counts a call, and says whether it is to fail. `caller` is where it returns to. */
bool faults_due(const void *caller);

/* Only calls from modules whose path holds one of these words, separated by commas, count from now on; the path of the
 * program itself is "program". `words` must stay valid; NULL: all calls count. */
FAULTS_API void faults_restrict_callers(const char *words);
/* Whether calls that return to this address count. */
bool faults_caller_counts(const void *caller);

#endif
