#include "storage/s3/latency.h"

#include <stdlib.h>
#include <string.h>

void sf_latencies_init(sf_latencies *latencies) {
  *latencies = (sf_latencies){.count = 0};
  pthread_mutex_init(&latencies->mutex, NULL);
}

void sf_latencies_destroy(sf_latencies *latencies) {
  pthread_mutex_destroy(&latencies->mutex);
}

void sf_latencies_record(sf_latencies *latencies, uint64_t nanoseconds) {
  pthread_mutex_lock(&latencies->mutex);
  latencies->samples[latencies->count++ % SF_LATENCY_SAMPLES] = nanoseconds;
  pthread_mutex_unlock(&latencies->mutex);
}

static int compare_samples(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a;
  uint64_t right = *(const uint64_t *)b;
  return (left > right) - (left < right);
}

uint64_t sf_latencies_hedge_after(sf_latencies *latencies) {
  uint64_t sorted[SF_LATENCY_SAMPLES];
  pthread_mutex_lock(&latencies->mutex);
  size_t count = latencies->count < SF_LATENCY_SAMPLES ? latencies->count : SF_LATENCY_SAMPLES;
  memcpy(sorted, latencies->samples, count * sizeof(sorted[0]));
  pthread_mutex_unlock(&latencies->mutex);
  if (count < SF_LATENCY_MIN_SAMPLES)
    return UINT64_MAX;
  qsort(sorted, count, sizeof(sorted[0]), compare_samples);
  uint64_t percentile = sorted[(count * 99 + 99) / 100 - 1];
  return percentile > SF_LATENCY_FLOOR_NANOSECONDS ? percentile : SF_LATENCY_FLOOR_NANOSECONDS;
}
