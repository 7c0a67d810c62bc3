/* Values of columns in Arrow's layouts. Nothing here touches Python. */
#include "arrow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  char format;
  sf_py_arrow_type type;
} simple_types[] = {
    {'n', {.kind = SF_PY_ARROW_NULL}},
    {'b', {.kind = SF_PY_ARROW_BOOL}},
    {'c', {.kind = SF_PY_ARROW_INTEGER, .width = 1, .is_signed = true}},
    {'C', {.kind = SF_PY_ARROW_INTEGER, .width = 1}},
    {'s', {.kind = SF_PY_ARROW_INTEGER, .width = 2, .is_signed = true}},
    {'S', {.kind = SF_PY_ARROW_INTEGER, .width = 2}},
    {'i', {.kind = SF_PY_ARROW_INTEGER, .width = 4, .is_signed = true}},
    {'I', {.kind = SF_PY_ARROW_INTEGER, .width = 4}},
    {'l', {.kind = SF_PY_ARROW_INTEGER, .width = 8, .is_signed = true}},
    {'L', {.kind = SF_PY_ARROW_INTEGER, .width = 8}},
    {'e', {.kind = SF_PY_ARROW_FLOAT, .width = 2}},
    {'f', {.kind = SF_PY_ARROW_FLOAT, .width = 4}},
    {'g', {.kind = SF_PY_ARROW_FLOAT, .width = 8}},
    {'u', {.kind = SF_PY_ARROW_TEXT, .width = 4}},
    {'U', {.kind = SF_PY_ARROW_TEXT, .width = 8}},
    {'z', {.kind = SF_PY_ARROW_TEXT, .width = 4, .is_binary = true}},
    {'Z', {.kind = SF_PY_ARROW_TEXT, .width = 8, .is_binary = true}},
};

enum { NUM_SIMPLE_TYPES = sizeof(simple_types) / sizeof(simple_types[0]) };

static sf_py_arrow_type nested_type(const struct ArrowSchema *schema) {
  const char *format = schema->format;
  if (strcmp(format, "+s") == 0)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_STRUCT};
  if (schema->n_children != 1)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
  if (strcmp(format, "+l") == 0 || strcmp(format, "+L") == 0)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_LIST, .width = format[1] == 'l' ? 4 : 8};
  if (strncmp(format, "+w:", 3) == 0) {
    long size = strtol(format + 3, NULL, 10);
    if (size > 0)
      return (sf_py_arrow_type){.kind = SF_PY_ARROW_FIXED_SIZE_LIST, .list_size = size};
  }
  return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
}

sf_py_arrow_type sf_py_arrow_type_of(const struct ArrowSchema *schema) {
  const char *format = schema->format;
  if (schema->dictionary != NULL)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
  if (format[0] == '+')
    return nested_type(schema);
  if (strcmp(format, "vu") == 0 || strcmp(format, "vz") == 0)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_TEXT_VIEW, .is_binary = format[1] == 'z'};
  for (size_t i = 0; i < NUM_SIMPLE_TYPES && format[0] != '\0' && format[1] == '\0'; i++) {
    if (simple_types[i].format == format[0])
      return simple_types[i].type;
  }
  return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
}

sf_py_arrow_column sf_py_arrow_child(const sf_py_arrow_column *parent, int64_t index) {
  return (sf_py_arrow_column){.schema = parent->schema->children[index],
                              .array = parent->array->children[index],
                              .type = sf_py_arrow_type_of(parent->schema->children[index])};
}

/* Bit `index` of a bitmap, least significant first. */
static bool bit(const void *bitmap, int64_t index) {
  return (((const uint8_t *)bitmap)[index / 8] >> (index % 8) & 1) != 0;
}

bool sf_py_arrow_is_null(const sf_py_arrow_column *column, int64_t row) {
  const struct ArrowArray *array = column->array;
  if (column->type.kind == SF_PY_ARROW_NULL)
    return true;
  if (array->null_count == 0 || array->n_buffers < 1 || array->buffers[0] == NULL)
    return false;
  return !bit(array->buffers[0], array->offset + row);
}

/* Where an element of the second buffer is, which need not be aligned. */
static const char *element(const sf_py_arrow_column *column, int64_t row, size_t width) {
  return (const char *)column->array->buffers[1] + (size_t)(column->array->offset + row) * width;
}

bool sf_py_arrow_integer(const sf_py_arrow_column *column, int64_t row, int64_t *value) {
  const char *from = element(column, row, column->type.width);
  int8_t byte;
  int16_t half;
  int32_t word;
  memcpy(&byte, from, 1);
  switch (column->type.width) {
  case 1:
    *value = column->type.is_signed ? byte : (uint8_t)byte;
    return true;
  case 2:
    memcpy(&half, from, sizeof(half));
    *value = column->type.is_signed ? half : (uint16_t)half;
    return true;
  case 4:
    memcpy(&word, from, sizeof(word));
    *value = column->type.is_signed ? word : (int64_t)(uint32_t)word;
    return true;
  default:
    memcpy(value, from, sizeof(*value));
    return column->type.is_signed || *value >= 0;
  }
}

/* IEEE 754 binary16, exactly. */
static double widen_half(uint16_t bits) {
  uint32_t exponent = bits >> 10 & 31;
  double fraction = bits & 1023;
  double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31)
    return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
  double value = exponent == 0 ? fraction : fraction + 1024;
  for (uint32_t i = exponent == 0 ? 1 : exponent; i < 25; i++)
    value /= 2;
  for (uint32_t i = 25; i < exponent; i++)
    value *= 2;
  return sign * value;
}

double sf_py_arrow_float(const sf_py_arrow_column *column, int64_t row) {
  const char *from = element(column, row, column->type.width);
  uint16_t half;
  float single;
  double value;
  switch (column->type.width) {
  case 2:
    memcpy(&half, from, sizeof(half));
    return widen_half(half);
  case 4:
    memcpy(&single, from, sizeof(single));
    return (double)single;
  default:
    memcpy(&value, from, sizeof(value));
    return value;
  }
}

bool sf_py_arrow_bool(const sf_py_arrow_column *column, int64_t row) {
  return bit(column->array->buffers[1], column->array->offset + row);
}

/* Two offsets that follow one another. */
static void read_offsets(const sf_py_arrow_column *column, int64_t row, int64_t *begin, int64_t *end) {
  const char *from = element(column, row, column->type.width);
  int32_t narrow[2];
  int64_t wide[2];
  if (column->type.width == 4) {
    memcpy(narrow, from, sizeof(narrow));
    wide[0] = narrow[0];
    wide[1] = narrow[1];
  } else {
    memcpy(wide, from, sizeof(wide));
  }
  *begin = wide[0];
  *end = wide[1];
}

/* 16 bytes: the length, then the text itself (up to 12 bytes), or its first 4 bytes, a buffer and a place in it. The last
 * buffer of the array holds the sizes of those between. */
static bool read_view(const sf_py_arrow_column *column, int64_t row, const char **text, size_t *length) {
  const struct ArrowArray *array = column->array;
  const char *view = element(column, row, 16);
  int32_t words[4];
  memcpy(words, view, sizeof(words));
  if (words[0] < 0)
    return false;
  *length = (size_t)words[0];
  *text = view + 4;
  if (words[0] <= 12)
    return true;
  int64_t num_buffers = array->n_buffers - 3;
  if (words[2] < 0 || words[2] >= num_buffers || words[3] < 0)
    return false;
  int64_t size;
  memcpy(&size, (const char *)array->buffers[array->n_buffers - 1] + (size_t)words[2] * sizeof(size), sizeof(size));
  *text = (const char *)array->buffers[2 + words[2]] + words[3];
  return (int64_t)words[3] + words[0] <= size;
}

bool sf_py_arrow_text(const sf_py_arrow_column *column, int64_t row, const char **text, size_t *length) {
  int64_t begin;
  int64_t end;
  if (column->type.kind == SF_PY_ARROW_TEXT_VIEW)
    return read_view(column, row, text, length);
  read_offsets(column, row, &begin, &end);
  if (begin < 0 || end < begin)
    return false;
  *text = end > begin ? (const char *)column->array->buffers[2] + begin : "";
  *length = (size_t)(end - begin);
  return true;
}

bool sf_py_arrow_list(const sf_py_arrow_column *column, int64_t row, int64_t *first, int64_t *count) {
  const struct ArrowArray *child = column->array->children[0];
  int64_t end;
  if (column->type.kind == SF_PY_ARROW_FIXED_SIZE_LIST) {
    *count = column->type.list_size;
    if (column->array->offset + row > (INT64_MAX - *count) / *count)
      return false;
    *first = (column->array->offset + row) * *count;
    end = *first + *count;
  } else {
    read_offsets(column, row, first, &end);
    *count = end - *first;
  }
  return *first >= 0 && *count >= 0 && end <= child->length;
}
