#include "cel/macros.h"

static const struct {
  const char *name;
  sf_cel_macro macro;
  uint32_t num_arguments;
} comprehensions[] = {
    {"all", SF_CEL_MACRO_ALL, 2},       {"exists", SF_CEL_MACRO_EXISTS, 2}, {"exists_one", SF_CEL_MACRO_EXISTS_ONE, 2},
    {"filter", SF_CEL_MACRO_FILTER, 2}, {"map", SF_CEL_MACRO_MAP, 2}, /* map(x, transformation) */
    {"map", SF_CEL_MACRO_MAP, 3},                                     /* map(x, predicate, transformation) */
};

#define NUM_COMPREHENSIONS (sizeof(comprehensions) / sizeof(comprehensions[0]))

static sf_code expand_has(sf_cel_position position, sf_cel_children arguments, sf_cel_node **expansion,
                          sf_error *error) {
  sf_cel_node *selection = arguments.nodes[0];
  if (selection->kind != SF_CEL_NODE_SELECT || selection->as.select.test_only)
    return sf_cel_fail(error, position, "has() needs a field selection, as in has(a.b)");
  selection->as.select.test_only = true;
  *expansion = selection;
  return SF_OK;
}

static sf_code expand_comprehension(sf_cel_arena *arena, sf_cel_macro macro, sf_cel_node *range,
                                    sf_cel_position position, sf_cel_children arguments, sf_cel_node **expansion,
                                    sf_error *error) {
  const sf_cel_node *variable = arguments.nodes[0];
  if (variable->kind != SF_CEL_NODE_IDENTIFIER || variable->as.identifier.root)
    return sf_cel_fail(error, variable->position, "a macro's first argument must be a simple name");
  sf_cel_node **parts = sf_cel_arena_zeroed(arena, SF_CEL_NUM_PARTS, sizeof(sf_cel_node *));
  if (parts == NULL)
    return sf_cel_fail_program_memory(arena, error);
  parts[SF_CEL_RANGE] = range;
  if (macro != SF_CEL_MACRO_MAP || arguments.count == 3)
    parts[SF_CEL_PREDICATE] = arguments.nodes[1];
  if (macro == SF_CEL_MACRO_MAP)
    parts[SF_CEL_TRANSFORM] = arguments.nodes[arguments.count - 1];
  SF_TRY(sf_cel_node_create(arena, SF_CEL_NODE_COMPREHENSION, position,
                            (sf_cel_children){.nodes = parts, .count = SF_CEL_NUM_PARTS}, expansion, error));
  (*expansion)->as.comprehension.macro = macro;
  (*expansion)->as.comprehension.variable = variable->as.identifier.name;
  return SF_OK;
}

sf_code sf_cel_macro_expand(sf_cel_arena *arena, sf_cel_node *target, sf_cel_text name, sf_cel_position position,
                            sf_cel_children arguments, sf_cel_node **expansion, sf_error *error) {
  *expansion = NULL;
  if (target == NULL)
    return sf_cel_text_equals(name, "has") && arguments.count == 1 ? expand_has(position, arguments, expansion, error)
                                                                   : SF_OK;
  for (size_t i = 0; i < NUM_COMPREHENSIONS; i++) {
    if (!sf_cel_text_equals(name, comprehensions[i].name))
      continue;
    if (arguments.count == comprehensions[i].num_arguments)
      return expand_comprehension(arena, comprehensions[i].macro, target, position, arguments, expansion, error);
    if (comprehensions[i].macro != SF_CEL_MACRO_MAP && arguments.count == 3)
      return sf_cel_fail(error, position, "%s() with two variables is not supported", comprehensions[i].name);
  }
  return SF_OK;
}
