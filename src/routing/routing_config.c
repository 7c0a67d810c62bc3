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

sf_code sf_routing_config_read_columns(const json_object *columns, const char *what, sf_routing_config *config,
                                       sf_error *error) {
  size_t count = (size_t)json_object_object_length(columns);
  if (count > MAX_CEL_COLUMNS)
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR, "%s: expected at most %d cel_columns, found %zu", what,
                   MAX_CEL_COLUMNS, count);
  config->cel_columns = sf_calloc(count, sizeof(*config->cel_columns));
  if (config->cel_columns == NULL)
    return sf_fail_memory(error, what);
  struct json_object_iterator next = json_object_iter_begin((json_object *)(uintptr_t)columns);
  for (size_t i = 0; i < count; i++, json_object_iter_next(&next)) {
    const char *name = json_object_iter_peek_name(&next);
    const json_object *type = json_object_iter_peek_value(&next);
    sf_cel_kind kind;
    if (!json_object_is_type(type, json_type_string) ||
        !column_kind(json_object_get_string((json_object *)(uintptr_t)type), &kind))
      return sf_fail(
          error, SF_MANIFEST_PARSE_ERROR,
          "%s: expected the type of cel_columns.%s to be int, string, bytes, double, bool or uint, found %.80s", what,
          name, json_object_to_json_string((json_object *)(uintptr_t)type));
    char *copy = sf_strdup(name);
    if (copy == NULL)
      return sf_fail_memory(error, what);
    config->cel_columns[config->num_cel_columns++] = (sf_cel_declaration){.name = copy, .type = kind};
  }
  return SF_OK;
}

bool sf_routing_decode_bytes(const json_object *value, char **data, size_t *length) {
  if (!json_object_is_type(value, json_type_object) || json_object_object_length(value) != 1)
    return false;
  json_object *member = sf_json_member(value, "__bytes_hex__");
  if (!json_object_is_type(member, json_type_string) || json_object_get_string_len(member) % 2 != 0)
    return false;
  const char *digits = json_object_get_string(member);
  size_t count = (size_t)json_object_get_string_len(member) / 2;
  char *decoded = sf_calloc(count + 1, 1);
  for (size_t i = 0; decoded != NULL && i < count; i++) {
    int high = sf_hexadecimal_digit(digits[2 * i]);
    int low = sf_hexadecimal_digit(digits[2 * i + 1]);
    if (high < 0 || low < 0) {
      free(decoded);
      return false;
    }
    decoded[i] = (char)(high * 16 + low);
  }
  *data = decoded;
  *length = count;
  return decoded != NULL;
}

/* Reads one token; `value->data` stays NULL where memory was out or nothing fits. */
static bool read_value(json_object *item, sf_routing_value *value) {
  if (json_object_is_type(item, json_type_int)) {
    value->unsigned_integer = json_object_get_uint64(item);
    value->kind = sf_json_to_int64(item, &value->integer) ? SF_CEL_INT : SF_CEL_UINT;
    return true;
  }
  if (json_object_is_type(item, json_type_string)) {
    value->kind = SF_CEL_STRING;
    value->length = (size_t)json_object_get_string_len(item);
    value->data = sf_memdup_string(json_object_get_string(item), value->length);
    return value->data != NULL;
  }
  value->kind = SF_CEL_BYTES;
  return sf_routing_decode_bytes(item, &value->data, &value->length);
}

sf_code sf_routing_config_read_values(const json_object *values, const char *what, sf_routing_config *config,
                                      sf_error *error) {
  size_t count = json_object_array_length(values);
  config->routing_values = sf_calloc(count, sizeof(*config->routing_values));
  if (config->routing_values == NULL)
    return sf_fail_memory(error, what);
  config->has_routing_values = true;
  for (size_t i = 0; i < count; i++) {
    json_object *item = json_object_array_get_idx(values, i);
    config->num_routing_values = i + 1;
    if (!read_value(item, &config->routing_values[i]))
      return sf_fail(
          error, SF_MANIFEST_PARSE_ERROR,
          "%s: expected routing_values[%zu] to be an integer, a string or {\"__bytes_hex__\": …}, found %.80s", what, i,
          json_object_to_json_string(item));
  }
  return SF_OK;
}
