/*
 * Quantizing a row: sixteen components at a time in the compilers' own vectors, compiled once for each kind of CPU,
 * into as many registers as it takes there. The order of the additions does not depend on that, and so neither do the
 * bits.
 */
#ifndef SF_VECTORS_QUANTIZE_ROW_H
#define SF_VECTORS_QUANTIZE_ROW_H

#include "vectors/quantized_kernels.h"

#include <math.h>
#include <string.h>

/* Warns of vectors wider than the baseline's registers as arguments; but nothing here is called, all of it is
 * inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define SF_QUANTIZED_INLINE static inline __attribute__((always_inline))

enum { SF_QUANTIZED_LANES = 16 };

typedef float sf_quantized_floats __attribute__((vector_size(4 * SF_QUANTIZED_LANES)));
typedef int32_t sf_quantized_integers __attribute__((vector_size(4 * SF_QUANTIZED_LANES)));
typedef uint8_t sf_quantized_bytes_of_lanes __attribute__((vector_size(SF_QUANTIZED_LANES)));

typedef struct sf_quantize_row_input {
  const float *components;
  const float *centre;
  size_t dim;
  float factor;
} sf_quantize_row_input;

/* The first `count` lanes, up to all of them; zeros in the others. */
SF_QUANTIZED_INLINE sf_quantized_floats sf_load_lanes(const float *components, size_t count) {
  sf_quantized_floats lanes = {0};
  if (count >= SF_QUANTIZED_LANES)
    memcpy(&lanes, components, sizeof(lanes));
  else
    memcpy(&lanes, components, count * sizeof(float));
  return lanes;
}

/* Components from `begin` on of the row less the centre. From dim on both are zero. */
SF_QUANTIZED_INLINE sf_quantized_floats sf_load_row(const sf_quantize_row_input *row, size_t begin) {
  size_t count = row->dim - begin;
  return sf_load_lanes(row->components + begin, count) * row->factor - sf_load_lanes(row->centre + begin, count);
}

/* One or the other, by lanes of a comparison: all ones, or zero. */
SF_QUANTIZED_INLINE sf_quantized_floats sf_select_lanes(sf_quantized_integers which, sf_quantized_floats if_ones,
                                                        sf_quantized_floats if_zero) {
  return (sf_quantized_floats)((which & (sf_quantized_integers)if_ones) | (~which & (sf_quantized_integers)if_zero));
}

SF_QUANTIZED_INLINE sf_quantized_floats sf_size_of_lanes(sf_quantized_floats lanes) {
  return (sf_quantized_floats)((sf_quantized_integers)lanes & INT32_MAX);
}

/* Zeros in all but the first `count` lanes. */
SF_QUANTIZED_INLINE sf_quantized_floats sf_first_lanes(sf_quantized_floats lanes, size_t count) {
  for (size_t lane = count; lane < SF_QUANTIZED_LANES; lane++)
    lanes[lane] = 0;
  return lanes;
}

SF_QUANTIZED_INLINE double sf_quantized_sum_of_lanes(sf_quantized_floats lanes) {
  double sum = 0;
  for (size_t lane = 0; lane < SF_QUANTIZED_LANES; lane++)
    sum += (double)lanes[lane];
  return sum;
}

/* Of a row less the centre: its largest component, and its squared norm. */
SF_QUANTIZED_INLINE float sf_measure_row(const sf_quantize_row_input *row, double *squared_norm) {
  sf_quantized_floats largest = {0};
  sf_quantized_floats sums = {0};
  for (size_t begin = 0; begin < row->dim; begin += SF_QUANTIZED_LANES) {
    sf_quantized_floats components = sf_load_row(row, begin);
    sf_quantized_floats sizes = sf_size_of_lanes(components);
    largest = sf_select_lanes(sizes > largest, sizes, largest);
    sums += components * components;
  }
  *squared_norm = sf_quantized_sum_of_lanes(sums);
  float largest_of_all = 0;
  for (size_t lane = 0; lane < SF_QUANTIZED_LANES; lane++)
    largest_of_all = largest[lane] > largest_of_all ? largest[lane] : largest_of_all;
  return largest_of_all;
}

/* Rounding a row to one kind. n is code − zero. */
typedef struct sf_rounding {
  float scale;
  float inverse_scale;
  float zero;
  float most; /* the largest code */
  sf_quantized_floats squared_residues;
} sf_rounding;

SF_QUANTIZED_INLINE sf_rounding sf_rounding_of(sf_quantized_kind kind, float scale) {
  return (sf_rounding){.scale = scale,
                       .inverse_scale = scale == 0 ? 0 : 1 / scale,
                       .zero = sf_quantized_zero(kind),
                       .most = kind == SF_QUANTIZED_2BIT ? 3 : 15};
}

/* The quantized values of the first `count` of sixteen components, one to a byte; adds up their squared remainders. */
SF_QUANTIZED_INLINE sf_quantized_bytes_of_lanes sf_round_lanes(sf_rounding *rounding, sf_quantized_floats components,
                                                               size_t count) {
  const float integers_only = 0x1.8p23F; /* float32 has no fractions where this is added */
  const sf_quantized_floats least = {0};
  const sf_quantized_floats most = least + rounding->most;
  sf_quantized_floats codes = (components * rounding->inverse_scale + rounding->zero + integers_only) - integers_only;
  codes = sf_select_lanes(codes > most, most, codes);
  codes = sf_select_lanes(codes < least, least, codes);
  sf_quantized_floats residue = sf_first_lanes(components - rounding->scale * (codes - rounding->zero), count);
  rounding->squared_residues += residue * residue;
  return __builtin_convertvector(__builtin_convertvector(codes, sf_quantized_integers), sf_quantized_bytes_of_lanes);
}

/* Four codes to a byte, into the row's bytes of a block. */
SF_QUANTIZED_INLINE void sf_pack_2bit_lanes(sf_quantized_bytes_of_lanes lanes, uint8_t *block) {
  uint32_t fours[SF_QUANTIZED_LANES / sizeof(uint32_t)];
  memcpy(fours, &lanes, sizeof(fours));
  uint32_t packed = fours[0] | fours[1] << 2 | fours[2] << 4 | fours[3] << 6;
  memcpy(block, &packed, sizeof(packed));
}

/* Two codes to a byte, into the row's bytes of one block or two. */
SF_QUANTIZED_INLINE void sf_pack_4bit_lanes(sf_quantized_bytes_of_lanes lanes, size_t count, uint8_t *block) {
  uint32_t fours[SF_QUANTIZED_LANES / sizeof(uint32_t)];
  memcpy(fours, &lanes, sizeof(fours));
  uint32_t packed = fours[0] | fours[1] << 4;
  memcpy(block, &packed, sizeof(packed));
  if (count <= SF_QUANTIZED_LANES / 2)
    return;
  packed = fours[2] | fours[3] << 4;
  memcpy(block + SF_QUANTIZED_BLOCK_BYTES, &packed, sizeof(packed));
}

/*
 * The 4-bit scale makes the largest component 7.5 steps, but is at least |x − centre| / (3.5√dim): the query's own
 * rounding is multiplied by |n| ≤ |x − centre| / scale + √dim / 2. The 2-bit scale is nearly the best one for normally
 * distributed components (Max, "Quantizing for Minimum Distortion", 1960), but the last code never lies beyond the
 * largest component. A row below the range that float32 is trusted with has the scale 0.
 */
SF_QUANTIZED_INLINE void sf_choose_scales(float largest, double squared_norm, size_t dim,
                                          float scales[SF_QUANTIZED_KINDS]) {
  float usual = (float)sqrt(squared_norm / (double)dim);
  bool is_trusted = (double)largest >= SF_QUANTIZED_NORM_MIN;
  scales[SF_QUANTIZED_2BIT] = !is_trusted ? 0 : largest * (2.0F / 3) < usual ? largest * (2.0F / 3) : usual;
  scales[SF_QUANTIZED_4BIT] = !is_trusted                            ? 0
                              : largest * (2.0F / 15) > usual / 3.5F ? largest * (2.0F / 15)
                                                                     : usual / 3.5F;
}

SF_QUANTIZED_INLINE void sf_quantize_row_inline(const float *components, const float *centre, size_t dim, float factor,
                                                uint8_t *const blocks[SF_QUANTIZED_KINDS],
                                                sf_quantized_row *quantized) {
  const sf_quantize_row_input row = {components, centre, dim, factor};
  *quantized = (sf_quantized_row){0};
  float largest = sf_measure_row(&row, &quantized->squared_norm);
  if (!(quantized->squared_norm <= SF_QUANTIZED_NORM_MAX * SF_QUANTIZED_NORM_MAX))
    return;
  sf_choose_scales(largest, quantized->squared_norm, dim, quantized->scales);
  sf_rounding to_2bit = sf_rounding_of(SF_QUANTIZED_2BIT, quantized->scales[SF_QUANTIZED_2BIT]);
  sf_rounding to_4bit = sf_rounding_of(SF_QUANTIZED_4BIT, quantized->scales[SF_QUANTIZED_4BIT]);
  for (size_t begin = 0; begin < dim; begin += SF_QUANTIZED_LANES) {
    sf_quantized_floats lanes = sf_load_row(&row, begin);
    sf_quantized_bytes_of_lanes codes_2bit = sf_round_lanes(&to_2bit, lanes, dim - begin);
    sf_quantized_bytes_of_lanes codes_4bit = sf_round_lanes(&to_4bit, lanes, dim - begin);
    sf_pack_2bit_lanes(codes_2bit, blocks[SF_QUANTIZED_2BIT] +
                                       begin / sf_quantized_block_dims(SF_QUANTIZED_2BIT) * SF_QUANTIZED_BLOCK_BYTES);
    sf_pack_4bit_lanes(codes_4bit, dim - begin,
                       blocks[SF_QUANTIZED_4BIT] +
                           begin / sf_quantized_block_dims(SF_QUANTIZED_4BIT) * SF_QUANTIZED_BLOCK_BYTES);
  }
  quantized->squared_residues[SF_QUANTIZED_2BIT] = sf_quantized_sum_of_lanes(to_2bit.squared_residues);
  quantized->squared_residues[SF_QUANTIZED_4BIT] = sf_quantized_sum_of_lanes(to_4bit.squared_residues);
}

#endif
