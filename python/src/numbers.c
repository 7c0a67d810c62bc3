#include "numbers.h"

#include <math.h>
#include <string.h>

/* By the letters of the struct module, whose sizes differ with the prefix: the width is the buffer's itemsize. */
static bool kind_of(char letter, sf_py_number_kind *kind) {
  if (letter == '\0')
    return false;
  if (strchr("efd", letter) != NULL)
    *kind = SF_PY_FLOAT;
  else if (strchr("bhilqn", letter) != NULL)
    *kind = SF_PY_SIGNED;
  else if (strchr("?BHILQN", letter) != NULL)
    *kind = SF_PY_UNSIGNED;
  else
    return false;
  return true;
}

static bool has_width(char letter, Py_ssize_t width) {
  switch (letter) {
  case 'e':
    return width == 2;
  case 'f':
    return width == 4;
  case 'd':
    return width == 8;
  default:
    return width == 1 || width == 2 || width == 4 || width == 8;
  }
}

/* Exporters of buffers are foreign code: their description is checked before it is used. */
static bool is_consistent(const Py_buffer *view) {
  Py_ssize_t count = 1;
  if (view->itemsize < 1 || view->len < 0 || view->ndim < 1 || view->shape == NULL || view->strides == NULL ||
      view->suboffsets != NULL)
    return false;
  for (int i = 0; i < view->ndim; i++) {
    if (view->shape[i] < 0 || (view->shape[i] > 0 && count > PY_SSIZE_T_MAX / view->shape[i]))
      return false;
    count *= view->shape[i];
  }
  return count <= PY_SSIZE_T_MAX / view->itemsize && view->len == count * view->itemsize &&
         (view->buf != NULL || count == 0);
}

bool sf_py_number_of(const Py_buffer *view, sf_py_number *number) {
  const char *format = view->format != NULL ? view->format : "B";
  const uint16_t one = 1;
  bool is_little = *(const unsigned char *)&one == 1;
  bool is_swapped = false;
  if (strchr("@=<>!", format[0]) != NULL && format[0] != '\0') {
    is_swapped = format[0] == (is_little ? '>' : '<') || (is_little && format[0] == '!');
    format++;
  }
  if (!kind_of(format[0], &number->kind) || format[1] != '\0' || !has_width(format[0], view->itemsize) ||
      !is_consistent(view))
    return false;
  number->width = (size_t)view->itemsize;
  number->is_swapped = is_swapped && number->width > 1;
  return true;
}

bool sf_py_number_is_native(const sf_py_number *number, sf_element_type *type) {
  bool is_native = number->kind == SF_PY_FLOAT && !number->is_swapped;
  if (number->kind == SF_PY_FLOAT)
    *type = number->width == 8 ? SF_FLOAT64 : number->width == 2 && is_native ? SF_FLOAT16 : SF_FLOAT32;
  else
    *type = number->width > 2 ? SF_FLOAT64 : SF_FLOAT32;
  return is_native;
}

size_t sf_py_element_size(sf_element_type type) {
  return type == SF_FLOAT64 ? sizeof(double) : type == SF_FLOAT32 ? sizeof(float) : 2;
}

double sf_py_widen_half(uint16_t bits) {
  int exponent = bits >> 10 & 31;
  double fraction = bits & 1023;
  double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31)
    return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
  return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25));
}

/* The number's bits in the low end of a word, in this machine's byte order. */
static uint64_t load(const sf_py_number *number, const char *from) {
  uint8_t byte;
  uint16_t half;
  uint32_t word;
  uint64_t whole;
  switch (number->width) {
  case 1:
    memcpy(&byte, from, sizeof(byte));
    return byte;
  case 2:
    memcpy(&half, from, sizeof(half));
    return number->is_swapped ? (uint16_t)(half >> 8 | half << 8) : half;
  case 4:
    memcpy(&word, from, sizeof(word));
    return number->is_swapped ? __builtin_bswap32(word) : word;
  default:
    memcpy(&whole, from, sizeof(whole));
    return number->is_swapped ? __builtin_bswap64(whole) : whole;
  }
}

static double read_float(const sf_py_number *number, uint64_t bits) {
  uint32_t narrow = (uint32_t)bits;
  float single;
  double value;
  if (number->width == 2)
    return sf_py_widen_half((uint16_t)bits);
  if (number->width == 4) {
    memcpy(&single, &narrow, sizeof(single));
    return (double)single;
  }
  memcpy(&value, &bits, sizeof(value));
  return value;
}

static double read_number(const sf_py_number *number, const char *from) {
  uint64_t bits = load(number, from);
  if (number->kind == SF_PY_FLOAT)
    return read_float(number, bits);
  if (number->kind == SF_PY_UNSIGNED)
    return (double)bits;
  int shift = 64 - 8 * (int)number->width;
  return (double)((int64_t)(bits << shift) >> shift);
}

void sf_py_numbers_convert(const sf_py_number *number, const char *from, Py_ssize_t stride, size_t count,
                           sf_element_type type, void *to) {
  sf_element_type own;
  if (sf_py_number_is_native(number, &own) && own == type) {
    for (size_t i = 0; i < count; i++, from += stride)
      memcpy((char *)to + i * number->width, from, number->width);
    return;
  }
  for (size_t i = 0; i < count; i++, from += stride) {
    double value = read_number(number, from);
    if (type == SF_FLOAT64)
      ((double *)to)[i] = value;
    else
      ((float *)to)[i] = (float)value;
  }
}
