/*
 * Kernels: the inner loops of a scan, one table of them for each kind of CPU (kernels.c). The fast ones work in float32
 * and are picked once, by what the CPU has; the exact ones work in float64 in a fixed order of operations, so that a
 * score has the same bits on every CPU and with every kernel.
 *
 * A search scans with fast kernels and scores its candidates with the exact ones: sf_dot_error_bound and
 * sf_squared_l2_error_bound say how far a fast result can be from the exact one.
 */
#ifndef SF_VECTORS_DISTANCE_H
#define SF_VECTORS_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One query against `num_rows` contiguous rows of `dim` components (no alignment asked for), one result a row. */
typedef void (*sf_rows_kernel)(const float *query, const float *rows, size_t num_rows, size_t dim, float *results);

enum { SF_SHARED_QUERIES = 4 };
/* The same for several queries, with the bits of the rows kernel: a component is loaded once for all of them. Each of
 * `results` has room for num_rows; two of them may be the same where their queries are. */
typedef void (*sf_shared_kernel)(const float *const queries[SF_SHARED_QUERIES], const float *rows, size_t num_rows,
                                 size_t dim, float *const results[SF_SHARED_QUERIES]);

/* Σ qᵢxᵢ and Σ xᵢ² of each row in one pass, with the bits that the rows kernel has for the query and for the row
 * itself. */
typedef void (*sf_dots_and_norms_kernel)(const float *query, const float *rows, size_t num_rows, size_t dim,
                                         float *dots, float *squared_norms);

/* Σ xᵢ² of each of `num_rows` contiguous rows in float64, with the bits of sf_exact_squared_norm. */
typedef void (*sf_norms_kernel)(const float *rows, size_t num_rows, size_t dim, double *results);

/*
 * Many rows against many columns: `results[row × num_columns + column]` = Σ rowᵢ columnᵢ, for SF_TILE_ROWS rows, which
 * may be the same one more than once. `panel` holds component i of all columns, then component i + 1
 * (src/vectors/panels.h packs them): dim × num_columns, a multiple of SF_TILE_COLUMNS and at most the kernels'
 * panel_columns. A result is summed in the order of the components, whatever the shape.
 */
enum { SF_TILE_ROWS = 6, SF_TILE_COLUMNS = 16 };
typedef void (*sf_tile_kernel)(const float *const *rows, const float *panel, size_t num_columns, size_t dim,
                               float *results);

/* Quantized vectors (quantized.h): two bits a component, and four. */
typedef enum sf_quantized_kind { SF_QUANTIZED_2BIT, SF_QUANTIZED_4BIT, SF_QUANTIZED_KINDS } sf_quantized_kind;

/* A row less the centre, quantized. Where its squared norm is not at most SF_QUANTIZED_NORM_MAX², it was not
 * quantized. */
typedef struct sf_quantized_row {
  double squared_norm;
  float scales[SF_QUANTIZED_KINDS];
  double squared_residues[SF_QUANTIZED_KINDS];
} sf_quantized_row;

/* The range of norms, of vectors, differences and queries, within which the bounds of quantized vectors hold. */
#define SF_QUANTIZED_NORM_MIN 1e-15
#define SF_QUANTIZED_NORM_MAX 1e15

/* Quantizes factor · row − centre to both kinds. `blocks` points to the row's bytes in the first block of a group of
 * each kind. All sums are in float32, in one order: the same bits with every kernel. */
typedef void (*sf_quantize_row_kernel)(const float *row, const float *centre, size_t dim, float factor,
                                       uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized);

/* A query as it is compared with quantized vectors of one kind. */
typedef struct sf_quantized_comparison {
  const int8_t *components; /* e, and zeros up to a multiple of 16 */
  int32_t offset;           /* −16 Σ eᵢ for 4-bit codes c = n + 8, −3 Σ eᵢ for 2-bit codes c = n + 1.5 */
  float base;
  float half_step;
  float slack;
  float norm;
} sf_quantized_comparison;

/* Consecutive groups of one kind. */
typedef struct sf_quantized_groups {
  const uint8_t *first;
  size_t count;
  size_t dim;
  bool has_squared_norms;
} sf_quantized_groups;

/*
 * For each group of 16 rows a mask: bit r is set unless row r is certainly farther than the threshold. A row's lower
 * bound is base (+ squared norm, for groups that have it) − scale · (half_step · (2e·c + offset) + slack) − norm ·
 * error; the bit is set where that is ≤ threshold, or NaN. The bounds are stored in `bounds`, unless it is NULL.
 */
typedef void (*sf_quantized_kernel)(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                    float threshold, uint16_t *masks, float *bounds);

/*
 * Σ lowᵢ(codesᵢ mod 16) + highᵢ(codesᵢ div 16) of `num_codes` bytes, a multiple of 4, of a 4-bit vector that is stored as
 * a row of its own (quantized_rows.h). Reads no code behind them, but up to 64 bytes at a time of the components.
 */
typedef int32_t (*sf_quantized_row_kernel)(const int8_t *low, const int8_t *high, const uint8_t *codes,
                                           size_t num_codes);

typedef struct sf_kernels {
  const char *name;          /* "portable", "avx2", "avx512", "avx512vnni", "neon" */
  bool (*supported)(void);   /* whether this CPU has what it needs */
  sf_rows_kernel dot;        /* Σ qᵢxᵢ */
  sf_rows_kernel squared_l2; /* Σ (qᵢ − xᵢ)² */
  sf_dots_and_norms_kernel dots_and_norms;
  sf_norms_kernel exact_squared_norms;
  sf_tile_kernel dot_tile;
  size_t panel_columns; /* columns that dot_tile keeps in registers */
  sf_quantize_row_kernel quantize_row;
  sf_quantized_kernel find_near_quantized[SF_QUANTIZED_KINDS];
  sf_quantized_row_kernel quantized_row_product;
  /* NULL: none; queries are compared one by one. */
  sf_shared_kernel dot_shared;
  sf_shared_kernel squared_l2_shared;
} sf_kernels;

/* The kernels in use: the best that the CPU supports, or what SHARDYFUSION_KERNEL in the environment names (a name that
 * is unknown or unsupported is ignored). Picked on first use; later calls return the same. Any thread. */
const sf_kernels *sf_kernels_get(void);

/* All kernels that were compiled in, best first, NULL at the end; supported or not. For tests and benchmarks. */
const sf_kernels *const *sf_kernels_all(void);

/*
 * Σ qᵢxᵢ, Σ (qᵢ − xᵢ)² and Σ xᵢ² in float64: the reference, and the source of every score. The same bits on every CPU
 * (in the default floating-point environment): component i goes to lane i % 8, and the lanes are added as
 * ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)). Finite components of any size neither overflow nor underflow.
 */
double sf_exact_dot(const float *a, const float *b, size_t dim);
double sf_exact_squared_l2(const float *a, const float *b, size_t dim);
double sf_exact_squared_norm(const float *a, size_t dim);

/* Norms within which float32 can neither overflow nor lose a relative precision that matters. */
#define SF_TRUSTED_NORM_MIN 1e-18
#define SF_TRUSTED_NORM_MAX 1e18

/* 1/|x|, rounded once to float32, as sf_vector_segment has it: 0 for a zero vector; NaN where |x| lies outside the
 * trusted norms or a component is not finite. */
float sf_inverse_norm(const float *row, size_t dim);
/* The same for many rows, from what sf_exact_squared_norm gave. */
void sf_inverses_of_squared_norms(const double *squared_norms, size_t count, float *inverse_norms);

/*
 * |fast − exact| of any of the kernels, for any order of summation (Higham, Accuracy and Stability of Numerical
 * Algorithms, 2nd ed., §3.1), with denormal numbers flushed to zero or not, provided nothing overflowed:
 * of `dot`: at most sf_dot_error_bound(dim, |q|, |x|);
 * of `squared_l2`: at most sf_squared_l2_error_bound(dim, d), where d is either the fast or the exact result.
 * `dot` grows with the norms and `squared_l2` with d. Infinite for a dim at which float32 promises nothing.
 */
double sf_dot_error_bound(size_t dim, double query_norm, double row_norm);
double sf_squared_l2_error_bound(size_t dim, double squared_distance);

#endif
