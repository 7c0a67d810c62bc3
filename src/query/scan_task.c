#include "query/scan_task.h"

/*
 * A slice of so many bytes is scanned in well under a millisecond, for a whole company of searches in a few: small enough to
 * share out, and large enough that its own costs don't show. Of vectors with codes a sixteenth is read; there slices may be
 * larger, and become smaller towards the end, where threads wait for the last one (guided self-scheduling: Polychronopoulos
 * and Kuck, IEEE Transactions on Computers, 1987).
 */
#define LEAST_QUANTIZED_TASK_BYTES (2 * SF_LEAST_TASK_BYTES)
#define MOST_QUANTIZED_TASK_BYTES (8 * SF_LEAST_TASK_BYTES)
enum { PARTS_OF_THE_REST = 8 };

static size_t divide_up(size_t dividend, size_t divisor) {
  return dividend / divisor + (dividend % divisor != 0);
}

static size_t wanted_bytes(const sf_vector_segment *segment, size_t bytes_left) {
  bool has_quantized = segment->codes.centre != NULL || segment->lazy_quantized != NULL;
  if (!has_quantized)
    return SF_LEAST_TASK_BYTES;
  size_t wanted = bytes_left / PARTS_OF_THE_REST;
  if (wanted < LEAST_QUANTIZED_TASK_BYTES)
    return LEAST_QUANTIZED_TASK_BYTES;
  return wanted < MOST_QUANTIZED_TASK_BYTES ? wanted : MOST_QUANTIZED_TASK_BYTES;
}

size_t sf_scan_task_rows(const sf_vector_segment *segment, uint32_t dim, size_t row) {
  size_t row_bytes = (size_t)dim * sizeof(float);
  size_t window_rows = sf_rows_per_chunk(dim);
  size_t rows_left = segment->num_rows - row;
  size_t windows_left = sf_num_chunks(rows_left, dim);
  size_t wanted = wanted_bytes(segment, rows_left * row_bytes) / row_bytes / window_rows;
  /* As many as it takes for the rest, if all were as large as one another */
  size_t slices = divide_up(windows_left, wanted > 0 ? wanted : 1);
  size_t rows = divide_up(windows_left, slices) * window_rows;
  return rows < rows_left ? rows : rows_left;
}
