#include "vectors/distance.h"

#include <float.h>
#include <math.h>

/*
 * γₙ = nu / (1 − nu), u = 2⁻²⁴: the relative error that n roundings can add up to (Higham, Lemma 3.1). A little more,
 * for what float64 rounds in the exact result, in the norms and here: n·2⁻⁵³ each, which is below 2⁻²⁸ of it.
 */
static double gamma_of(size_t num_roundings) {
  double nu = (double)num_roundings * (FLT_EPSILON / 2);
  return nu < 0.25 ? nu / (1 - nu) * (1 + 0x1p-20) : INFINITY;
}

/*
 * A product takes part in at most dim roundings: its own, and those of dim − 1 additions; Σ |qᵢxᵢ| ≤ |q||x|. Where
 * denormal numbers are flushed, each of the 2·dim results may lose FLT_MIN, and each operand as much: Σ |qᵢ| FLT_MIN ≤
 * dim |q| FLT_MIN, and so for x.
 */
double sf_dot_error_bound(size_t dim, double query_norm, double row_norm) {
  double gamma = gamma_of(dim);
  if (isinf(gamma))
    return INFINITY;
  double flushed = 2 * (double)dim * FLT_MIN * (1 + query_norm + row_norm);
  return gamma * query_norm * row_norm + flushed;
}

/*
 * A square's difference is rounded once, which counts twice in the square, then dim roundings as above: γ of dim + 2,
 * relative to the exact distance; γ / (1 − γ) relative to the fast one. Where denormal numbers are flushed, a
 * difference is off by at most 3 FLT_MIN, its square by 6 FLT_MIN times the difference (and some 10⁻⁷⁵), and the 2·dim
 * results lose FLT_MIN each.
 */
double sf_squared_l2_error_bound(size_t dim, double squared_distance) {
  double gamma = gamma_of(dim + 2);
  if (isinf(gamma))
    return INFINITY;
  double flushed = 8 * (double)dim * FLT_MIN * (1 + sqrt(squared_distance));
  return gamma / (1 - gamma) * squared_distance + flushed;
}
