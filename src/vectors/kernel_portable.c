/* The reference: plain C that compilers turn into whatever vectors the target's baseline has. */
#include "vectors/quantized_kernels.h"

/* Sums that don't wait for one another, and fill four registers of four floats. */
enum { LANES = 16 };

extern const sf_kernels sf_portable_kernels;

static float sum_of_lanes(const float lanes[LANES]) {
  float halves[LANES / 2];
  for (size_t lane = 0; lane < LANES / 2; lane++)
    halves[lane] = lanes[lane] + lanes[lane + LANES / 2];
  float even = (halves[0] + halves[4]) + (halves[2] + halves[6]);
  float odd = (halves[1] + halves[5]) + (halves[3] + halves[7]);
  return even + odd;
}

static float dot(const float *query, const float *row, size_t dim) {
  float lanes[LANES] = {0};
  size_t whole = dim - dim % LANES;
  for (size_t i = 0; i < whole; i += LANES)
    for (size_t lane = 0; lane < LANES; lane++)
      lanes[lane] += query[i + lane] * row[i + lane];
  for (size_t i = whole; i < dim; i++)
    lanes[i - whole] += query[i] * row[i];
  return sum_of_lanes(lanes);
}

static float squared_l2(const float *query, const float *row, size_t dim) {
  float lanes[LANES] = {0};
  size_t whole = dim - dim % LANES;
  for (size_t i = 0; i < whole; i += LANES) {
    for (size_t lane = 0; lane < LANES; lane++) {
      float difference = query[i + lane] - row[i + lane];
      lanes[lane] += difference * difference;
    }
  }
  for (size_t i = whole; i < dim; i++) {
    float difference = query[i] - row[i];
    lanes[i - whole] += difference * difference;
  }
  return sum_of_lanes(lanes);
}

static void dot_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  for (size_t row = 0; row < num_rows; row++)
    results[row] = dot(query, rows + row * dim, dim);
}

static void squared_l2_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  for (size_t row = 0; row < num_rows; row++)
    results[row] = squared_l2(query, rows + row * dim, dim);
}

static void dots_and_norms(const float *query, const float *rows, size_t num_rows, size_t dim, float *dots,
                           float *squared_norms) {
  for (size_t row = 0; row < num_rows; row++) {
    dots[row] = dot(query, rows + row * dim, dim);
    squared_norms[row] = dot(rows + row * dim, rows + row * dim, dim);
  }
}

static void dot_tile(const float *const *rows, const float *panel, size_t num_columns, size_t dim, float *results) {
  for (size_t row = 0; row < SF_TILE_ROWS; row++) {
    float sums[SF_TILE_COLUMNS] = {0};
    for (size_t i = 0; i < dim; i++)
      for (size_t column = 0; column < SF_TILE_COLUMNS; column++)
        sums[column] += rows[row][i] * panel[i * num_columns + column];
    for (size_t column = 0; column < SF_TILE_COLUMNS; column++)
      results[row * num_columns + column] = sums[column];
  }
}

static void exact_squared_norms(const float *rows, size_t num_rows, size_t dim, double *results) {
  for (size_t row = 0; row < num_rows; row++)
    results[row] = sf_exact_squared_norm(rows + row * dim, dim);
}

static bool supported(void) {
  return true;
}

const sf_kernels sf_portable_kernels = {
    .name = "portable",
    .supported = supported,
    .dot = dot_rows,
    .squared_l2 = squared_l2_rows,
    .dots_and_norms = dots_and_norms,
    .exact_squared_norms = exact_squared_norms,
    .dot_tile = dot_tile,
    .panel_columns = SF_TILE_COLUMNS,
    .quantize_row = sf_quantize_row_portable,
    .quantized_row_product = sf_quantized_row_product_portable,
    .find_near_quantized = {sf_find_near_2bit_portable, sf_find_near_4bit_portable}};
