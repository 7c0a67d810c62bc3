/* Elements of an array, whatever their type. */
#include "snapshot/npy.h"

#include <math.h>
#include <string.h>

bool sf_npy_is_integer(sf_npy_type type) {
  return type.kind == SF_NPY_INT || type.kind == SF_NPY_UINT;
}

static uint64_t load_bits(sf_npy_type type, const uint8_t *bytes) {
  uint64_t bits = 0;
  for (size_t i = 0; i < type.size; i++)
    bits |= (uint64_t)bytes[type.is_big_endian ? type.size - 1U - i : i] << (8 * i);
  return bits;
}

/* Two's complement of type.size bytes. */
static int64_t sign_extend(sf_npy_type type, uint64_t bits) {
  unsigned unused = 64U - 8U * type.size;
  return (int64_t)(bits << unused) >> unused;
}

/* IEEE 754 binary16: 1 bit of sign, 5 of exponent (bias 15), 10 of fraction. */
static double float_of_16(uint64_t bits) {
  int exponent = (int)(bits >> 10 & 31);
  int fraction = (int)(bits & 1023);
  double magnitude;
  if (exponent == 31)
    magnitude = fraction == 0 ? (double)INFINITY : (double)NAN;
  else if (exponent == 0)
    magnitude = ldexp(fraction, -24);
  else
    magnitude = ldexp(fraction + 1024, exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

static double float_of(uint64_t bits, size_t size) {
  if (size == 2)
    return float_of_16(bits);
  if (size == 4) {
    uint32_t word = (uint32_t)bits;
    float value;
    memcpy(&value, &word, sizeof(value));
    return (double)value;
  }
  double value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

double sf_npy_number(sf_npy_type type, const uint8_t *bytes) {
  uint64_t bits = load_bits(type, bytes);
  switch (type.kind) {
  case SF_NPY_FLOAT:
    return float_of(bits, type.size);
  case SF_NPY_INT:
    return (double)sign_extend(type, bits);
  case SF_NPY_UINT:
    return (double)bits;
  case SF_NPY_BOOL:
    break;
  }
  return bits != 0 ? 1 : 0;
}

bool sf_npy_integer(sf_npy_type type, const uint8_t *bytes, int64_t *value) {
  if (!sf_npy_is_integer(type))
    return false;
  uint64_t bits = load_bits(type, bytes);
  if (type.kind == SF_NPY_UINT && bits > INT64_MAX)
    return false;
  *value = type.kind == SF_NPY_INT ? sign_extend(type, bits) : (int64_t)bits;
  return true;
}
