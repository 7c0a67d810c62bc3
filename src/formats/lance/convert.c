#include "formats/lance/vector_column.h"

static float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

/* IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
static float float_of_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = half >> 10 & 0x1F;
  uint32_t fraction = half & 0x3FF;
  if (exponent == 0x1F)
    return float_of_bits(sign | 0x7F800000 | fraction << 13);
  if (exponent > 0)
    return float_of_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
  /* Zero or subnormal: fraction × 2^-24. */
  float magnitude = (float)fraction * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

void sf_lance_convert_items(sf_lance_item_type type, const uint8_t *items, size_t count, float *values) {
  switch (type) {
  case SF_LANCE_FLOAT32:
    memcpy(values, items, count * sizeof(float)); /* vector files are for little-endian machines, too */
    break;
  case SF_LANCE_FLOAT64:
    for (size_t i = 0; i < count; i++)
      values[i] = (float)sf_load_f64(items + i * 8);
    break;
  case SF_LANCE_FLOAT16:
    for (size_t i = 0; i < count; i++)
      values[i] = float_of_half(sf_load_u16(items + i * 2));
    break;
  case SF_LANCE_BFLOAT16:
    for (size_t i = 0; i < count; i++)
      values[i] = float_of_bits((uint32_t)sf_load_u16(items + i * 2) << 16);
    break;
  }
}
