#include "cel/constants.h"

#include "cel/functions.h"
#include "cel/limits.h"

#include <string.h>

static bool all_constant(const sf_cel_node *node) {
  for (uint32_t i = 0; i < node->children.count; i++) {
    if (node->children.nodes[i]->kind != SF_CEL_NODE_CONSTANT)
      return false;
  }
  return true;
}

static sf_code check_keys(sf_cel_program *program, const sf_cel_node *node, const sf_cel_value *pairs,
                          sf_error *error) {
  size_t count = node->children.count / 2;
  for (size_t i = 0; i < count; i++) {
    if (!sf_cel_is_key(&pairs[2 * i]))
      return sf_cel_fail(error, node->children.nodes[2 * i]->position,
                         "a key of type int, uint, bool or string was expected, found %s",
                         sf_cel_kind_name(pairs[2 * i].kind));
  }
  const sf_cel_value **scratch = sf_cel_arena_allocate(&program->arena, count, sizeof(sf_cel_value *));
  if (scratch == NULL)
    return sf_cel_fail_program_memory(&program->arena, error);
  const sf_cel_value *duplicate = sf_cel_duplicate_key(pairs, count, scratch);
  if (duplicate != NULL)
    return sf_cel_fail(error, node->children.nodes[duplicate - pairs]->position, "the map has this key twice");
  return SF_OK;
}

static sf_code fold_literal(sf_cel_program *program, sf_cel_node *node, sf_error *error) {
  uint32_t count = node->children.count;
  if (!all_constant(node))
    return SF_OK;
  sf_cel_value *values = sf_cel_arena_allocate(&program->arena, count, sizeof(*values));
  if (values == NULL)
    return sf_cel_fail_program_memory(&program->arena, error);
  for (uint32_t i = 0; i < count; i++)
    values[i] = node->children.nodes[i]->as.constant;
  if (node->kind == SF_CEL_NODE_MAP)
    SF_TRY(check_keys(program, node, values, error));
  node->as.constant = node->kind == SF_CEL_NODE_MAP ? sf_cel_map(values, count / 2) : sf_cel_list(values, count);
  node->kind = SF_CEL_NODE_CONSTANT;
  node->children.count = 0;
  return SF_OK;
}

static sf_code compile_pattern(sf_cel_program *program, sf_cel_node *node, sf_error *error) {
  const sf_cel_node *pattern = node->children.nodes[1];
  if (pattern->kind != SF_CEL_NODE_CONSTANT || pattern->as.constant.kind != SF_CEL_STRING)
    return SF_OK;
  sf_cel_regex_list *entry = sf_cel_arena_allocate(&program->arena, 1, sizeof(*entry));
  if (entry == NULL)
    return sf_cel_fail_program_memory(&program->arena, error);
  sf_error reason;
  sf_code code = sf_cel_regex_compile(sf_cel_value_text(&pattern->as.constant), &entry->regex, &reason);
  if (code == SF_OUT_OF_MEMORY_ERROR)
    return sf_fail_memory(error, "a regular expression");
  if (code != SF_OK)
    return sf_cel_fail(error, pattern->position, "%s", reason.message);
  entry->next = program->regexes;
  program->regexes = entry;
  node->as.call.regex = entry->regex;
  return SF_OK;
}

/* Children first: a list of constant lists is a constant. Recursion is bounded by the tree's depth. */
static sf_code fold(sf_cel_program *program, sf_cel_node *node, sf_error *error) {
  for (uint32_t i = 0; i < node->children.count; i++) {
    if (node->children.nodes[i] != NULL)
      SF_TRY(fold(program, node->children.nodes[i], error));
  }
  if (node->kind == SF_CEL_NODE_LIST || node->kind == SF_CEL_NODE_MAP)
    return fold_literal(program, node, error);
  const sf_cel_function *function = node->kind == SF_CEL_NODE_CALL ? node->as.call.function : NULL;
  if (function != NULL && sf_cel_function_takes_pattern(function) && node->children.count == function->num_arguments)
    return compile_pattern(program, node, error);
  return SF_OK;
}

sf_code sf_cel_fold_constants(sf_cel_program *program, sf_error *error) {
  return fold(program, program->root, error);
}
