#include "snapshot/npy.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdio.h>

enum { MAX_DIMENSIONS = 2 };

/* What the header's dictionary says. */
typedef struct npy_header {
  bool has_type, has_order, has_shape;
  sf_npy_type type;
  bool is_fortran_order;
  int num_dimensions;
  uint64_t shape[MAX_DIMENSIONS];
} npy_header;

/* ------------------------------------------------------------------------------ The header: a Python dictionary literal */

static void skip_blanks(sf_cursor *header) {
  while (sf_cursor_remaining(header) > 0) {
    uint8_t next = header->data[header->position];
    if (next != ' ' && next != '\t' && next != '\n' && next != '\r')
      return;
    header->position++;
  }
}

/* Takes `symbol`, blanks before it aside; false (and no move beyond the blanks) when something else comes. */
static bool take_symbol(sf_cursor *header, char symbol) {
  skip_blanks(header);
  if (sf_cursor_remaining(header) == 0 || header->data[header->position] != (uint8_t)symbol)
    return false;
  header->position++;
  return true;
}

static bool take_word(sf_cursor *header, const char *word) {
  skip_blanks(header);
  size_t length = strlen(word);
  if (sf_cursor_remaining(header) < length || memcmp(header->data + header->position, word, length) != 0)
    return false;
  header->position += length;
  return true;
}

/* A quoted string without escapes: the only kind that a key or a type name needs. */
static bool take_string(sf_cursor *header, const char **text, size_t *length) {
  char quote = '\'';
  if (!take_symbol(header, quote)) {
    quote = '"';
    if (!take_symbol(header, quote))
      return false;
  }
  size_t start = header->position;
  uint8_t next = 0;
  while (sf_cursor_u8(header, &next) && next != (uint8_t)quote && next != '\\')
    ;
  if (next != (uint8_t)quote || header->position == start)
    return false;
  *text = (const char *)header->data + start;
  *length = header->position - 1 - start;
  return true;
}

static bool take_integer(sf_cursor *header, uint64_t *value) {
  skip_blanks(header);
  size_t start = header->position;
  uint64_t total = 0;
  while (sf_cursor_remaining(header) > 0) {
    uint8_t digit = (uint8_t)(header->data[header->position] - '0');
    if (digit > 9)
      break;
    if (__builtin_mul_overflow(total, 10, &total) || __builtin_add_overflow(total, digit, &total))
      return false;
    header->position++;
  }
  if (header->position == start)
    return false;
  (void)take_word(header, "L"); /* Python 2 wrote its long integers so */
  *value = total;
  return true;
}

static bool text_equals(const char *text, size_t length, const char *expected) {
  return length == strlen(expected) && memcmp(text, expected, length) == 0;
}

/* "<f4": the byte order ('|' where a single byte has none, '=' the machine's own), the kind, and the size in bytes. */
static bool type_of(const char *descr, size_t length, sf_npy_type *type) {
  static const struct {
    char letter;
    sf_npy_kind kind;
    const char *sizes;
  } kinds[] = {
      {'f', SF_NPY_FLOAT, "248"}, {'i', SF_NPY_INT, "1248"}, {'u', SF_NPY_UINT, "1248"}, {'b', SF_NPY_BOOL, "1"}};
  if (length != 3 || descr[0] == '\0' || descr[2] == '\0' || strchr("<>|=", descr[0]) == NULL)
    return false;
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    if (descr[1] == kinds[i].letter && strchr(kinds[i].sizes, descr[2]) != NULL) {
      *type = (sf_npy_type){.kind = kinds[i].kind, .size = (uint8_t)(descr[2] - '0'), .is_big_endian = descr[0] == '>'};
      return descr[0] != '|' || type->size == 1;
    }
  return false;
}

static sf_code parse_type(sf_cursor *header, const char *name, npy_header *parsed, sf_error *error) {
  static const char expected[] = "expected floats ('<f2', '<f4', '<f8'), integers or booleans";
  const char *descr;
  size_t length;
  if (take_symbol(header, '['))
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: elements of a structured type ('descr' is a list), %s", name,
                   expected);
  if (!take_string(header, &descr, &length))
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: 'descr' of the .npy header is not the name of a type", name);
  parsed->has_type = type_of(descr, length, &parsed->type);
  if (parsed->has_type)
    return SF_OK;
  bool is_object = length == 2 && descr[1] == 'O';
  return sf_fail(error, SF_READER_STATE_ERROR, "%s: elements of type '%.*s'%s, %s", name,
                 (int)(length < 40 ? length : 40), descr, is_object ? " (Python objects)" : "", expected);
}

static sf_code parse_shape(sf_cursor *header, const char *name, npy_header *parsed, sf_error *error) {
  if (!take_symbol(header, '('))
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: 'shape' of the .npy header is not a tuple", name);
  bool has_comma = true;
  while (!take_symbol(header, ')')) {
    uint64_t extent;
    if (!has_comma || !take_integer(header, &extent))
      return sf_fail(error, SF_READER_STATE_ERROR, "%s: 'shape' of the .npy header is not a tuple of integers", name);
    if (parsed->num_dimensions == MAX_DIMENSIONS)
      return sf_fail(error, SF_READER_STATE_ERROR, "%s: more than 2 dimensions, expected 1 or 2", name);
    parsed->shape[parsed->num_dimensions++] = extent;
    has_comma = take_symbol(header, ',');
  }
  if (parsed->num_dimensions == 0)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: a single number, expected an array of 1 or 2 dimensions", name);
  parsed->has_shape = true;
  return SF_OK;
}

static sf_code parse_order(sf_cursor *header, const char *name, npy_header *parsed, sf_error *error) {
  parsed->is_fortran_order = take_word(header, "True");
  if (!parsed->is_fortran_order && !take_word(header, "False"))
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: 'fortran_order' of the .npy header is not True or False", name);
  parsed->has_order = true;
  return SF_OK;
}

static sf_code parse_entry(sf_cursor *header, const char *name, npy_header *parsed, sf_error *error) {
  const char *key;
  size_t length;
  if (!take_string(header, &key, &length) || !take_symbol(header, ':'))
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: the .npy header is not a dictionary", name);
  if (text_equals(key, length, "descr") && !parsed->has_type)
    return parse_type(header, name, parsed, error);
  if (text_equals(key, length, "fortran_order") && !parsed->has_order)
    return parse_order(header, name, parsed, error);
  if (text_equals(key, length, "shape") && !parsed->has_shape)
    return parse_shape(header, name, parsed, error);
  return sf_fail(error, SF_READER_STATE_ERROR,
                 "%s: the .npy header has '%.*s', expected 'descr', 'fortran_order' and 'shape', once each", name,
                 (int)(length < 40 ? length : 40), key);
}

static sf_code parse_dictionary(sf_cursor *header, const char *name, npy_header *parsed, sf_error *error) {
  if (!take_symbol(header, '{'))
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: the .npy header is not a dictionary", name);
  bool has_comma = true;
  while (!take_symbol(header, '}')) {
    if (!has_comma)
      return sf_fail(error, SF_READER_STATE_ERROR, "%s: the .npy header is not a dictionary", name);
    SF_TRY(parse_entry(header, name, parsed, error));
    has_comma = take_symbol(header, ',');
  }
  skip_blanks(header);
  if (sf_cursor_remaining(header) > 0)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: something follows the dictionary of the .npy header", name);
  if (!parsed->has_type || !parsed->has_order || !parsed->has_shape)
    return sf_fail(error, SF_READER_STATE_ERROR,
                   "%s: the .npy header lacks 'descr', 'fortran_order' or 'shape', expected all three", name);
  return SF_OK;
}

/* Magic, version and the header's length, which took two bytes in version 1 and four since. */
static sf_code parse_preamble(sf_cursor *file, const char *name, sf_cursor *header, sf_error *error) {
  const uint8_t *magic = sf_cursor_take(file, 6);
  if (magic == NULL || memcmp(magic, "\x93NUMPY", 6) != 0)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: not a .npy file: it does not begin with \\x93NUMPY", name);
  uint8_t major = 0;
  uint8_t minor = 0;
  if (!sf_cursor_u8(file, &major) || !sf_cursor_u8(file, &minor))
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: the .npy file ends in its version", name);
  if (major < 1 || major > 3 || minor != 0)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: .npy version %u.%u, expected 1.0, 2.0 or 3.0", name, major,
                   minor);
  uint16_t short_length = 0;
  uint32_t header_length = 0;
  bool has_length = major == 1 ? sf_cursor_u16(file, &short_length) : sf_cursor_u32(file, &header_length);
  if (major == 1)
    header_length = short_length;
  const uint8_t *text = has_length ? sf_cursor_take(file, header_length) : NULL;
  if (text == NULL)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: the .npy file ends in its header", name);
  *header = sf_cursor_over(text, header_length);
  return SF_OK;
}

/* -------------------------------------------------------------------------------------------------------- The elements */

/* The extents are whatever the header claims: they become sizes only when the file has the bytes for them. */
static sf_code check_size(const npy_header *header, size_t num_bytes, const char *name, sf_error *error) {
  size_t size = header->type.size;
  uint64_t rows = header->num_dimensions == 1 ? 1 : header->shape[0];
  uint64_t columns = header->shape[header->num_dimensions - 1];
  bool may_be_empty = header->num_dimensions == 1 && sf_npy_is_integer(header->type);
  if ((columns == 0 && !may_be_empty) || columns > SIZE_MAX)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: rows of %llu components, expected at least one", name,
                   (unsigned long long)columns);
  uint64_t expected;
  if (__builtin_mul_overflow(rows, columns, &expected) || __builtin_mul_overflow(expected, size, &expected) ||
      expected != num_bytes)
    return sf_fail(error, SF_READER_STATE_ERROR,
                   "%s: %zu bytes of elements do not fit the shape (%llu, %llu) with %zu bytes an element", name,
                   num_bytes, (unsigned long long)rows, (unsigned long long)columns, size);
  return SF_OK;
}

static void load_elements(const uint8_t *bytes, const npy_header *header, sf_npy *array) {
  size_t row_step = header->is_fortran_order ? 1 : array->num_columns;
  size_t column_step = header->is_fortran_order ? array->num_rows : 1;
  for (size_t row = 0; row < array->num_rows; row++) {
    double *values = array->values + row * array->num_columns;
    for (size_t column = 0; column < array->num_columns; column++)
      values[column] = sf_npy_number(header->type, bytes + (row * row_step + column * column_step) * header->type.size);
  }
}

static sf_code parse_header(const void *bytes, size_t length, const char *name, npy_header *header, size_t *offset,
                            sf_error *error) {
  sf_cursor file = sf_cursor_over(bytes, length);
  sf_cursor dictionary = {0};
  SF_TRY(parse_preamble(&file, name, &dictionary, error));
  SF_TRY(parse_dictionary(&dictionary, name, header, error));
  SF_TRY(check_size(header, sf_cursor_remaining(&file), name, error));
  *offset = file.position;
  return SF_OK;
}

sf_code sf_npy_parse_layout(const void *bytes, size_t length, const char *name, sf_npy_layout *layout,
                            sf_error *error) {
  npy_header header = {0};
  size_t offset;
  SF_TRY(parse_header(bytes, length, name, &header, &offset, error));
  *layout = (sf_npy_layout){
      .num_rows = header.num_dimensions == 1 ? 1 : (size_t)header.shape[0],
      .num_columns = (size_t)header.shape[header.num_dimensions - 1],
      .num_dimensions = header.num_dimensions,
      .type = header.type,
      .is_fortran_order = header.is_fortran_order,
      .offset = offset,
  };
  return SF_OK;
}

void sf_npy_describe(const sf_npy_layout *layout, char *text, size_t size) {
  char order = layout->type.size == 1 ? '|' : layout->type.is_big_endian ? '>' : '<';
  char kind = "fiub"[layout->type.kind];
  if (layout->num_dimensions == 1)
    snprintf(text, size, "'%c%c%u' of shape (%zu,)", order, kind, layout->type.size, layout->num_columns);
  else
    snprintf(text, size, "'%c%c%u' of shape (%zu, %zu)", order, kind, layout->type.size, layout->num_rows,
             layout->num_columns);
}

sf_code sf_npy_parse(const void *bytes, size_t length, const char *name, sf_npy *array, sf_error *error) {
  npy_header header = {0};
  size_t offset;
  SF_TRY(parse_header(bytes, length, name, &header, &offset, error));
  if (header.shape[header.num_dimensions - 1] == 0)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: rows of 0 components, expected at least one", name);
  sf_npy result = {
      .num_rows = header.num_dimensions == 1 ? 1 : (size_t)header.shape[0],
      .num_columns = (size_t)header.shape[header.num_dimensions - 1],
      .num_dimensions = header.num_dimensions,
      .type = header.type,
  };
  /* check_size holds: the product of rows and columns is a file's length at most. */
  result.values = sf_calloc(result.num_rows * result.num_columns, sizeof(double));
  if (result.values == NULL)
    return sf_fail_memory(error, name);
  load_elements((const uint8_t *)bytes + offset, &header, &result);
  *array = result;
  return SF_OK;
}

void sf_npy_free(sf_npy *array) {
  free(array->values);
  *array = (sf_npy){0};
}
