/*
 * Compiles arbitrary bytes as an expression over variables of every type, with and without the type check (the first
 * byte says which), and evaluates what compiles. Strings that come out must be UTF-8.
 */
#include "base/utf8.h"
#include "cel/cel.h"

#include <stdint.h>
#include <stdlib.h>

static const sf_cel_value items[] = {
    {.kind = SF_CEL_INT, .as.integer = 1},
    {.kind = SF_CEL_STRING, .as.text = {"two", 3}},
    {.kind = SF_CEL_DOUBLE, .as.number = 3.0},
    {.kind = SF_CEL_NULL},
};

static const sf_cel_value pairs[] = {
    {.kind = SF_CEL_STRING, .as.text = {"a", 1}}, {.kind = SF_CEL_INT, .as.integer = 1},
    {.kind = SF_CEL_INT, .as.integer = 2},        {.kind = SF_CEL_LIST, .as.list = {items, 4}},
    {.kind = SF_CEL_BOOL, .as.boolean = true},    {.kind = SF_CEL_UINT, .as.unsigned_integer = 3},
};

static const sf_cel_binding bindings[] = {
    {"i", {.kind = SF_CEL_INT, .as.integer = -42}},
    {"u", {.kind = SF_CEL_UINT, .as.unsigned_integer = UINT64_MAX}},
    {"d", {.kind = SF_CEL_DOUBLE, .as.number = 2.5}},
    {"b", {.kind = SF_CEL_BOOL, .as.boolean = true}},
    {"s", {.kind = SF_CEL_STRING, .as.text = {"tenant-\xc3\xbc", 9}}},
    {"y", {.kind = SF_CEL_BYTES, .as.text = {"\x00\xff", 2}}},
    {"n", {.kind = SF_CEL_NULL}},
    {"l", {.kind = SF_CEL_LIST, .as.list = {items, 4}}},
    {"m", {.kind = SF_CEL_MAP, .as.list = {pairs, 3}}},
    {"t", {.kind = SF_CEL_TYPE, .as.text = {"int", 3}}},
};

#define NUM_BINDINGS (sizeof(bindings) / sizeof(bindings[0]))

/* Touches every byte of a result, for the sanitizers to see. */
static void examine(const sf_cel_value *value) {
  if (value->kind == SF_CEL_STRING && !sf_utf8_valid(value->as.text.data, value->as.text.length, NULL))
    abort();
  if (value->kind == SF_CEL_BYTES)
    sf_utf8_valid(value->as.text.data, value->as.text.length, NULL);
  if (value->kind != SF_CEL_LIST && value->kind != SF_CEL_MAP)
    return;
  size_t count = value->kind == SF_CEL_MAP ? 2 * value->as.list.count : value->as.list.count;
  for (size_t i = 0; i < count; i++)
    examine(&value->as.list.items[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  sf_cel_declaration declarations[NUM_BINDINGS];
  for (size_t i = 0; i < NUM_BINDINGS; i++)
    declarations[i] = (sf_cel_declaration){.name = bindings[i].name, .type = bindings[i].value.kind};
  sf_cel_options options = {.skip_type_check = data[0] == '~'};
  sf_cel_program *program;
  sf_error error;
  if (sf_cel_compile((const char *)data + 1, size - 1, declarations, NUM_BINDINGS, &options, &program, &error) != SF_OK)
    return 0;
  sf_cel_result *result;
  if (sf_cel_evaluate(program, bindings, NUM_BINDINGS, &result, &error) == SF_OK) {
    sf_cel_program_free(program); /* a result needs nothing of its program */
    examine(sf_cel_result_value(result));
    sf_cel_result_free(result);
    return 0;
  }
  sf_cel_program_free(program);
  return 0;
}
