/* Routing by the value of a CEL expression over the query's routing context. */
#include "base/json.h"
#include "base/memory.h"
#include "routing/router.h"

#include <stdio.h>
#include <string.h>

/* A context's variables, and the bytes that were decoded for them. */
typedef struct bindings {
  sf_cel_binding *items;
  size_t count;
  char **decoded; /* as many as there is room for in items; NULL where nothing was decoded */
} bindings;

static void free_bindings(bindings *bound) {
  for (size_t i = 0; bound->decoded != NULL && i < bound->count; i++)
    free(bound->decoded[i]);
  free(bound->decoded);
  free(bound->items);
}

static sf_cel_value text_value(sf_cel_kind kind, const char *data, size_t length) {
  return (sf_cel_value){.kind = kind, .as.text = {.data = data, .length = length}};
}

/* Whether the member has the declared type, and its value. */
static bool convert(json_object *member, sf_cel_kind kind, char **decoded, sf_cel_value *value) {
  value->kind = kind;
  size_t length;
  switch (kind) {
  case SF_CEL_INT:
    return sf_json_to_int64(member, &value->as.integer);
  case SF_CEL_UINT:
    value->as.unsigned_integer = json_object_get_uint64(member);
    return json_object_is_type(member, json_type_int) && json_object_get_int64(member) >= 0;
  case SF_CEL_DOUBLE:
    value->as.number = json_object_get_double(member);
    return json_object_is_type(member, json_type_double) || json_object_is_type(member, json_type_int);
  case SF_CEL_BOOL:
    value->as.boolean = json_object_get_boolean(member);
    return json_object_is_type(member, json_type_boolean);
  case SF_CEL_STRING:
    if (!json_object_is_type(member, json_type_string))
      return false;
    *value = text_value(kind, json_object_get_string(member), (size_t)json_object_get_string_len(member));
    return true;
  case SF_CEL_BYTES:
    if (!sf_routing_decode_bytes(member, decoded, &length))
      return false;
    *value = text_value(kind, *decoded, length);
    return true;
  default:
    return false;
  }
}

static sf_code bind_columns(const sf_routing_config *config, json_object *context, bindings *bound, sf_error *error) {
  bound->items = sf_calloc(config->num_cel_columns, sizeof(*bound->items));
  bound->decoded = sf_calloc(config->num_cel_columns, sizeof(*bound->decoded));
  if (bound->items == NULL || bound->decoded == NULL)
    return sf_fail_memory(error, "routing_context");
  for (size_t i = 0; i < config->num_cel_columns; i++) {
    const sf_cel_declaration *column = &config->cel_columns[i];
    json_object *member = NULL;
    if (!json_object_object_get_ex(context, column->name, &member))
      continue;
    size_t slot = bound->count++;
    bound->items[slot].name = column->name;
    if (!convert(member, column->type, &bound->decoded[slot], &bound->items[slot].value))
      return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "routing_context: expected %s to be %s, found %.80s",
                     column->name, sf_cel_kind_name(column->type), json_object_to_json_string(member));
  }
  return SF_OK;
}

static bool value_equals(const sf_routing_value *candidate, const sf_cel_value *value) {
  if (candidate->kind != value->kind)
    return false;
  if (candidate->kind == SF_CEL_INT)
    return candidate->integer == value->as.integer;
  return candidate->length == value->as.text.length &&
         memcmp(candidate->data, value->as.text.data, candidate->length) == 0;
}

/* A token as messages show it. */
static void describe(const sf_cel_value *value, char *text, size_t size) {
  if (value->kind == SF_CEL_INT)
    snprintf(text, size, "%lld", (long long)value->as.integer);
  else if (value->kind == SF_CEL_STRING)
    snprintf(text, size, "\"%.*s\"", (int)(value->as.text.length < 80 ? value->as.text.length : 80),
             value->as.text.data);
  else
    snprintf(text, size, "%zu bytes", value->as.text.length);
}

static sf_code shard_of_token(const sf_router_source *source, const sf_cel_value *value, uint32_t *shard_id,
                              sf_error *error) {
  const sf_routing_config *config = source->config;
  char token[128];
  describe(value, token, sizeof(token));
  for (size_t i = 0; i < config->num_routing_values; i++)
    if (value_equals(&config->routing_values[i], value)) {
      *shard_id = (uint32_t)i;
      return SF_OK;
    }
  if (config->has_routing_values)
    return sf_fail(error, SF_UNKNOWN_ROUTING_TOKEN_ERROR, "cel_expr: expected one of %zu routing_values, found %s",
                   config->num_routing_values, token);
  if (value->kind != SF_CEL_INT || value->as.integer < 0 || value->as.integer >= source->num_dbs)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "cel_expr: expected a shard id from 0 to %u, found %s",
                   (unsigned)(source->num_dbs - 1), token);
  *shard_id = (uint32_t)value->as.integer;
  return SF_OK;
}

static sf_code shard_of_value(const sf_router_source *source, const sf_cel_value *value, uint32_t *shard_id,
                              sf_error *error) {
  if (value->kind != SF_CEL_INT && value->kind != SF_CEL_STRING && value->kind != SF_CEL_BYTES)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "cel_expr: expected an int, a string or bytes, found %s",
                   sf_cel_kind_name(value->kind));
  return shard_of_token(source, value, shard_id, error);
}

sf_code sf_route_cel(const sf_router_source *source, const sf_cel_program *program, const char *routing_context,
                     uint32_t *shard_id, sf_error *error) {
  if (routing_context == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "routing_context: expected one, because the snapshot's sharding is cel, found none");
  json_object *context;
  SF_TRY(sf_json_parse_object(routing_context, strlen(routing_context), "routing_context", SF_CONFIG_VALIDATION_ERROR,
                              &context, error));
  bindings bound = {0};
  sf_cel_result *result = NULL;
  sf_code code = bind_columns(source->config, context, &bound, error);
  if (code == SF_OK)
    code = sf_cel_evaluate(program, bound.items, bound.count, &result, error);
  if (code == SF_OK)
    code = shard_of_value(source, sf_cel_result_value(result), shard_id, error);
  sf_cel_result_free(result);
  free_bindings(&bound);
  json_object_put(context);
  return code;
}
