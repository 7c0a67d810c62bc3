/*
 * First thresholds from a sample of the rows. Without a low threshold a quantized pass rules nothing out. Of a sample, the
 * rows that are best by the estimates of quantized vectors are compared in float32: as many results as are wanted score no
 * higher than the worst of so many of them.
 */
#ifndef SF_QUERY_SAMPLE_H
#define SF_QUERY_SAMPLE_H

#include "query/rerank.h"

/* Before the first chunk: from all over the rows that the search scans. Where several threads scan for it, each takes some
 * parts of the sample. */
void sf_sample_first_threshold(sf_request_scan *scan, const sf_scan_task *task);

/* From all groups of the task's rows from `begin` on. */
void sf_sample_rest(sf_request_scan *scan, size_t begin);

#endif
