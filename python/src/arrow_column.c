/* Values of columns in Arrow's layouts. Nothing here touches Python. */
#include "arrow.h"
#include "numbers.h"

#include <string.h>

sf_py_arrow_column sf_py_arrow_child(const sf_py_arrow_column *parent, int64_t index) {
  return (sf_py_arrow_column){.schema = parent->schema->children[index],
                              .array = parent->array->children[index],
                              .type = sf_py_arrow_type_of(parent->schema->children[index])};
}

/* Bit `index` of a bitmap, least significant first. */
static bool bit(const void *bitmap, int64_t index) {
  return (((const uint8_t *)bitmap)[index / 8] >> (index % 8) & 1) != 0;
}

/* The index of a row's run; each run end is the first row after its run. */
static int64_t find_run(const sf_py_arrow_column *ends, int64_t row) {
  int64_t low = 0;
  int64_t high = ends->array->length;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    int64_t end = 0;
    sf_py_arrow_integer(ends, middle, &end);
    if (end > row)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

bool sf_py_arrow_resolve(sf_py_arrow_column *column, int64_t *row) {
  while (true) {
    if (column->type.kind == SF_PY_ARROW_DICTIONARY) {
      bool is_null = sf_py_arrow_is_null(column, *row);
      if (!is_null && !sf_py_arrow_integer(column, *row, row))
        return false;
      column->array = column->array->dictionary;
      column->schema = column->schema->dictionary;
      column->type = is_null ? (sf_py_arrow_type){.kind = SF_PY_ARROW_NULL} : sf_py_arrow_type_of(column->schema);
      if (is_null)
        return true;
    } else if (column->type.kind == SF_PY_ARROW_RUN_ENDS) {
      sf_py_arrow_column ends = sf_py_arrow_child(column, 0);
      *row = find_run(&ends, column->array->offset + *row);
      *column = sf_py_arrow_child(column, 1);
    } else
      return true;
    if (*row < 0 || *row >= column->array->length)
      return false;
  }
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

const char *sf_py_arrow_bytes(const sf_py_arrow_column *column, int64_t row) {
  return element(column, row, column->type.width);
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

double sf_py_arrow_float(const sf_py_arrow_column *column, int64_t row) {
  const char *from = element(column, row, column->type.width);
  uint16_t half;
  float single;
  double value;
  switch (column->type.width) {
  case 2:
    memcpy(&half, from, sizeof(half));
    return sf_py_widen_half(half);
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

/* A list's offset and its size, which have buffers of their own. */
static void read_view_place(const sf_py_arrow_column *column, int64_t row, int64_t *first, int64_t *count) {
  size_t width = column->type.width;
  size_t at = (size_t)(column->array->offset + row) * width;
  int32_t narrow[2];
  if (width == 8) {
    memcpy(first, (const char *)column->array->buffers[1] + at, width);
    memcpy(count, (const char *)column->array->buffers[2] + at, width);
    return;
  }
  memcpy(&narrow[0], (const char *)column->array->buffers[1] + at, width);
  memcpy(&narrow[1], (const char *)column->array->buffers[2] + at, width);
  *first = narrow[0];
  *count = narrow[1];
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
  } else if (column->type.kind == SF_PY_ARROW_LIST_VIEW) {
    read_view_place(column, row, first, count);
    if (*first < 0 || *count < 0 || *first > child->length)
      return false;
    return *count <= child->length - *first;
  } else {
    read_offsets(column, row, first, &end);
    *count = end - *first;
  }
  return *first >= 0 && *count >= 0 && end <= child->length;
}
