#include "routing/routing_config.h"

#include "base/hexadecimal.h"
#include "base/memory.h"

#include <string.h>

#define MAX_CEL_COLUMNS 1000

void sf_routing_config_free(sf_routing_config *config) {
  for (size_t i = 0; i < config->num_cel_columns; i++)
    free((char *)(uintptr_t)config->cel_columns[i].name);
  for (size_t i = 0; i < config->num_routing_values; i++)
    free(config->routing_values[i].data);
  free(config->cel_columns);
  free(config->routing_values);
  free(config->cel_expression);
  free(config->cel_columns_text);
  free(config->routing_values_text);
  *config = (sf_routing_config){0};
}

static bool column_kind(const char *name, sf_cel_kind *kind) {
  static const sf_cel_kind kinds[] = {SF_CEL_INT, SF_CEL_STRING, SF_CEL_BYTES, SF_CEL_DOUBLE, SF_CEL_BOOL, SF_CEL_UINT};
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    if (strcmp(sf_cel_kind_name(kinds[i]), name) == 0) {
      *kind = kinds[i];
      return true;
    }
  return false;
}

static sf_code read_column(const char *name, const json_t *type, const char *what, sf_routing_config *config,
                           sf_error *error) {
  sf_cel_kind kind;
  if (!json_is_string(type) || !column_kind(json_string_value(type), &kind))
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR,
                   "%s: expected the type of cel_columns.%s to be int, string, bytes, double, bool or uint, found %s",
                   what, name, sf_json_show(type).text);
  char *copy = sf_strdup(name);
  if (copy == NULL)
    return sf_fail_memory(error, what);
  config->cel_columns[config->num_cel_columns++] = (sf_cel_declaration){.name = copy, .type = kind};
  return SF_OK;
}

sf_code sf_routing_config_read_columns(const json_t *columns, const char *what, sf_routing_config *config,
                                       sf_error *error) {
  size_t count = json_object_size(columns);
  if (count > MAX_CEL_COLUMNS)
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR, "%s: expected at most %d cel_columns, found %zu", what,
                   MAX_CEL_COLUMNS, count);
  config->cel_columns = sf_calloc(count, sizeof(*config->cel_columns));
  if (config->cel_columns == NULL)
    return sf_fail_memory(error, what);
  const char *name;
  const json_t *type;
  sf_json_foreach_member(columns, name, type) SF_TRY(read_column(name, type, what, config, error));
  return SF_OK;
}

bool sf_routing_decode_bytes(const json_t *value, char **data, size_t *length) {
  const json_t *member = json_object_size(value) == 1 ? sf_json_member(value, "__bytes_hex__") : NULL;
  *data = NULL;
  if (!json_is_string(member) || json_string_length(member) % 2 != 0)
    return true;
  const char *digits = json_string_value(member);
  size_t count = json_string_length(member) / 2;
  for (size_t i = 0; i < 2 * count; i++)
    if (!sf_is_hexadecimal_digit(digits[i]))
      return true;
  char *decoded = sf_calloc(count + 1, 1);
  if (decoded == NULL)
    return false;
  for (size_t i = 0; i < count; i++)
    decoded[i] = (char)(sf_hexadecimal_digit(digits[2 * i]) * 16 + sf_hexadecimal_digit(digits[2 * i + 1]));
  *data = decoded;
  *length = count;
  return true;
}

/* Reads one token. *is_valid is false for what is none. False when memory is out. */
static bool read_value(const json_t *item, sf_json_text text, sf_routing_value *value, bool *is_valid) {
  *is_valid = true;
  if (json_is_number(item)) {
    value->kind = sf_json_to_int64(item, &value->integer) ? SF_CEL_INT : SF_CEL_UINT;
    *is_valid = value->kind == SF_CEL_INT || sf_json_text_to_uint64(text, &value->unsigned_integer);
    return true;
  }
  if (json_is_string(item)) {
    value->kind = SF_CEL_STRING;
    value->length = json_string_length(item);
    value->data = sf_memdup_string(json_string_value(item), value->length);
    return value->data != NULL;
  }
  value->kind = SF_CEL_BYTES;
  bool decoded = sf_routing_decode_bytes(item, &value->data, &value->length);
  *is_valid = value->data != NULL;
  return decoded;
}

sf_code sf_routing_config_read_values(const json_t *values, sf_json_text text, const char *what,
                                      sf_routing_config *config, sf_error *error) {
  sf_json_parts elements = sf_json_parts_of(text.data, text.length);
  size_t count = json_array_size(values);
  config->routing_values = sf_calloc(count, sizeof(*config->routing_values));
  if (config->routing_values == NULL)
    return sf_fail_memory(error, what);
  config->has_routing_values = true;
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_array_get(values, i);
    bool is_valid;
    sf_json_text element = {.data = "", .length = 0};
    sf_json_next_element(&elements, &element);
    config->num_routing_values = i + 1;
    if (!read_value(item, element, &config->routing_values[i], &is_valid))
      return sf_fail_memory(error, what);
    if (!is_valid)
      return sf_fail(error, SF_MANIFEST_PARSE_ERROR,
                     "%s: expected routing_values[%zu] to be an integer, a string or {\"__bytes_hex__\": …}, found %s",
                     what, i, sf_json_show(item).text);
  }
  return SF_OK;
}
