/*
 * Distance kernels. The fast ones work in float32 and are picked once, at load, by what the CPU has; the exact ones
 * work in float64 in a fixed order of operations, so that a score is the same on every CPU and with every kernel.
 *
 * A search scans with a fast kernel and scores what comes near with the exact one: sf_dot_error_bound and
 * sf_squared_l2_error_bound say how far a fast result can be from the exact one.
 */
#ifndef SF_DISTANCE_DISTANCE_H
#define SF_DISTANCE_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>

/* One query against `num_rows` contiguous rows of `dim` components (no alignment asked for), one result a row. */
typedef void (*sf_rows_kernel)(const float *query, const float *rows, size_t num_rows, size_t dim, float *results);

typedef struct sf_kernels {
  const char *name;          /* "portable", "avx2", "avx512", "neon" */
  bool (*supported)(void);   /* whether this CPU has what it needs */
  sf_rows_kernel dot;        /* Σ qᵢxᵢ */
  sf_rows_kernel squared_l2; /* Σ (qᵢ − xᵢ)² */
} sf_kernels;

/* The kernels in use: the best that the CPU supports, or what SHARDYFUSION_KERNEL in the environment names (a name that
 * is unknown or unsupported is ignored). Picked on first use; later calls give the same. */
const sf_kernels *sf_kernels_get(void);

/* All kernels that were compiled in, best first, NULL at the end; supported or not. For tests and benchmarks. */
const sf_kernels *const *sf_kernels_all(void);

/* Σ qᵢxᵢ, Σ (qᵢ − xᵢ)² and Σ xᵢ² in float64: the reference, and the source of every score. */
double sf_exact_dot(const float *a, const float *b, size_t dim);
double sf_exact_squared_l2(const float *a, const float *b, size_t dim);
double sf_exact_squared_norm(const float *a, size_t dim);

/*
 * |fast − exact| of any of the kernels, for any order of summation (Higham, Accuracy and Stability of Numerical
 * Algorithms, 2nd ed., §3.1), provided nothing overflowed:
 * of `dot`: at most sf_dot_error_bound(dim, |q|, |x|); of `squared_l2`: at most sf_squared_l2_error_bound(dim, result).
 */
double sf_dot_error_bound(size_t dim, double query_norm, double row_norm);
double sf_squared_l2_error_bound(size_t dim, double squared_distance);

#endif
