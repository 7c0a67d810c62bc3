#include "support/cel_expressions.h"

#include "base/memory.h"
#include "cel/limits.h"
#include "cmocka_includes.h"

#include <string.h>

const sf_cel_declaration cel_declarations[CEL_NUM_DECLARATIONS] = {
    {.name = "i", .type = SF_CEL_INT},    {.name = "u", .type = SF_CEL_UINT},
    {.name = "d", .type = SF_CEL_DOUBLE}, {.name = "b", .type = SF_CEL_BOOL},
    {.name = "s", .type = SF_CEL_STRING}, {.name = "y", .type = SF_CEL_BYTES},
    {.name = "l", .type = SF_CEL_LIST},   {.name = "m", .type = SF_CEL_MAP},
    {.name = "a.b", .type = SF_CEL_INT},  {.name = "type", .type = SF_CEL_STRING},
    {.name = "n", .type = SF_CEL_NULL},   {.name = "absent", .type = SF_CEL_INT},
};

static const sf_cel_value items[] = {
    {.kind = SF_CEL_INT, .as.integer = 10},
    {.kind = SF_CEL_STRING, .as.text = {"x", 1}},
};

static const sf_cel_value pairs[] = {
    {.kind = SF_CEL_STRING, .as.text = {"k", 1}},
    {.kind = SF_CEL_INT, .as.integer = 5},
};

/* All that is declared but `absent`. */
const sf_cel_binding cel_bindings[CEL_NUM_BINDINGS] = {
    {"i", {.kind = SF_CEL_INT, .as.integer = 42}},
    {"u", {.kind = SF_CEL_UINT, .as.unsigned_integer = 7}},
    {"d", {.kind = SF_CEL_DOUBLE, .as.number = 1.5}},
    {"b", {.kind = SF_CEL_BOOL, .as.boolean = true}},
    {"s", {.kind = SF_CEL_STRING, .as.text = {"tenant-1", 8}}},
    {"y", {.kind = SF_CEL_BYTES, .as.text = {"\0\xff\x10", 3}}},
    {"l", {.kind = SF_CEL_LIST, .as.list = {items, 2}}},
    {"m", {.kind = SF_CEL_MAP, .as.list = {pairs, 1}}},
    {"a.b", {.kind = SF_CEL_INT, .as.integer = 9}},
    {"type", {.kind = SF_CEL_STRING, .as.text = {"gold", 4}}},
    {"n", {.kind = SF_CEL_NULL}},
};

sf_code cel_compile_bytes(const char *expression, size_t length, bool lenient, sf_cel_program **program,
                          sf_error *error) {
  sf_cel_options options = {.skip_type_check = lenient};
  return sf_cel_compile(expression, length, cel_declarations, CEL_NUM_DECLARATIONS, &options, program, error);
}

sf_code cel_run_bytes(const char *expression, size_t length, bool lenient, sf_cel_result **result, sf_error *error) {
  sf_cel_program *program = NULL;
  SF_TRY(cel_compile_bytes(expression, length, lenient, &program, error));
  sf_code code = sf_cel_evaluate(program, cel_bindings, CEL_NUM_BINDINGS, result, error);
  sf_cel_program_free(program);
  return code;
}

void cel_expect_result(const char *expression, sf_cel_value expected) {
  sf_cel_result *result = NULL;
  sf_error error = {.message = ""};
  sf_code code = cel_run_bytes(expression, strlen(expression), false, &result, &error);
  if (code != SF_OK)
    fail_msg("%s: %s", expression, error.message);
  sf_cel_budget budget = {.steps = SF_CEL_MAX_STEPS};
  const sf_cel_value *value = sf_cel_result_value(result);
  if (value->kind != expected.kind || !sf_cel_equal(value, &expected, &budget))
    fail_msg("%s: another value of type %s", expression, sf_cel_kind_name(value->kind));
  sf_cel_result_free(result);
}

void cel_expect_text(const char *expression, const char *expected) {
  cel_expect_result(expression, sf_cel_string(expected, strlen(expected)));
}

void cel_expect_true(const char *expression) {
  cel_expect_result(expression, sf_cel_bool(true));
}

void cel_expect_failure_of_bytes(const char *expression, size_t length, bool lenient, const char *message) {
  sf_cel_result *result = NULL;
  sf_error error = {.message = ""};
  assert_int_equal(cel_run_bytes(expression, length, lenient, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  if (strcmp(error.message, message) != 0)
    fail_msg("%.60s: \"%s\" was expected, found \"%s\"", expression, message, error.message);
}

void cel_expect_failure(const char *expression, const char *message) {
  cel_expect_failure_of_bytes(expression, strlen(expression), false, message);
}

void cel_expect_compile_failure(const char *expression, const char *message) {
  sf_cel_program *program = NULL;
  sf_error error = {.message = ""};
  assert_int_equal(cel_compile_bytes(expression, strlen(expression), false, &program, &error),
                   SF_CONFIG_VALIDATION_ERROR);
  if (strcmp(error.message, message) != 0)
    fail_msg("%.60s: \"%s\" was expected, found \"%s\"", expression, message, error.message);
}

char *cel_repeated(const char *before, const char *text, size_t count, const char *after) {
  sf_buffer buffer = {0};
  assert_true(sf_buffer_append_text(&buffer, before));
  for (size_t i = 0; i < count; i++)
    assert_true(sf_buffer_append_text(&buffer, text));
  assert_true(sf_buffer_append_text(&buffer, after));
  return (char *)buffer.data;
}

void cel_expect_repeated_failure(const char *before, const char *text, size_t count, const char *after,
                                 const char *message) {
  char *expression = cel_repeated(before, text, count, after);
  cel_expect_failure(expression, message);
  free(expression);
}
