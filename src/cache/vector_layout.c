#include "cache/vector_layout.h"

#include "vectors/metrics.h"

#define VECTORS_OFFSET 4096
#define SECTION_ALIGNMENT 64

/* Moves `end` past a section that begins at the next multiple of the alignment; false on overflow. */
static bool place(uint64_t *end, uint64_t count, uint64_t item_size, uint64_t *offset) {
  uint64_t bytes;
  if (__builtin_mul_overflow(count, item_size, &bytes) || *end > UINT64_MAX - SECTION_ALIGNMENT)
    return false;
  *offset = (*end + SECTION_ALIGNMENT - 1) / SECTION_ALIGNMENT * SECTION_ALIGNMENT;
  return !__builtin_add_overflow(*offset, bytes, end);
}

static bool place_quantized(uint64_t *end, uint64_t num_rows, uint32_t dim, sf_metric metric,
                            sf_vector_layout *layout) {
  if (!place(end, dim, sizeof(float), &layout->centre))
    return false;
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    if (!place(end, sf_quantized_num_groups(num_rows), sf_quantized_group_size(kind, dim, metric),
               &layout->groups[kind]))
      return false;
  return true;
}

bool sf_vector_layout_compute(uint64_t num_rows, uint32_t dim, sf_metric metric, bool has_excluded,
                              sf_vector_layout *layout) {
  *layout = (sf_vector_layout){.has_norms = sf_scoring_of_metric(metric)->is_normalised, .has_excluded = has_excluded};
  uint64_t end = VECTORS_OFFSET;
  if (!place(&end, num_rows, (uint64_t)dim * sizeof(float), &layout->vectors))
    return false;
  layout->has_quantized = sf_quantized_is_worth_it(num_rows, dim);
  if ((layout->has_norms && !place(&end, num_rows, sizeof(float), &layout->norms)) ||
      !place(&end, num_rows, sizeof(int64_t), &layout->row_ids) ||
      (layout->has_quantized && !place_quantized(&end, num_rows, dim, metric, layout)) ||
      (has_excluded && !place(&end, num_rows / 8 + (num_rows % 8 != 0), 1, &layout->excluded)))
    return false;
  layout->file_size = end;
  return end <= PTRDIFF_MAX;
}
