#include "vectors/distance.h"

#include <float.h>
#include <math.h>

/* Wider intermediate results would round differently. */
_Static_assert(FLT_EVAL_METHOD == 0, "float64 must be evaluated as float64");

/* Lanes that a compiler can put into registers of any width without changing an addition's place. */
enum { LANES = 8 };

static double sum_of_lanes(const double lanes[LANES]) {
  double even = (lanes[0] + lanes[4]) + (lanes[2] + lanes[6]);
  double odd = (lanes[1] + lanes[5]) + (lanes[3] + lanes[7]);
  return even + odd;
}

double sf_exact_dot(const float *a, const float *b, size_t dim) {
  double lanes[LANES] = {0};
  size_t whole = dim - dim % LANES;
  for (size_t i = 0; i < whole; i += LANES)
    for (size_t lane = 0; lane < LANES; lane++)
      lanes[lane] += (double)a[i + lane] * (double)b[i + lane];
  for (size_t i = whole; i < dim; i++)
    lanes[i - whole] += (double)a[i] * (double)b[i];
  return sum_of_lanes(lanes);
}

double sf_exact_squared_l2(const float *a, const float *b, size_t dim) {
  double lanes[LANES] = {0};
  size_t whole = dim - dim % LANES;
  for (size_t i = 0; i < whole; i += LANES) {
    for (size_t lane = 0; lane < LANES; lane++) {
      double difference = (double)a[i + lane] - (double)b[i + lane];
      lanes[lane] += difference * difference;
    }
  }
  for (size_t i = whole; i < dim; i++) {
    double difference = (double)a[i] - (double)b[i];
    lanes[i - whole] += difference * difference;
  }
  return sum_of_lanes(lanes);
}

double sf_exact_squared_norm(const float *a, size_t dim) {
  return sf_exact_dot(a, a, dim);
}

/* Without branches, so that compilers take several roots and quotients at a time. */
void sf_inverses_of_squared_norms(const double *squared_norms, size_t count, float *inverse_norms) {
  for (size_t i = 0; i < count; i++) {
    double norm = sqrt(squared_norms[i]);
    double inverse = 1 / norm;
    double untrusted = norm == 0 ? 0 : (double)NAN;
    double trusted = norm >= SF_TRUSTED_NORM_MIN ? inverse : untrusted;
    inverse_norms[i] = (float)(norm <= SF_TRUSTED_NORM_MAX ? trusted : (double)NAN);
  }
}

float sf_inverse_norm(const float *row, size_t dim) {
  double squared_norm = sf_exact_squared_norm(row, dim);
  float inverse;
  sf_inverses_of_squared_norms(&squared_norm, 1, &inverse);
  return inverse;
}
