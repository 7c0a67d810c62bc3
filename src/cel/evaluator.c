#include "cel/evaluator.h"

#include "cel/functions.h"
#include "cel/limits.h"

#include <string.h>

/* What the walk needs besides the evaluation. */
typedef struct tree_walk {
  sf_cel_evaluation *evaluation;
  const sf_cel_program *program;
} tree_walk;

static bool evaluate(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value);

static bool fail_at(const tree_walk *walk, const sf_cel_node *node, const char *message) {
  walk->evaluation->position = node->position;
  sf_cel_error(walk->evaluation, "%s", message);
  return false;
}

/* ------------------------------------------------------------------------------------------------- Names and fields */

static bool evaluate_identifier(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  uint32_t slot = node->as.identifier.slot;
  if (node->as.identifier.scope == SF_CEL_SCOPE_LOCAL) {
    *value = walk->evaluation->locals[slot];
    return true;
  }
  if (walk->evaluation->variables[slot] != NULL) {
    *value = *walk->evaluation->variables[slot];
    return true;
  }
  if (node->as.identifier.names_type) {
    *value = sf_cel_type_of(node->as.identifier.type);
    return true;
  }
  char excerpt[SF_CEL_EXCERPT_BYTES];
  const sf_cel_variable *variable = &walk->program->variables[slot];
  walk->evaluation->position = node->position;
  sf_cel_error(walk->evaluation, "variable '%s' has no value",
               sf_cel_excerpt((sf_cel_text){variable->name, variable->name_length}, excerpt));
  return false;
}

static bool evaluate_select(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  sf_cel_evaluation *evaluation = walk->evaluation;
  sf_cel_value operand;
  if (!evaluate(walk, node->children.nodes[0], &operand))
    return false;
  evaluation->position = node->position;
  if (operand.kind != SF_CEL_MAP) {
    sf_cel_error(evaluation, "a map, to select a field of, was expected, found %s", sf_cel_kind_name(operand.kind));
    return false;
  }
  sf_cel_value key = sf_cel_string(node->as.select.field.data, node->as.select.field.length);
  const sf_cel_value *found = sf_cel_map_find(&operand, &key, &evaluation->budget);
  if (evaluation->budget.steps < 0) {
    sf_cel_steps_error(evaluation);
    return false;
  }
  if (node->as.select.test_only) {
    *value = sf_cel_bool(found != NULL);
    return true;
  }
  if (found == NULL) {
    sf_cel_no_such_key(evaluation, &key);
    return false;
  }
  *value = *found;
  return true;
}

/* ----------------------------------------------------------------------------------------------------------- Calls */

static bool fail_overload(sf_cel_evaluation *evaluation, const sf_cel_node *node, const sf_cel_value *arguments) {
  const char *name = node->as.call.function->name;
  const char *first = sf_cel_kind_name(arguments[0].kind);
  const char *second = node->children.count > 1 ? sf_cel_kind_name(arguments[1].kind) : "";
  if (node->as.call.member)
    sf_cel_error(evaluation, "no matching overload for %s applied to %s.(%s)", name, first, second);
  else
    sf_cel_error(evaluation, "no matching overload for %s applied to (%s%s%s)", name, first, *second ? ", " : "",
                 second);
  return false;
}

static bool fail_unknown_function(const tree_walk *walk, const sf_cel_node *node) {
  char excerpt[SF_CEL_EXCERPT_BYTES];
  walk->evaluation->position = node->position;
  sf_cel_error(walk->evaluation, "unknown function '%s'", sf_cel_excerpt(node->as.call.name, excerpt));
  return false;
}

static bool evaluate_call(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  sf_cel_evaluation *evaluation = walk->evaluation;
  sf_cel_value arguments[SF_CEL_MAX_FUNCTION_ARGUMENTS];
  const sf_cel_function *function = node->as.call.function;
  if (function == NULL)
    return fail_unknown_function(walk, node);
  if (node->children.count != function->num_arguments)
    return fail_at(walk, node, "the function takes another number of arguments");
  for (uint32_t i = 0; i < node->children.count; i++) {
    if (!evaluate(walk, node->children.nodes[i], &arguments[i]))
      return false;
  }
  evaluation->position = node->position;
  evaluation->regex = node->as.call.regex;
  switch (function->call(evaluation, arguments, value)) {
  case SF_CEL_DONE:
    return true;
  case SF_CEL_NO_OVERLOAD:
    return fail_overload(evaluation, node, arguments);
  case SF_CEL_FAILED:
    break;
  }
  return false;
}

/* -------------------------------------------------------------------------------------------------------- Literals */

static sf_cel_value *evaluate_children(const tree_walk *walk, const sf_cel_node *node) {
  walk->evaluation->position = node->position;
  sf_cel_value *values = sf_cel_allocate(walk->evaluation, node->children.count, sizeof(*values));
  for (uint32_t i = 0; values != NULL && i < node->children.count; i++) {
    if (!evaluate(walk, node->children.nodes[i], &values[i]))
      return NULL;
  }
  return values;
}

static bool evaluate_list(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  sf_cel_value *items = evaluate_children(walk, node);
  if (items == NULL)
    return false;
  *value = sf_cel_list(items, node->children.count);
  return true;
}

static bool evaluate_map(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  sf_cel_evaluation *evaluation = walk->evaluation;
  size_t count = node->children.count / 2;
  sf_cel_value *pairs = evaluate_children(walk, node);
  if (pairs == NULL)
    return false;
  for (size_t i = 0; i < count; i++) {
    if (!sf_cel_is_key(&pairs[2 * i]))
      return fail_at(walk, node->children.nodes[2 * i], "a key of type int, uint, bool or string was expected");
  }
  evaluation->position = node->position;
  const sf_cel_value **scratch = sf_cel_allocate(evaluation, count, sizeof(sf_cel_value *));
  if (scratch == NULL)
    return false;
  const sf_cel_value *duplicate = sf_cel_duplicate_key(pairs, count, scratch);
  if (duplicate != NULL)
    return fail_at(walk, node->children.nodes[duplicate - pairs], "the map has this key twice");
  *value = sf_cel_map(pairs, count);
  return true;
}

/* ------------------------------------------------------------------------------------------------------------ Logic */

static bool evaluate_bool(const tree_walk *walk, const sf_cel_node *node, bool *boolean) {
  sf_cel_value value;
  if (!evaluate(walk, node, &value))
    return false;
  if (value.kind != SF_CEL_BOOL) {
    walk->evaluation->position = node->position;
    sf_cel_error(walk->evaluation, "no matching overload: a bool was expected, found %s", sf_cel_kind_name(value.kind));
    return false;
  }
  *boolean = value.as.boolean;
  return true;
}

/*
 * A row of && or ||, and the predicates of all() and exists(), come to an end when one operand decides, whatever errors
 * there were before it; the last of those is the outcome when none does.
 */
typedef struct logic_state {
  bool deciding; /* true for ||, false for && */
  bool failed;
} logic_state;

typedef enum logic_step { LOGIC_DECIDED, LOGIC_OPEN, LOGIC_STOPPED } logic_step;

static logic_step logic_add(logic_state *logic, const tree_walk *walk, const sf_cel_node *operand) {
  bool boolean;
  if (evaluate_bool(walk, operand, &boolean))
    return boolean == logic->deciding ? LOGIC_DECIDED : LOGIC_OPEN;
  if (walk->evaluation->fatal)
    return LOGIC_STOPPED;
  logic->failed = true;
  return LOGIC_OPEN;
}

static bool logic_end(const logic_state *logic, logic_step last, sf_cel_value *value) {
  *value = sf_cel_bool(last == LOGIC_DECIDED ? logic->deciding : !logic->deciding);
  return last == LOGIC_DECIDED || (last == LOGIC_OPEN && !logic->failed);
}

static bool evaluate_logical(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  logic_state logic = {.deciding = node->kind == SF_CEL_NODE_OR};
  logic_step step = LOGIC_OPEN;
  for (uint32_t i = 0; step == LOGIC_OPEN && i < node->children.count; i++)
    step = logic_add(&logic, walk, node->children.nodes[i]);
  return logic_end(&logic, step, value);
}

static bool evaluate_conditional(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  uint32_t last = node->children.count - 1;
  for (uint32_t i = 0; i < last; i += 2) {
    bool condition;
    if (!evaluate_bool(walk, node->children.nodes[i], &condition))
      return false;
    if (condition)
      return evaluate(walk, node->children.nodes[i + 1], value);
  }
  return evaluate(walk, node->children.nodes[last], value);
}

/* -------------------------------------------------------------------------------------------------- Comprehensions */

/* A list's elements, or a map's keys, each followed by its value. */
static const sf_cel_value *range_item(const sf_cel_value *range, size_t index) {
  return &range->as.list.items[range->kind == SF_CEL_MAP ? 2 * index : index];
}

static bool begin_iteration(const tree_walk *walk, const sf_cel_node *node, const sf_cel_value *range, size_t index) {
  walk->evaluation->locals[node->as.comprehension.slot] = *range_item(range, index);
  if (sf_cel_spend(&walk->evaluation->budget, 1))
    return true;
  walk->evaluation->position = node->position;
  sf_cel_steps_error(walk->evaluation);
  return false;
}

static bool evaluate_quantifier(const tree_walk *walk, const sf_cel_node *node, const sf_cel_value *range,
                                sf_cel_value *value) {
  logic_state logic = {.deciding = node->as.comprehension.macro == SF_CEL_MACRO_EXISTS};
  logic_step step = LOGIC_OPEN;
  for (size_t i = 0; step == LOGIC_OPEN && i < range->as.list.count; i++)
    step = begin_iteration(walk, node, range, i) ? logic_add(&logic, walk, node->children.nodes[SF_CEL_PREDICATE])
                                                 : LOGIC_STOPPED;
  return logic_end(&logic, step, value);
}

static bool evaluate_exists_one(const tree_walk *walk, const sf_cel_node *node, const sf_cel_value *range,
                                sf_cel_value *value) {
  size_t found = 0;
  for (size_t i = 0; i < range->as.list.count; i++) {
    bool holds;
    if (!begin_iteration(walk, node, range, i) || !evaluate_bool(walk, node->children.nodes[SF_CEL_PREDICATE], &holds))
      return false;
    found += holds;
  }
  *value = sf_cel_bool(found == 1);
  return true;
}

/* map and filter: the items that pass the predicate, if there is one, transformed, if they are to be. */
static bool evaluate_collection(const tree_walk *walk, const sf_cel_node *node, const sf_cel_value *range,
                                sf_cel_value *value) {
  const sf_cel_node *predicate = node->children.nodes[SF_CEL_PREDICATE];
  const sf_cel_node *transform = node->children.nodes[SF_CEL_TRANSFORM];
  sf_cel_value *items = sf_cel_allocate(walk->evaluation, range->as.list.count, sizeof(*items));
  size_t count = 0;
  if (items == NULL)
    return false;
  for (size_t i = 0; i < range->as.list.count; i++) {
    bool wanted = true;
    if (!begin_iteration(walk, node, range, i) || (predicate != NULL && !evaluate_bool(walk, predicate, &wanted)))
      return false;
    if (!wanted)
      continue;
    items[count] = *range_item(range, i);
    if (transform != NULL && !evaluate(walk, transform, &items[count]))
      return false;
    count++;
  }
  *value = sf_cel_list(items, count);
  return true;
}

static bool evaluate_comprehension(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  sf_cel_value range;
  if (!evaluate(walk, node->children.nodes[SF_CEL_RANGE], &range))
    return false;
  if (range.kind != SF_CEL_LIST && range.kind != SF_CEL_MAP)
    return fail_at(walk, node, "a list or map to go through was expected");
  walk->evaluation->position = node->position;
  switch (node->as.comprehension.macro) {
  case SF_CEL_MACRO_ALL:
  case SF_CEL_MACRO_EXISTS:
    return evaluate_quantifier(walk, node, &range, value);
  case SF_CEL_MACRO_EXISTS_ONE:
    return evaluate_exists_one(walk, node, &range, value);
  default:
    return evaluate_collection(walk, node, &range, value);
  }
}

/* Recursion is bounded by the tree's depth. */
static bool evaluate(const tree_walk *walk, const sf_cel_node *node, sf_cel_value *value) {
  if (!sf_cel_spend(&walk->evaluation->budget, 1)) {
    walk->evaluation->position = node->position;
    sf_cel_steps_error(walk->evaluation);
    return false;
  }
  switch (node->kind) {
  case SF_CEL_NODE_CONSTANT:
    *value = node->as.constant;
    return true;
  case SF_CEL_NODE_IDENTIFIER:
    return evaluate_identifier(walk, node, value);
  case SF_CEL_NODE_SELECT:
    return evaluate_select(walk, node, value);
  case SF_CEL_NODE_CALL:
    return evaluate_call(walk, node, value);
  case SF_CEL_NODE_LIST:
    return evaluate_list(walk, node, value);
  case SF_CEL_NODE_MAP:
    return evaluate_map(walk, node, value);
  case SF_CEL_NODE_AND:
  case SF_CEL_NODE_OR:
    return evaluate_logical(walk, node, value);
  case SF_CEL_NODE_CONDITIONAL:
    return evaluate_conditional(walk, node, value);
  case SF_CEL_NODE_COMPREHENSION:
    break;
  }
  return evaluate_comprehension(walk, node, value);
}

bool sf_cel_evaluate_node(sf_cel_evaluation *evaluation, const sf_cel_program *program, const sf_cel_node *node,
                          sf_cel_value *value) {
  tree_walk walk = {.evaluation = evaluation, .program = program};
  return evaluate(&walk, node, value);
}
