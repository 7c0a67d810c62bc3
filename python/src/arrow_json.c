/* JSON objects from the values of columns. */
#include "arrow.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 32 };

static int reserve(sf_py_json *json, size_t extra) {
  if (json->capacity - json->length >= extra)
    return 0;
  size_t capacity = json->capacity * 2 + extra + 64;
  char *text = PyMem_Realloc(json->text, capacity);
  if (text == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  json->text = text;
  json->capacity = capacity;
  return 0;
}

static int put(sf_py_json *json, const char *text, size_t length) {
  if (reserve(json, length) < 0)
    return -1;
  memcpy(json->text + json->length, text, length);
  json->length += length;
  return 0;
}

void sf_py_json_free(sf_py_json *json) {
  PyMem_Free(json->text);
  *json = (sf_py_json){0};
}

/* What has to be escaped (RFC 8259, section 7) in at most six bytes each. */
static int put_string(sf_py_json *json, const char *text, size_t length) {
  static const char digits[] = "0123456789abcdef";
  if (length > SIZE_MAX / 8 || reserve(json, 6 * length + 2) < 0)
    return -1;
  char *to = json->text + json->length;
  *to++ = '"';
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (byte == '"' || byte == '\\') {
      *to++ = '\\';
      *to++ = (char)byte;
    } else if (byte < 0x20) {
      memcpy(to, "\\u00", 4);
      to[4] = digits[byte >> 4];
      to[5] = digits[byte & 15];
      to += 6;
    } else {
      *to++ = (char)byte;
    }
  }
  *to++ = '"';
  json->length = (size_t)(to - json->text);
  return 0;
}

/* {"__bytes_hex__": "00ff"}, as routing contexts have bytes. */
static int put_bytes(sf_py_json *json, const char *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  if (put(json, "{\"__bytes_hex__\": \"", 19) < 0 || length > SIZE_MAX / 4 || reserve(json, 2 * length) < 0)
    return -1;
  for (size_t i = 0; i < length; i++) {
    json->text[json->length++] = digits[(unsigned char)bytes[i] >> 4];
    json->text[json->length++] = digits[(unsigned char)bytes[i] & 15];
  }
  return put(json, "\"}", 2);
}

/* The shortest text that reads as the same number. JSON has none for what is not finite. */
static int put_float(sf_py_json *json, double value) {
  if (!isfinite(value))
    return put(json, "null", 4);
  char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
  int result = text == NULL ? -1 : put(json, text, strlen(text));
  PyMem_Free(text);
  return result;
}

static int put_integer(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
  char text[32];
  int64_t value;
  if (sf_py_arrow_integer(column, row, &value))
    PyOS_snprintf(text, sizeof(text), "%lld", (long long)value);
  else
    PyOS_snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
  return put(json, text, strlen(text));
}

static int fail_damaged(const sf_py_arrow_column *column) {
  PyErr_Format(PyExc_ValueError, "column %s: a value lies outside of its array", sf_py_arrow_name(column->schema));
  return -1;
}

static int put_text(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
  const char *text;
  size_t length;
  if (!sf_py_arrow_text(column, row, &text, &length))
    return fail_damaged(column);
  return column->type.is_binary ? put_bytes(json, text, length) : put_string(json, text, length);
}

static int put_value(sf_py_json *json, const sf_py_arrow_column *column, int64_t row);

static int put_list(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
  sf_py_arrow_column child = sf_py_arrow_child(column, 0);
  int64_t first;
  int64_t count;
  if (!sf_py_arrow_list(column, row, &first, &count))
    return fail_damaged(column);
  int result = put(json, "[", 1);
  for (int64_t i = 0; i < count && result == 0; i++) {
    result = i > 0 ? put(json, ", ", 2) : 0;
    if (result == 0)
      result = put_value(json, &child, first + i);
  }
  return result < 0 ? -1 : put(json, "]", 1);
}

/* A struct's children have the struct's offset to be added to their own. */
int sf_py_json_put_struct(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
  int result = put(json, "{", 1);
  for (int64_t i = 0; i < column->array->n_children && result == 0; i++) {
    sf_py_arrow_column child = sf_py_arrow_child(column, i);
    result = i > 0 ? put(json, ", ", 2) : 0;
    if (result == 0)
      result = put_string(json, sf_py_arrow_name(child.schema), strlen(sf_py_arrow_name(child.schema)));
    if (result == 0)
      result = put(json, ": ", 2);
    if (result == 0)
      result = put_value(json, &child, column->array->offset + row);
  }
  return result < 0 ? -1 : put(json, "}", 1);
}

static int put_value(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
  if (sf_py_arrow_is_null(column, row))
    return put(json, "null", 4);
  switch (column->type.kind) {
  case SF_PY_ARROW_BOOL:
    return sf_py_arrow_bool(column, row) ? put(json, "true", 4) : put(json, "false", 5);
  case SF_PY_ARROW_INTEGER:
    return put_integer(json, column, row);
  case SF_PY_ARROW_FLOAT:
    return put_float(json, sf_py_arrow_float(column, row));
  case SF_PY_ARROW_TEXT:
  case SF_PY_ARROW_TEXT_VIEW:
    return put_text(json, column, row);
  case SF_PY_ARROW_LIST:
  case SF_PY_ARROW_FIXED_SIZE_LIST:
    return put_list(json, column, row);
  case SF_PY_ARROW_STRUCT:
    return sf_py_json_put_struct(json, column, row);
  case SF_PY_ARROW_NULL:
  case SF_PY_ARROW_OTHER:
    break;
  }
  return put(json, "null", 4);
}

static bool can_write(const struct ArrowSchema *schema, int depth, const char **format) {
  *format = schema->dictionary != NULL ? "dictionary" : schema->format;
  sf_py_arrow_kind kind = sf_py_arrow_type_of(schema).kind;
  if (kind == SF_PY_ARROW_OTHER || depth == MAX_DEPTH)
    return false;
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (!can_write(schema->children[i], depth + 1, format))
      return false;
  }
  return true;
}

bool sf_py_json_can_write(const struct ArrowSchema *schema, const char **format) {
  return can_write(schema, 0, format);
}

int sf_py_json_put_object(sf_py_json *json, const sf_py_arrow_column *columns, size_t count, int64_t row) {
  bool is_first = true;
  int result = put(json, "{", 1);
  for (size_t i = 0; i < count && result == 0; i++) {
    if (sf_py_arrow_is_null(&columns[i], row))
      continue;
    const char *name = sf_py_arrow_name(columns[i].schema);
    result = is_first ? 0 : put(json, ", ", 2);
    is_first = false;
    if (result == 0)
      result = put_string(json, name, strlen(name));
    if (result == 0)
      result = put(json, ": ", 2);
    if (result == 0)
      result = put_value(json, &columns[i], row);
  }
  return result < 0 ? -1 : put(json, "}", 1);
}
