/* Arrow's formats, by the strings that name them, and whether arrays are what these say. Nothing here touches Python. */
#include "arrow.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

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
  if (strcmp(format, "+r") == 0 && schema->n_children == 2)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_RUN_ENDS};
  if (schema->n_children != 1)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
  if (strcmp(format, "+vl") == 0 || strcmp(format, "+vL") == 0)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_LIST_VIEW, .width = format[2] == 'l' ? 4 : 8};
  if (strcmp(format, "+m") == 0 && schema->children[0]->n_children == 2)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_MAP, .width = 4};
  if (strcmp(format, "+l") == 0 || strcmp(format, "+L") == 0)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_LIST, .width = format[1] == 'l' ? 4 : 8};
  if (strncmp(format, "+w:", 3) == 0) {
    long size = strtol(format + 3, NULL, 10);
    if (size > 0)
      return (sf_py_arrow_type){.kind = SF_PY_ARROW_FIXED_SIZE_LIST, .list_size = size};
  }
  return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
}

/* "tsu:UTC", "tdD", "ttm", "tDn": the third letter is the unit. */
static sf_py_arrow_type temporal_type(const char *format) {
  static const char units[] = "smun";
  static const int64_t values[] = {1, 1000, 1000000, 1000000000};
  sf_py_arrow_type type = {.kind = SF_PY_ARROW_OTHER, .width = 8, .is_signed = true, .zone = ""};
  if (format[1] == '\0' || format[2] == '\0')
    return type;
  if (strcmp(format, "tdD") == 0)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_DATE, .width = 4, .is_signed = true};
  const char *unit = strchr(units, format[2]);
  if (unit == NULL)
    return type;
  type.unit = values[unit - units];
  if (strcmp(format, "tdm") == 0)
    type.kind = SF_PY_ARROW_DATE;
  else if (format[1] == 't' && format[3] == '\0') {
    type.kind = SF_PY_ARROW_TIME;
    type.width = type.unit <= 1000 ? 4 : 8;
  } else if (format[1] == 'D' && format[3] == '\0')
    type.kind = SF_PY_ARROW_DURATION;
  else if (format[1] == 's' && format[3] == ':') {
    type.kind = SF_PY_ARROW_TIMESTAMP;
    type.zone = format + 4;
  }
  return type;
}

/* "d:19,10" of 128 bits, or "d:19,10,256". */
static sf_py_arrow_type decimal_type(const char *format) {
  char *end = NULL;
  long precision = strtol(format + 2, &end, 10);
  long scale = *end == ',' ? strtol(end + 1, &end, 10) : -1000;
  long bits = *end == ',' ? strtol(end + 1, &end, 10) : 128;
  bool is_known = bits == 32 || bits == 64 || bits == 128 || bits == 256;
  if (precision < 1 || precision > 76 || scale < -100 || scale > 100 || !is_known || *end != '\0')
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
  return (sf_py_arrow_type){.kind = SF_PY_ARROW_DECIMAL, .width = (size_t)bits / 8, .scale = (int32_t)scale};
}

/* Whether the schema's metadata names an extension: a count, then lengths and texts of keys and values by turns. */
static bool is_extension(const struct ArrowSchema *schema, const char *name) {
  static const char wanted[] = "ARROW:extension:name";
  const char *at = schema->metadata;
  int32_t count = 0;
  if (at == NULL)
    return false;
  memcpy(&count, at, sizeof(count));
  at += sizeof(count);
  for (int32_t i = 0; i < count; i++) {
    int32_t length;
    memcpy(&length, at, sizeof(length));
    bool is_name = (size_t)length == strlen(wanted) && memcmp(at + sizeof(length), wanted, strlen(wanted)) == 0;
    at += sizeof(length) + (size_t)length;
    memcpy(&length, at, sizeof(length));
    if (is_name)
      return (size_t)length == strlen(name) && memcmp(at + sizeof(length), name, strlen(name)) == 0;
    at += sizeof(length) + (size_t)length;
  }
  return false;
}

static sf_py_arrow_type fixed_binary_type(const struct ArrowSchema *schema) {
  long size = strtol(schema->format + 2, NULL, 10);
  if (size < 1)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
  bool is_uuid = size == 16 && is_extension(schema, "arrow.uuid");
  return (sf_py_arrow_type){.kind = is_uuid ? SF_PY_ARROW_UUID : SF_PY_ARROW_BINARY, .width = (size_t)size};
}

static sf_py_arrow_type plain_type(const struct ArrowSchema *schema) {
  const char *format = schema->format;
  if (format[0] == '+')
    return nested_type(schema);
  if (format[0] == 't')
    return temporal_type(format);
  if (strncmp(format, "d:", 2) == 0)
    return decimal_type(format);
  if (strncmp(format, "w:", 2) == 0)
    return fixed_binary_type(schema);
  if (strcmp(format, "vu") == 0 || strcmp(format, "vz") == 0)
    return (sf_py_arrow_type){.kind = SF_PY_ARROW_TEXT_VIEW, .is_binary = format[1] == 'z'};
  for (size_t i = 0; i < NUM_SIMPLE_TYPES && format[0] != '\0' && format[1] == '\0'; i++) {
    if (simple_types[i].format == format[0])
      return simple_types[i].type;
  }
  return (sf_py_arrow_type){.kind = SF_PY_ARROW_OTHER};
}

sf_py_arrow_type sf_py_arrow_type_of(const struct ArrowSchema *schema) {
  sf_py_arrow_type type = plain_type(schema);
  if (schema->dictionary != NULL)
    type.kind = type.kind == SF_PY_ARROW_INTEGER ? SF_PY_ARROW_DICTIONARY : SF_PY_ARROW_OTHER;
  return type;
}

const struct ArrowSchema *sf_py_arrow_values(const struct ArrowSchema *schema) {
  while (true) {
    sf_py_arrow_kind kind = sf_py_arrow_type_of(schema).kind;
    if (kind == SF_PY_ARROW_DICTIONARY)
      schema = schema->dictionary;
    else if (kind == SF_PY_ARROW_RUN_ENDS)
      schema = schema->children[1];
    else
      return schema;
  }
}

static bool is_schema(const struct ArrowSchema *schema, int depth) {
  if (schema == NULL || schema->format == NULL || schema->n_children < 0 || depth > MAX_DEPTH ||
      (schema->n_children > 0 && schema->children == NULL))
    return false;
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (!is_schema(schema->children[i], depth + 1))
      return false;
  }
  return schema->dictionary == NULL || is_schema(schema->dictionary, depth + 1);
}

bool sf_py_arrow_is_schema(const struct ArrowSchema *schema) {
  return is_schema(schema, 0);
}

static int64_t num_buffers_of(sf_py_arrow_kind kind) {
  switch (kind) {
  case SF_PY_ARROW_NULL:
  case SF_PY_ARROW_OTHER:
  case SF_PY_ARROW_RUN_ENDS:
  case SF_PY_ARROW_NUM_KINDS:
    return 0;
  case SF_PY_ARROW_FIXED_SIZE_LIST:
  case SF_PY_ARROW_STRUCT:
    return 1;
  case SF_PY_ARROW_TEXT:
  case SF_PY_ARROW_TEXT_VIEW:
  case SF_PY_ARROW_LIST_VIEW:
    return 3;
  default:
    return 2;
  }
}

/* Whether the buffers that every value is read from are there. */
static bool has_buffers(sf_py_arrow_kind kind, const struct ArrowArray *array) {
  int64_t count = num_buffers_of(kind);
  if (array->n_buffers < count || (count > 0 && array->buffers == NULL))
    return false;
  if (array->length == 0 || count < 2)
    return true;
  return array->buffers[1] != NULL && (kind != SF_PY_ARROW_LIST_VIEW || array->buffers[2] != NULL);
}

bool sf_py_arrow_has_layout(const struct ArrowSchema *schema, const struct ArrowArray *array) {
  sf_py_arrow_kind kind = sf_py_arrow_type_of(schema).kind;
  if (array == NULL || array->offset < 0 || array->length < 0 || array->length > INT64_MAX - array->offset ||
      !has_buffers(kind, array))
    return false;
  if (kind == SF_PY_ARROW_OTHER)
    return true;
  if (kind == SF_PY_ARROW_DICTIONARY)
    return sf_py_arrow_has_layout(schema->dictionary, array->dictionary);
  if (array->n_children != schema->n_children || (array->n_children > 0 && array->children == NULL))
    return false;
  for (int64_t i = 0; i < schema->n_children; i++) {
    const struct ArrowArray *child = array->children[i];
    if (!sf_py_arrow_has_layout(schema->children[i], child))
      return false;
    if (kind == SF_PY_ARROW_STRUCT && child->length < array->offset + array->length)
      return false;
  }
  return kind != SF_PY_ARROW_RUN_ENDS || sf_py_arrow_type_of(schema->children[0]).kind == SF_PY_ARROW_INTEGER;
}
