/* JSON objects from the values of columns. */
#include "arrow.h"
#include "object.h"
#include "python.h"

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

/* The shortest text that reads as the same number. JSON has no form for NaN and infinities. */
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

/* The seconds east of Greenwich of a timestamp's zone; where Python doesn't know the zone, UTC's: the same moment. */
static int64_t zone_seconds(const sf_py_arrow_column *column, int64_t row) {
  int64_t seconds;
  if (sf_py_arrow_fixed_zone(column->type.zone, &seconds))
    return seconds;
  PyObject *function = sf_py_import("shardyfusion._values", "zone_seconds");
  PyObject *found = function == NULL ? NULL
                                     : PyObject_CallFunction(function, "sL", column->type.zone,
                                                             (long long)sf_py_arrow_seconds(column, row));
  seconds = found == NULL ? 0 : PyLong_AsLongLong(found);
  Py_XDECREF(function);
  Py_XDECREF(found);
  return seconds;
}

/* What JSON has no form for, as text. */
static int put_as_text(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
  char text[SF_PY_ARROW_MAX_TEXT];
  bool has_zone = column->type.kind == SF_PY_ARROW_TIMESTAMP && column->type.zone[0] != '\0';
  int64_t seconds = has_zone ? zone_seconds(column, row) : 0;
  if (PyErr_Occurred())
    return -1;
  sf_py_arrow_put_text(column, row, has_zone, seconds, text);
  return put_string(json, text, strlen(text));
}

static int put_value(sf_py_json *json, const sf_py_arrow_column *column, int64_t row);

/* A map's keys are text. */
static int put_map(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
  sf_py_arrow_column entries = sf_py_arrow_child(column, 0);
  sf_py_arrow_column keys = sf_py_arrow_child(&entries, 0);
  sf_py_arrow_column values = sf_py_arrow_child(&entries, 1);
  int64_t first;
  int64_t count;
  if (!sf_py_arrow_list(column, row, &first, &count))
    return fail_damaged(column);
  int result = put(json, "{", 1);
  for (int64_t i = 0; i < count && result == 0; i++) {
    int64_t at = entries.array->offset + first + i;
    result = i > 0 ? put(json, ", ", 2) : 0;
    if (result == 0)
      result = put_value(json, &keys, at);
    if (result == 0)
      result = put(json, ": ", 2);
    if (result == 0)
      result = put_value(json, &values, at);
  }
  return result < 0 ? -1 : put(json, "}", 1);
}

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
static int put_struct(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
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
  sf_py_arrow_column values = *column;
  if (!sf_py_arrow_resolve(&values, &row))
    return fail_damaged(column);
  if (sf_py_arrow_is_null(&values, row))
    return put(json, "null", 4);
  switch (values.type.kind) {
  case SF_PY_ARROW_BOOL:
    return sf_py_arrow_bool(&values, row) ? put(json, "true", 4) : put(json, "false", 5);
  case SF_PY_ARROW_INTEGER:
    return put_integer(json, &values, row);
  case SF_PY_ARROW_FLOAT:
    return put_float(json, sf_py_arrow_float(&values, row));
  case SF_PY_ARROW_TEXT:
  case SF_PY_ARROW_TEXT_VIEW:
    return put_text(json, &values, row);
  case SF_PY_ARROW_BINARY:
    return put_bytes(json, sf_py_arrow_bytes(&values, row), values.type.width);
  case SF_PY_ARROW_LIST:
  case SF_PY_ARROW_LIST_VIEW:
  case SF_PY_ARROW_FIXED_SIZE_LIST:
    return put_list(json, &values, row);
  case SF_PY_ARROW_MAP:
    return put_map(json, &values, row);
  case SF_PY_ARROW_STRUCT:
    return put_struct(json, &values, row);
  case SF_PY_ARROW_UUID:
  case SF_PY_ARROW_DECIMAL:
  case SF_PY_ARROW_DATE:
  case SF_PY_ARROW_TIME:
  case SF_PY_ARROW_TIMESTAMP:
  case SF_PY_ARROW_DURATION:
    return put_as_text(json, &values, row);
  default:
    return put(json, "null", 4);
  }
}

static bool can_write(const struct ArrowSchema *schema, int depth, const char **format) {
  schema = sf_py_arrow_values(schema);
  *format = schema->format;
  sf_py_arrow_kind kind = sf_py_arrow_type_of(schema).kind;
  if (kind == SF_PY_ARROW_OTHER || depth == MAX_DEPTH)
    return false;
  if (kind == SF_PY_ARROW_MAP) {
    sf_py_arrow_type key = sf_py_arrow_type_of(sf_py_arrow_values(schema->children[0]->children[0]));
    if ((key.kind != SF_PY_ARROW_TEXT && key.kind != SF_PY_ARROW_TEXT_VIEW) || key.is_binary)
      return false;
  }
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
    sf_py_arrow_column values = columns[i];
    int64_t at = row;
    if (!sf_py_arrow_resolve(&values, &at))
      return fail_damaged(&columns[i]);
    if (sf_py_arrow_is_null(&values, at))
      continue;
    const char *name = sf_py_arrow_name(columns[i].schema);
    result = is_first ? 0 : put(json, ", ", 2);
    is_first = false;
    if (result == 0)
      result = put_string(json, name, strlen(name));
    if (result == 0)
      result = put(json, ": ", 2);
    if (result == 0)
      result = put_value(json, &values, at);
  }
  return result < 0 ? -1 : put(json, "}", 1);
}

int sf_py_json_put(sf_py_json *json, const sf_py_arrow_column *column, int64_t row) {
  return put_value(json, column, row);
}
