#include "query/scan_task.h"

/*
 * A task of SF_LEAST_TASK_BYTES is scanned in well under a millisecond, for a shared scan of many searches in a few: small
 * enough to share out, and large enough that its own costs don't show.
 */
#define LEAST_QUANTIZED_TASK_BYTES (2 * SF_LEAST_TASK_BYTES)
#define MOST_QUANTIZED_TASK_BYTES (8 * SF_LEAST_TASK_BYTES)
enum { PARTS_OF_THE_REST = 8 };

static size_t divide_up(size_t dividend, size_t divisor) {
  return dividend / divisor + (dividend % divisor != 0);
}

static size_t wanted_bytes(const sf_vector_segment *segment, size_t bytes_left) {
  bool has_quantized = segment->quantized.centre != NULL || segment->lazy_quantized != NULL;
  if (!has_quantized)
    return SF_LEAST_TASK_BYTES;
  size_t wanted = bytes_left / PARTS_OF_THE_REST;
  if (wanted < LEAST_QUANTIZED_TASK_BYTES)
    return LEAST_QUANTIZED_TASK_BYTES;
  return wanted < MOST_QUANTIZED_TASK_BYTES ? wanted : MOST_QUANTIZED_TASK_BYTES;
}

sf_scan_task sf_scan_task_at(const sf_row_range *range, uint32_t dim, size_t row) {
  size_t row_bytes = (size_t)dim * sizeof(float);
  size_t chunk_rows = sf_rows_per_chunk(dim);
  size_t rows_left = range->end - row;
  size_t chunks_left = sf_num_chunks(rows_left, dim);
  size_t wanted = wanted_bytes(range->segment, rows_left * row_bytes) / row_bytes / chunk_rows;
  /* As many as the rest takes if all of them are equal. */
  size_t num_tasks = divide_up(chunks_left, wanted > 0 ? wanted : 1);
  size_t rows = divide_up(chunks_left, num_tasks) * chunk_rows;
  return (sf_scan_task){.range = *range, .begin = row, .end = row + (rows < rows_left ? rows : rows_left)};
}
