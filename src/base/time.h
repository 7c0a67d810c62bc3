/* Clocks, and the timestamps that snapshots carry. */
#ifndef SF_BASE_TIME_H
#define SF_BASE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Nanoseconds of a clock that never jumps; only differences have a meaning. */
uint64_t sf_monotonic_nanoseconds(void);

/* Seconds since 1970-01-01T00:00:00Z. */
double sf_wall_clock_seconds(void);

/* Reads ISO 8601 "YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)" of `length` bytes into seconds since 1970. A space may replace
 * the T; without a zone it is UTC. False for anything else. */
bool sf_parse_timestamp(const char *text, size_t length, double *seconds);

/* Now + timeout_ms, for sf_condition_wait. */
struct timespec sf_deadline_after(int64_t timeout_ms);

#endif
