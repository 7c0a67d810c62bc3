#include "query/scan_task.h"

/*
 * A slice of so many bytes is scanned in well under a millisecond, for a whole company of searches in a few: small enough to
 * share out, and large enough that its own costs don't show. Of vectors with codes a sixteenth is read; there slices may be
 * larger, and become smaller towards the end, where threads wait for the last one (guided self-scheduling: Polychronopoulos
 * and Kuck, IEEE Transactions on Computers, 1987).
 */
#define LEAST_CODED_SLICE_BYTES (2 * SF_LEAST_SLICE_BYTES)
#define MOST_CODED_SLICE_BYTES (8 * SF_LEAST_SLICE_BYTES)
enum { PARTS_OF_THE_REST = 8 };

static size_t divide_up(size_t dividend, size_t divisor) {
  return dividend / divisor + (dividend % divisor != 0);
}

static size_t wanted_bytes(const sf_vector_segment *segment, size_t bytes_left) {
  bool has_codes = segment->codes.centre != NULL || segment->lazy_codes != NULL;
  if (!has_codes)
    return SF_LEAST_SLICE_BYTES;
  size_t wanted = bytes_left / PARTS_OF_THE_REST;
  if (wanted < LEAST_CODED_SLICE_BYTES)
    return LEAST_CODED_SLICE_BYTES;
  return wanted < MOST_CODED_SLICE_BYTES ? wanted : MOST_CODED_SLICE_BYTES;
}

size_t sf_slice_rows(const sf_vector_segment *segment, uint32_t dim, size_t row) {
  size_t row_bytes = (size_t)dim * sizeof(float);
  size_t window_rows = sf_rows_per_window(dim);
  size_t rows_left = segment->num_rows - row;
  size_t windows_left = sf_num_windows(rows_left, dim);
  size_t wanted = wanted_bytes(segment, rows_left * row_bytes) / row_bytes / window_rows;
  /* As many as it takes for the rest, if all were as large as one another */
  size_t slices = divide_up(windows_left, wanted > 0 ? wanted : 1);
  size_t rows = divide_up(windows_left, slices) * window_rows;
  return rows < rows_left ? rows : rows_left;
}
