/* The strategy cel: the value of a CEL expression over a row's or a query's routing context names the shard. */
#include "routing/cel.h"

#include "base/json.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "base/utf8.h"

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

/* A query's context: read, and as text, because jansson has no integers beyond int64. */
typedef struct context {
  sf_json json;
  const char *text;
  size_t length;
} context;

/* A member's number, as the column's type has it. */
static bool convert_number(const context *given, const char *name, sf_cel_value *value) {
  sf_json_text text;
  if (!sf_json_find_member(given->text, given->length, name, &text))
    return false;
  if (value->kind == SF_CEL_INT)
    return sf_json_text_to_int64(text, &value->as.integer);
  if (value->kind == SF_CEL_UINT)
    return sf_json_text_to_uint64(text, &value->as.unsigned_integer);
  return sf_json_text_to_double(text, &value->as.number);
}

/* *fits: whether the member has the declared type, and its value. False when memory is out. */
static bool convert(const context *given, const json_t *member, const char *name, char **decoded, sf_cel_value *value,
                    bool *fits) {
  size_t length;
  switch (value->kind) {
  case SF_CEL_INT:
  case SF_CEL_UINT:
  case SF_CEL_DOUBLE:
    *fits = json_is_number(member) && convert_number(given, name, value);
    return true;
  case SF_CEL_BOOL:
    *fits = json_is_boolean(member);
    value->as.boolean = json_is_true(member);
    return true;
  case SF_CEL_STRING:
    *fits = json_is_string(member);
    if (*fits)
      *value = text_value(value->kind, json_string_value(member), json_string_length(member));
    return true;
  case SF_CEL_BYTES:
    if (!sf_routing_decode_bytes(member, decoded, &length))
      return false;
    *fits = *decoded != NULL;
    if (*fits)
      *value = text_value(value->kind, *decoded, length);
    return true;
  default:
    *fits = false;
    return true;
  }
}

static sf_code bind_columns(const sf_routing_config *config, const context *given, bindings *bound, sf_error *error) {
  bound->items = sf_calloc(config->num_cel_columns, sizeof(*bound->items));
  bound->decoded = sf_calloc(config->num_cel_columns, sizeof(*bound->decoded));
  if (bound->items == NULL || bound->decoded == NULL)
    return sf_fail_memory(error, "routing_context");
  for (size_t i = 0; i < config->num_cel_columns; i++) {
    const sf_cel_declaration *column = &config->cel_columns[i];
    const json_t *member = json_object_get(given->json.root, column->name);
    if (member == NULL)
      continue;
    size_t slot = bound->count++;
    bool fits = false;
    bound->items[slot].name = column->name;
    bound->items[slot].value.kind = column->type;
    if (!convert(given, member, column->name, &bound->decoded[slot], &bound->items[slot].value, &fits))
      return sf_fail_memory(error, "routing_context");
    if (!fits)
      return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "routing_context: expected %s to be %s, found %s", column->name,
                     sf_cel_kind_name(column->type), sf_json_show(member).text);
  }
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------- From a value to a shard */

/* The bytes of the white space at `text`, 0 where there is none: in a string what Unicode calls so, in bytes ASCII's. */
static size_t space_length(const char *text, size_t length, sf_cel_kind kind) {
  uint32_t next;
  size_t size = sf_utf8_decode(text, length, &next);
  if (size == 0)
    return 0;
  if (next == ' ' || (next >= '\t' && next <= '\r'))
    return size;
  bool is_space = next == 0x85 || next == 0xA0 || next == 0x1680 || (next >= 0x2000 && next <= 0x200A) ||
                  next == 0x2028 || next == 0x2029 || next == 0x202F || next == 0x205F || next == 0x3000;
  return kind == SF_CEL_STRING && is_space ? size : 0;
}

static size_t skip_spaces(const char *text, size_t length, size_t position, sf_cel_kind kind) {
  size_t size;
  while ((size = space_length(text + position, length - position, kind)) > 0)
    position += size;
  return position;
}

static bool is_digit(const char *text, size_t length, size_t position) {
  return position < length && text[position] >= '0' && text[position] <= '9';
}

/*
 * A decimal integer in a string or in bytes, with what Python's int() allows, by which the format is defined: white space
 * around it, a sign, zeros in front, an underscore between two digits. (Not its digits of other scripts.) `*integer` is
 * the nearest int64 there is; every shard id is far from where that matters.
 */
static bool parse_decimal(const sf_cel_value *value, int64_t *integer) {
  const char *text = value->as.text.data;
  size_t length = value->as.text.length;
  size_t position = skip_spaces(text, length, 0, value->kind);
  bool is_negative = position < length && text[position] == '-';
  if (is_negative || (position < length && text[position] == '+'))
    position++;
  if (!is_digit(text, length, position))
    return false;
  int64_t total = 0;
  while (is_digit(text, length, position)) {
    int digit = text[position++] - '0';
    if (__builtin_mul_overflow(total, 10, &total) ||
        __builtin_add_overflow(total, is_negative ? -digit : digit, &total))
      total = is_negative ? INT64_MIN : INT64_MAX;
    if (position < length && text[position] == '_' && is_digit(text, length, position + 1))
      position++;
  }
  *integer = total;
  return skip_spaces(text, length, position, value->kind) == length;
}

static bool value_equals(const sf_routing_value *candidate, const sf_cel_value *value) {
  if (candidate->kind != value->kind)
    return false;
  switch (value->kind) {
  case SF_CEL_INT:
    return candidate->integer == value->as.integer;
  case SF_CEL_UINT:
    return candidate->unsigned_integer == value->as.unsigned_integer;
  default:
    return candidate->length == value->as.text.length &&
           memcmp(candidate->data, value->as.text.data, candidate->length) == 0;
  }
}

/* A token as messages show it. */
static void describe(const sf_cel_value *value, char *text, size_t size) {
  int shown = value->as.text.length < 80 ? (int)value->as.text.length : 80;
  if (value->kind == SF_CEL_INT)
    snprintf(text, size, "%lld", (long long)value->as.integer);
  else if (value->kind == SF_CEL_UINT)
    snprintf(text, size, "%llu", (unsigned long long)value->as.unsigned_integer);
  else if (value->kind == SF_CEL_STRING)
    snprintf(text, size, "\"%.*s\"", shown, value->as.text.data);
  else if (sf_utf8_valid(value->as.text.data, value->as.text.length, NULL))
    snprintf(text, size, "b\"%.*s\"", shown, value->as.text.data);
  else
    snprintf(text, size, "%zu bytes", value->as.text.length);
}

static sf_code shard_of_routing_value(const sf_routing_config *config, const sf_cel_value *value, uint32_t *shard_id,
                                      sf_error *error) {
  for (size_t i = 0; i < config->num_routing_values; i++)
    if (value_equals(&config->routing_values[i], value)) {
      *shard_id = (uint32_t)i;
      return SF_OK;
    }
  char token[128];
  describe(value, token, sizeof(token));
  return sf_fail(error, SF_UNKNOWN_ROUTING_TOKEN_ERROR, "cel_expr: expected one of %zu routing_values, found %s",
                 config->num_routing_values, token);
}

/* Without routing_values the value is the shard's number. */
static sf_code shard_of_number(uint32_t num_dbs, const sf_cel_value *value, uint32_t *shard_id, sf_error *error) {
  int64_t number = -1;
  bool is_number = value->kind == SF_CEL_INT || value->kind == SF_CEL_UINT;
  if (value->kind == SF_CEL_INT)
    number = value->as.integer;
  else if (!is_number)
    is_number = parse_decimal(value, &number);
  if (is_number && number >= 0 && number < num_dbs) {
    *shard_id = (uint32_t)number;
    return SF_OK;
  }
  char token[128];
  describe(value, token, sizeof(token));
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "cel_expr: expected a shard id from 0 to %u%s, found %s",
                 (unsigned)(num_dbs - 1), is_number ? "" : " in decimal", token);
}

/* A value that can name a shard; `uint` is the int of its value, where there is one. */
static sf_code check_value(const sf_cel_value *result, sf_cel_value *value, sf_error *error) {
  *value = *result;
  if (value->kind == SF_CEL_UINT && value->as.unsigned_integer <= INT64_MAX)
    *value = (sf_cel_value){.kind = SF_CEL_INT, .as.integer = (int64_t)result->as.unsigned_integer};
  if (value->kind == SF_CEL_INT || value->kind == SF_CEL_UINT || value->kind == SF_CEL_STRING ||
      value->kind == SF_CEL_BYTES)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "cel_expr: expected an int, a uint, a string or bytes, found %s",
                 sf_cel_kind_name(value->kind));
}

static sf_code shard_of_value(const sf_router_params *params, const sf_cel_value *result, uint32_t *shard_id,
                              sf_error *error) {
  sf_cel_value value;
  SF_TRY(check_value(result, &value, error));
  return params->config->has_routing_values ? shard_of_routing_value(params->config, &value, shard_id, error)
                                            : shard_of_number(params->num_dbs, &value, shard_id, error);
}

/* Evaluates the expression; *take is given the value, which lives as long as the call. */
static sf_code evaluate(const sf_routing_config *config, const sf_cel_program *program, const char *routing_context,
                        sf_cel_value_function take, void *user_data, sf_error *error) {
  context given = {.text = routing_context, .length = strlen(routing_context)};
  SF_TRY(sf_json_parse_object(given.text, given.length, SF_JSON_STRICT, "routing_context", SF_CONFIG_VALIDATION_ERROR,
                              &given.json, error));
  bindings bound = {0};
  sf_cel_result *result = NULL;
  sf_code code = bind_columns(config, &given, &bound, error);
  if (code == SF_OK)
    code = sf_cel_evaluate(program, bound.items, bound.count, &result, error);
  if (code == SF_OK)
    code = take(sf_cel_result_value(result), user_data, error);
  sf_cel_result_free(result);
  free_bindings(&bound);
  sf_json_free(&given.json);
  return code;
}

typedef struct shard_wanted {
  const sf_router_params *params;
  uint32_t *shard_id;
} shard_wanted;

static sf_code take_shard(const sf_cel_value *value, void *user_data, sf_error *error) {
  const shard_wanted *wanted = user_data;
  return shard_of_value(wanted->params, value, wanted->shard_id, error);
}

sf_code sf_route_cel(const sf_router_params *params, const sf_cel_program *program, const char *routing_context,
                     uint32_t *shard_id, sf_error *error) {
  if (routing_context == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "routing_context: expected one, because the snapshot's sharding is cel, found none");
  shard_wanted wanted = {.params = params, .shard_id = shard_id};
  return evaluate(params->config, program, routing_context, take_shard, &wanted, error);
}

typedef struct value_wanted {
  sf_cel_value_function take;
  void *user_data;
} value_wanted;

static sf_code take_checked(const sf_cel_value *value, void *user_data, sf_error *error) {
  const value_wanted *wanted = user_data;
  sf_cel_value checked;
  SF_TRY(check_value(value, &checked, error));
  return wanted->take(&checked, wanted->user_data, error);
}

sf_code sf_route_cel_value(const sf_routing_config *config, const sf_cel_program *program, const char *routing_context,
                           sf_cel_value_function take, void *user_data, sf_error *error) {
  value_wanted wanted = {.take = take, .user_data = user_data};
  return evaluate(config, program, routing_context, take_checked, &wanted, error);
}

sf_code sf_route_cel_compile(const sf_routing_config *config, sf_cel_program **program, sf_error *error) {
  return sf_cel_compile(config->cel_expression, strlen(config->cel_expression), config->cel_columns,
                        config->num_cel_columns, NULL, program, error);
}

/* ----------------------------------------------------------------------------------------------------- The strategy */

static sf_code create(const sf_router_params *params, void **state, sf_error *error) {
  sf_cel_program *program = NULL;
  SF_TRY(sf_route_cel_compile(params->config, &program, error));
  *state = program;
  return SF_OK;
}

static void free_state(void *state) {
  sf_cel_program_free(state);
}

static sf_code route(const sf_router_params *params, const void *state, const sf_route_request *request, size_t limit,
                     uint32_t *shard_ids, size_t *count, sf_error *error) {
  (void)limit;
  *count = 1;
  return sf_route_cel(params, state, request->routing_context, shard_ids, error);
}

static sf_code parse_routing_values(const sf_routing_members *members, sf_routing_config *config, sf_error *error) {
  const json_t *values = sf_json_member(members->object, "routing_values");
  if (values == NULL)
    return SF_OK;
  if (!json_is_array(values))
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR, "%s: expected routing_values to be a list, found %s", members->what,
                   sf_json_show(values).text);
  size_t count = json_array_size(values);
  if ((count == 0 ? 1 : count) != members->num_dbs)
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR, "%s: expected %u routing_values, as many as num_dbs, found %zu",
                   members->what, (unsigned)members->num_dbs, count);
  /* An empty list stands for the one shard there is: the expression's value is its id. */
  sf_json_text text;
  if (count == 0 || !sf_json_find_member(members->text.data, members->text.length, "routing_values", &text))
    return SF_OK;
  return sf_routing_config_read_values(values, text, members->what, config, error);
}

static sf_code parse(const sf_routing_members *members, sf_routing_config *config, sf_error *error) {
  const char *expression = NULL;
  SF_TRY(
      sf_json_string(members->object, "cel_expr", false, members->what, SF_MANIFEST_PARSE_ERROR, &expression, error));
  if (expression == NULL)
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR, "%s: expected cel_expr beside the strategy cel, found none",
                   members->what);
  config->cel_expression = sf_strdup(expression);
  if (config->cel_expression == NULL)
    return sf_fail_memory(error, members->what);
  const json_t *columns = sf_json_member(members->object, "cel_columns");
  if (!json_is_object(columns))
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR, "%s: expected cel_columns beside the strategy cel, found none",
                   members->what);
  SF_TRY(sf_routing_config_read_columns(columns, members->what, config, error));
  return parse_routing_values(members, config, error);
}

static void write_members(const sf_routing_config *config, sf_json_writer *writer) {
  sf_json_write_text(writer, "cel_expr", config->cel_expression);
  sf_json_write_json(writer, "cel_columns", config->cel_columns_text);
  if (config->routing_values_text != NULL)
    sf_json_write_json(writer, "routing_values", config->routing_values_text);
}

const sf_routing_strategy sf_cel_strategy = {
    .id = SF_SHARDING_CEL,
    .name = "cel",
    .input = SF_ROUTE_BY_CONTEXT,
    .parse = parse,
    .write = write_members,
    .create = create,
    .free = free_state,
    .route = route,
};
