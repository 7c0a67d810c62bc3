/* Clocks, and the timestamps that snapshots carry. */
#ifndef SF_BASE_TIME_H
#define SF_BASE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Nanoseconds of a clock that never jumps; only differences mean something. */
uint64_t sf_monotonic_nanoseconds(void);

/* Seconds since 1970-01-01T00:00:00Z. */
double sf_wall_clock_seconds(void);

/* Reads ISO 8601 "YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)" of `length` characters into seconds since 1970; a space may
 * stand for the T, and no zone means UTC. False when it is anything else. */
bool sf_parse_timestamp(const char *text, size_t length, double *seconds);

/* Now + timeout_ms for pthread_cond_timedwait on a condition made by sf_condition_init. */
struct timespec sf_deadline_after(int64_t timeout_ms);

#endif
