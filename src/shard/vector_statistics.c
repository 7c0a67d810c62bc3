#include "shard/vector_statistics.h"

#include "distance/distance.h"

#include <math.h>

sf_row_statistics sf_row_statistics_of(const float *row, size_t dim) {
  double squared = sf_exact_squared_norm(row, dim);
  /* The squares of finite float32 can't overflow float64, so that only what is not finite shows as such. */
  if (!isfinite(squared))
    return (sf_row_statistics){.is_finite = false, .inverse_norm = NAN};
  return (sf_row_statistics){
      .is_finite = true, .norm = sqrt(squared), .inverse_norm = sf_inverse_of_squared_norm(squared)};
}
