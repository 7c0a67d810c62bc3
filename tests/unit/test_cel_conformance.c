/* The conformance cases of tests/data/cel, all of them; a failing one is named with what came instead. */
#include "base/json.h"
#include "base/memory.h"
#include "cel/cel.h"
#include "cel/limits.h"
#include "cel/value.h"
#include "cmocka_includes.h"

#include <stdlib.h>
#include <string.h>

#define NUM_CASES 936
#define MOST_VARIABLES 8

/* What a case's values are made of. */
typedef struct case_memory {
  void *blocks[256];
  size_t count;
} case_memory;

static void *take(case_memory *memory, size_t count, size_t size) {
  void *block = sf_calloc(count, size);
  assert_non_null(block);
  assert_true(memory->count < sizeof(memory->blocks) / sizeof(memory->blocks[0]));
  memory->blocks[memory->count++] = block;
  return block;
}

static void give_back(case_memory *memory) {
  for (size_t i = 0; i < memory->count; i++)
    free(memory->blocks[i]);
}

static const char *text_of(const json_t *object, const char *key) {
  const json_t *member = json_object_get(object, key);
  return member == NULL ? "" : json_string_value(member);
}

static sf_cel_value bytes_of_hexadecimal(const char *digits, case_memory *memory) {
  size_t length = strlen(digits) / 2;
  char *bytes = take(memory, length, 1);
  for (size_t i = 0; i < length; i++) {
    char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};
    bytes[i] = (char)strtoul(pair, NULL, 16);
  }
  return sf_cel_bytes(bytes, length);
}

static sf_cel_value value_of(const json_t *tagged, case_memory *memory);

static sf_cel_value list_of(const json_t *array, case_memory *memory) {
  size_t count = json_array_size(array);
  sf_cel_value *items = take(memory, count, sizeof(*items));
  for (size_t i = 0; i < count; i++)
    items[i] = value_of(json_array_get(array, i), memory);
  return sf_cel_list(items, count);
}

static sf_cel_value map_of(const json_t *array, case_memory *memory) {
  size_t count = json_array_size(array);
  sf_cel_value *pairs = take(memory, 2 * count, sizeof(*pairs));
  for (size_t i = 0; i < 2 * count; i++)
    pairs[i] = value_of(json_array_get(json_array_get(array, i / 2), i % 2), memory);
  return sf_cel_map(pairs, count);
}

static sf_cel_value value_of(const json_t *tagged, case_memory *memory) {
  void *iterator = json_object_iter((json_t *)(uintptr_t)tagged);
  const char *tag = json_object_iter_key(iterator);
  const json_t *content = json_object_iter_value(iterator);
  if (strcmp(tag, "int") == 0)
    return sf_cel_int(json_integer_value(content));
  if (strcmp(tag, "uint") == 0)
    return sf_cel_uint((uint64_t)json_integer_value(content));
  if (strcmp(tag, "double") == 0)
    return sf_cel_double(strtod(json_string_value(content), NULL));
  if (strcmp(tag, "bool") == 0)
    return sf_cel_bool(json_is_true(content));
  if (strcmp(tag, "string") == 0)
    return sf_cel_string(json_string_value(content), json_string_length(content));
  if (strcmp(tag, "bytes") == 0)
    return bytes_of_hexadecimal(json_string_value(content), memory);
  if (strcmp(tag, "list") == 0)
    return list_of(content, memory);
  if (strcmp(tag, "map") == 0)
    return map_of(content, memory);
  sf_cel_kind kind = SF_CEL_NULL;
  if (strcmp(tag, "type") == 0)
    assert_true(
        sf_cel_kind_of_name((sf_cel_text){json_string_value(content), strlen(json_string_value(content))}, &kind));
  else
    assert_string_equal(tag, "null");
  return strcmp(tag, "type") == 0 ? sf_cel_type_of(kind) : sf_cel_null();
}

static sf_cel_kind type_of(const json_t *type) {
  sf_cel_kind kind = SF_CEL_NULL;
  if (json_is_object(type))
    return json_object_get(type, "list") != NULL ? SF_CEL_LIST : SF_CEL_MAP;
  const char *name = json_string_value(type);
  assert_true(sf_cel_kind_of_name((sf_cel_text){name, strlen(name)}, &kind));
  return kind;
}

/* Stricter than the language's equality: the same kinds, and doubles to the bit. */
static bool identical(const sf_cel_value *left, const sf_cel_value *right) {
  sf_cel_budget budget = {.steps = SF_CEL_MAX_STEPS};
  if (left->kind != right->kind)
    return false;
  if (left->kind == SF_CEL_DOUBLE)
    return memcmp(&left->as.number, &right->as.number, sizeof(double)) == 0;
  if (left->kind == SF_CEL_LIST && left->as.list.count == right->as.list.count) {
    for (size_t i = 0; i < left->as.list.count; i++) {
      if (!identical(&left->as.list.items[i], &right->as.list.items[i]))
        return false;
    }
    return true;
  }
  return sf_cel_equal(left, right, &budget);
}

static sf_code run(const json_t *test, const sf_cel_binding *bindings, size_t num_bindings, sf_cel_result **result,
                   sf_error *error) {
  sf_cel_declaration declarations[MOST_VARIABLES];
  size_t num_declarations = 0;
  const json_t *variables = json_object_get(test, "variables");
  if (variables != NULL) {
    const char *name;
    const json_t *type;
    sf_json_foreach_member(variables, name, type) {
      assert_true(num_declarations < MOST_VARIABLES);
      declarations[num_declarations++] = (sf_cel_declaration){.name = name, .type = type_of(type)};
    }
  }
  const json_t *expression = json_object_get(test, "expr");
  sf_cel_options options = {.skip_type_check = json_object_get(test, "unchecked") != NULL};
  sf_cel_program *program = NULL;
  sf_code code = sf_cel_compile(json_string_value(expression), json_string_length(expression), declarations,
                                num_declarations, &options, &program, error);
  if (code == SF_OK)
    code = sf_cel_evaluate(program, bindings, num_bindings, result, error);
  sf_cel_program_free(program);
  return code;
}

static bool case_passes(const json_t *test, case_memory *memory) {
  sf_cel_binding bindings[MOST_VARIABLES];
  size_t num_bindings = 0;
  const json_t *bound = json_object_get(test, "bindings");
  if (bound != NULL) {
    const char *name;
    const json_t *value;
    sf_json_foreach_member(bound, name, value) {
      assert_true(num_bindings < MOST_VARIABLES);
      bindings[num_bindings++] = (sf_cel_binding){.name = name, .value = value_of(value, memory)};
    }
  }
  sf_cel_result *result = NULL;
  sf_error error = {0};
  sf_code code = run(test, bindings, num_bindings, &result, &error);
  const json_t *expected = json_object_get(test, "value");
  bool passes = code == SF_CONFIG_VALIDATION_ERROR;
  if (expected != NULL) {
    sf_cel_value wanted = value_of(expected, memory);
    passes = code == SF_OK && identical(&wanted, sf_cel_result_value(result));
  }
  if (!passes)
    print_error("%s/%s/%s: %s: %s\n", text_of(test, "file"), text_of(test, "section"), text_of(test, "name"),
                text_of(test, "expr"), code == SF_OK ? "another value" : error.message);
  sf_cel_result_free(result);
  return passes;
}

static void every_conformance_case_gives_its_value_or_an_error(void **state) {
  (void)state;
  json_t *cases = json_load_file(SF_TEST_DATA "/cel/conformance.json", JSON_ALLOW_NUL, NULL);
  assert_non_null(cases);
  assert_int_equal(json_array_size(cases), NUM_CASES);
  size_t failures = 0;
  for (size_t i = 0; i < NUM_CASES; i++) {
    case_memory memory = {.count = 0};
    failures += !case_passes(json_array_get(cases, i), &memory);
    give_back(&memory);
  }
  json_decref(cases);
  assert_int_equal(failures, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_conformance_case_gives_its_value_or_an_error),
  };
  return cmocka_run_group_tests_name("cel_conformance", tests, NULL, NULL);
}
