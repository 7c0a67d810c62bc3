/* Routing expressions on their own: what the strategy cel evaluates, without a snapshot. */
#include "base/json_writer.h"
#include "base/memory.h"
#include "routing/cel.h"
#include "shardyfusion/routing.h"
#include "writer/plan.h"

struct sf_expression {
  sf_build_plan plan; /* of a build with one shard, which has the columns */
  sf_cel_program *program;
};

void sf_expression_free(sf_expression *expression) {
  if (expression == NULL)
    return;
  sf_cel_program_free(expression->program);
  sf_build_plan_free(&expression->plan);
  free(expression);
}

sf_code sf_expression_compile(const char *text, const char *columns, sf_expression **compiled, sf_error *error) {
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.strategy = SF_SHARDING_CEL;
  options.num_dbs = 1;
  options.cel_expr = text;
  options.cel_columns = columns;
  sf_expression *made = sf_calloc(1, sizeof(*made));
  if (made == NULL)
    return sf_fail_memory(error, "expression");
  sf_code code = sf_build_plan_make(&options, &made->plan, error);
  if (code == SF_OK)
    code = sf_route_cel_compile(&made->plan.routing, &made->program, error);
  if (code == SF_OK)
    *compiled = made;
  else
    sf_expression_free(made);
  return code;
}

static bool append_hexadecimal(sf_buffer *text, const sf_cel_value *value) {
  bool appended = sf_buffer_append_text(text, "{\"__bytes_hex__\": \"");
  for (size_t i = 0; appended && i < value->as.text.length; i++)
    appended = sf_buffer_append_format(text, "%02x", (unsigned char)value->as.text.data[i]);
  return appended && sf_buffer_append_text(text, "\"}");
}

/* The value as JSON; false when memory is out. */
static bool append_value(sf_buffer *text, const sf_cel_value *value) {
  switch (value->kind) {
  case SF_CEL_INT:
    return sf_buffer_append_format(text, "%lld", (long long)value->as.integer);
  case SF_CEL_UINT:
    return sf_buffer_append_format(text, "%llu", (unsigned long long)value->as.unsigned_integer);
  case SF_CEL_STRING:
    return sf_json_append_string(text, value->as.text.data, value->as.text.length);
  default:
    return append_hexadecimal(text, value);
  }
}

static sf_code take_value(const sf_cel_value *value, void *user_data, sf_error *error) {
  sf_buffer *text = user_data;
  return append_value(text, value) && sf_buffer_append(text, "", 1) ? SF_OK
                                                                    : sf_fail_memory(error, "value of an expression");
}

sf_code sf_expression_evaluate(const sf_expression *expression, const char *routing_context, char **value,
                               sf_error *error) {
  sf_buffer text = {0};
  if (routing_context == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "routing_context: expected one, found none");
  sf_code code =
      sf_route_cel_value(&expression->plan.routing, expression->program, routing_context, take_value, &text, error);
  if (code == SF_OK)
    *value = (char *)text.data;
  else
    sf_buffer_free(&text);
  return code;
}
