/* How long small requests took lately, and when one is slow enough for a second try beside it. */
#ifndef SF_STORAGE_S3_LATENCY_H
#define SF_STORAGE_S3_LATENCY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_LATENCY_SAMPLES 256
#define SF_LATENCY_MIN_SAMPLES 20
/* Nothing faster is slow: a second try costs the store a request. */
#define SF_LATENCY_FLOOR_NANOSECONDS ((uint64_t)20 * 1000000)

typedef struct sf_latencies {
  pthread_mutex_t mutex;
  uint64_t samples[SF_LATENCY_SAMPLES]; /* nanoseconds; a ring */
  size_t count;                         /* of all that were ever recorded */
} sf_latencies;

void sf_latencies_init(sf_latencies *latencies);
void sf_latencies_destroy(sf_latencies *latencies);
void sf_latencies_record(sf_latencies *latencies, uint64_t nanoseconds);
/* The 99th percentile of the recent ones, not below the floor; UINT64_MAX while too few are known. See "The Tail at Scale"
 * (Dean and Barroso, 2013), hedged requests. */
uint64_t sf_latencies_hedge_after(sf_latencies *latencies);

#endif
