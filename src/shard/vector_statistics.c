#include "shard/vector_statistics.h"

#include "distance/distance.h"

#include <math.h>

/* Between these a float32 dot product with a vector of norm 1 neither overflows nor loses digits to underflow. */
#define SMALLEST_TRUSTED_NORM 1e-15
#define LARGEST_TRUSTED_NORM 1e18

sf_row_statistics sf_row_statistics_of(const float *row, size_t dim) {
  double squared = sf_exact_squared_norm(row, dim);
  /* The squares of finite float32 can't overflow float64, so that only what is not finite shows as such. */
  if (!isfinite(squared))
    return (sf_row_statistics){.is_finite = false, .inverse_norm = NAN};
  double norm = sqrt(squared);
  float inverse = norm == 0 ? 0 : norm < SMALLEST_TRUSTED_NORM || norm > LARGEST_TRUSTED_NORM ? NAN : (float)(1 / norm);
  return (sf_row_statistics){.is_finite = true, .norm = norm, .inverse_norm = inverse};
}
