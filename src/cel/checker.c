#include "cel/checker.h"

#include "cel/functions.h"
#include "cel/limits.h"
#include "cel/types.h"

#include <string.h>

#define TYPE_TEXT_BYTES 128
#define NUM_TYPE_LETTERS 2 /* A and B */

typedef struct checker_state {
  const sf_cel_program *program;
  sf_cel_types types;
  const sf_cel_type **locals; /* by slot */
  sf_error *error;
} checker_state;

/* An overload as it is read. */
typedef struct overload_reader {
  const char *next;
  const sf_cel_type *letters[NUM_TYPE_LETTERS]; /* made when first met */
} overload_reader;

static sf_code check(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type);

static sf_code fail_type(checker_state *checker, sf_cel_position position, const sf_cel_type *type,
                         const char *expected) {
  char text[TYPE_TEXT_BYTES];
  sf_cel_type_describe(type, text, sizeof(text));
  return sf_cel_fail(checker->error, position, "%s was expected, found %s", expected, text);
}

/* --------------------------------------------------------------------------------------------------------- Calls */

static const sf_cel_type *read_type(checker_state *checker, overload_reader *reader) {
  char letter = *reader->next++;
  const sf_cel_type *parameter;
  switch (letter) {
  case 'b':
    return sf_cel_type_kind(SF_CEL_BOOL);
  case 'i':
    return sf_cel_type_kind(SF_CEL_INT);
  case 'u':
    return sf_cel_type_kind(SF_CEL_UINT);
  case 'd':
    return sf_cel_type_kind(SF_CEL_DOUBLE);
  case 's':
    return sf_cel_type_kind(SF_CEL_STRING);
  case 'y':
    return sf_cel_type_kind(SF_CEL_BYTES);
  case 't':
    return sf_cel_type_kind(SF_CEL_TYPE);
  case 'l':
    return sf_cel_type_list(&checker->types, read_type(checker, reader));
  case 'm':
    parameter = read_type(checker, reader);
    return sf_cel_type_map(&checker->types, parameter, read_type(checker, reader));
  case 'A':
  case 'B':
    if (reader->letters[letter - 'A'] == NULL)
      reader->letters[letter - 'A'] = sf_cel_type_variable(&checker->types);
    return reader->letters[letter - 'A'];
  default:
    return sf_cel_type_dyn();
  }
}

/* The result's type of the overload at `reader`, which moves behind it, or NULL when the arguments don't fit. */
static const sf_cel_type *try_overload(checker_state *checker, overload_reader *reader,
                                       const sf_cel_type *const *arguments, uint32_t num_arguments) {
  bool fits = true;
  sf_cel_types_mark(&checker->types);
  for (uint32_t i = 0; i < num_arguments; i++) {
    const sf_cel_type *wanted = read_type(checker, reader);
    fits = fits && sf_cel_type_assignable(&checker->types, arguments[i], wanted);
  }
  reader->next++; /* '>' */
  const sf_cel_type *result = read_type(checker, reader);
  reader->next += *reader->next == ' ' ? 1 : 0;
  if (!fits)
    sf_cel_types_undo(&checker->types);
  return fits ? result : NULL;
}

static sf_code fail_overload(checker_state *checker, const sf_cel_node *node, const sf_cel_type *const *arguments) {
  const char *name = node->as.call.function->name;
  char texts[SF_CEL_MAX_FUNCTION_ARGUMENTS][TYPE_TEXT_BYTES] = {"", ""};
  for (uint32_t i = 0; i < node->children.count; i++)
    sf_cel_type_describe(arguments[i], texts[i], sizeof(texts[i]));
  if (node->as.call.member)
    return sf_cel_fail(checker->error, node->position, "no matching overload for %s applied to %s.(%s)", name, texts[0],
                       texts[1]);
  return sf_cel_fail(checker->error, node->position, "no matching overload for %s applied to (%s%s%s)", name, texts[0],
                     node->children.count > 1 ? ", " : "", texts[1]);
}

/* Every overload that fits counts: when their results differ, which only a dyn argument can bring about, it is dyn. */
static sf_code check_call(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  const sf_cel_type *arguments[SF_CEL_MAX_FUNCTION_ARGUMENTS];
  const sf_cel_function *function = node->as.call.function;
  if (node->children.count != function->num_arguments)
    return sf_cel_fail(checker->error, node->position,
                       "no matching overload for %s: %u arguments were expected, found %u", function->name,
                       function->num_arguments - node->as.call.member, node->children.count - node->as.call.member);
  for (uint32_t i = 0; i < node->children.count; i++)
    SF_TRY(check(checker, node->children.nodes[i], &arguments[i]));
  *type = NULL;
  overload_reader reader = {.next = node->as.call.member ? function->member_overloads : function->global_overloads};
  while (*reader.next != '\0') {
    memset(reader.letters, 0, sizeof(reader.letters));
    const sf_cel_type *result = try_overload(checker, &reader, arguments, node->children.count);
    if (result == NULL)
      continue;
    *type = *type == NULL || sf_cel_type_same(&checker->types, *type, result) ? result : sf_cel_type_dyn();
  }
  return *type != NULL ? SF_OK : fail_overload(checker, node, arguments);
}

/* --------------------------------------------------------------------------------------------------- Other nodes */

static sf_code check_select(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  const sf_cel_type *operand;
  SF_TRY(check(checker, node->children.nodes[0], &operand));
  operand = sf_cel_type_resolve(operand);
  *type = sf_cel_type_dyn();
  if (sf_cel_type_is(operand, SF_CEL_MAP)) {
    sf_cel_types_mark(&checker->types);
    if (!sf_cel_type_assignable(&checker->types, operand->parameters[0], sf_cel_type_kind(SF_CEL_STRING)))
      return fail_type(checker, node->position, operand, "a map with strings as keys");
    *type = operand->parameters[1];
  } else if (operand->form == SF_CEL_FORM_KIND) {
    return fail_type(checker, node->position, operand, "a map, to select a field of,");
  }
  if (node->as.select.test_only)
    *type = sf_cel_type_kind(SF_CEL_BOOL);
  return SF_OK;
}

static sf_code check_list(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  const sf_cel_type *joined = NULL;
  for (uint32_t i = 0; i < node->children.count; i++) {
    const sf_cel_type *element;
    SF_TRY(check(checker, node->children.nodes[i], &element));
    joined = sf_cel_type_join(&checker->types, joined, element);
  }
  *type = sf_cel_type_list(&checker->types, joined != NULL ? joined : sf_cel_type_variable(&checker->types));
  return SF_OK;
}

static bool may_be_key(const sf_cel_type *type) {
  type = sf_cel_type_resolve(type);
  return type->form != SF_CEL_FORM_KIND || sf_cel_is_key(&(sf_cel_value){.kind = type->kind});
}

static sf_code check_map(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  const sf_cel_type *joined[2] = {NULL, NULL}; /* key, value */
  for (uint32_t i = 0; i < node->children.count; i++) {
    const sf_cel_type *part;
    SF_TRY(check(checker, node->children.nodes[i], &part));
    if (i % 2 == 0 && !may_be_key(part))
      return fail_type(checker, node->children.nodes[i]->position, part, "a key of type int, uint, bool or string");
    joined[i % 2] = sf_cel_type_join(&checker->types, joined[i % 2], part);
  }
  for (int i = 0; i < 2; i++) {
    if (joined[i] == NULL)
      joined[i] = sf_cel_type_variable(&checker->types);
  }
  *type = sf_cel_type_map(&checker->types, joined[0], joined[1]);
  return SF_OK;
}

static sf_code check_bool(checker_state *checker, const sf_cel_node *node, const char *expected) {
  const sf_cel_type *type;
  SF_TRY(check(checker, node, &type));
  sf_cel_types_mark(&checker->types);
  if (!sf_cel_type_assignable(&checker->types, type, sf_cel_type_kind(SF_CEL_BOOL)))
    return fail_type(checker, node->position, type, expected);
  return SF_OK;
}

static sf_code check_logical(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  for (uint32_t i = 0; i < node->children.count; i++)
    SF_TRY(check_bool(checker, node->children.nodes[i],
                      node->kind == SF_CEL_NODE_OR ? "a bool before or after ||" : "a bool before or after &&"));
  *type = sf_cel_type_kind(SF_CEL_BOOL);
  return SF_OK;
}

/* All values must be of one type, as far as it is known. */
static sf_code check_conditional(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  uint32_t last = node->children.count - 1;
  const sf_cel_type *common = NULL;
  for (uint32_t i = 0; i <= last; i++) {
    const sf_cel_type *value;
    if (i % 2 == 0 && i != last) {
      SF_TRY(check_bool(checker, node->children.nodes[i], "a bool before ?"));
      continue;
    }
    SF_TRY(check(checker, node->children.nodes[i], &value));
    if (common == NULL)
      common = sf_cel_type_variable(&checker->types);
    sf_cel_types_mark(&checker->types);
    if (!sf_cel_type_assignable(&checker->types, value, common)) {
      char texts[2][TYPE_TEXT_BYTES];
      sf_cel_types_undo(&checker->types);
      sf_cel_type_describe(common, texts[0], sizeof(texts[0]));
      sf_cel_type_describe(value, texts[1], sizeof(texts[1]));
      return sf_cel_fail(checker->error, node->position, "no matching overload for _?_:_ applied to (bool, %s, %s)",
                         texts[0], texts[1]);
    }
  }
  *type = common;
  return SF_OK;
}

/* What a comprehension's variable goes through: a list's elements, a map's keys. */
static sf_code range_element(checker_state *checker, const sf_cel_node *range, const sf_cel_type **element) {
  const sf_cel_type *type;
  SF_TRY(check(checker, range, &type));
  type = sf_cel_type_resolve(type);
  *element = sf_cel_type_dyn();
  if (sf_cel_type_is(type, SF_CEL_LIST) || sf_cel_type_is(type, SF_CEL_MAP))
    *element = type->parameters[0];
  else if (type->form == SF_CEL_FORM_KIND)
    return fail_type(checker, range->position, type, "a list or map to go through");
  return SF_OK;
}

static sf_code check_comprehension(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  sf_cel_node *const *parts = node->children.nodes;
  const sf_cel_type *element;
  SF_TRY(range_element(checker, parts[SF_CEL_RANGE], &element));
  checker->locals[node->as.comprehension.slot] = element;
  if (parts[SF_CEL_PREDICATE] != NULL)
    SF_TRY(check_bool(checker, parts[SF_CEL_PREDICATE], "a bool as a macro's predicate"));
  *type = sf_cel_type_kind(SF_CEL_BOOL);
  if (parts[SF_CEL_TRANSFORM] != NULL)
    SF_TRY(check(checker, parts[SF_CEL_TRANSFORM], &element));
  if (node->as.comprehension.macro == SF_CEL_MACRO_MAP || node->as.comprehension.macro == SF_CEL_MACRO_FILTER)
    *type = sf_cel_type_list(&checker->types, element);
  return SF_OK;
}

static const sf_cel_type *constant_type(const sf_cel_value *constant) {
  return sf_cel_type_kind(constant->kind);
}

static const sf_cel_type *identifier_type(const checker_state *checker, const sf_cel_node *node) {
  uint32_t slot = node->as.identifier.slot;
  if (node->as.identifier.scope == SF_CEL_SCOPE_LOCAL)
    return checker->locals[slot];
  const sf_cel_variable *variable = &checker->program->variables[slot];
  return variable->is_dyn ? sf_cel_type_dyn() : sf_cel_type_kind(variable->type);
}

static sf_code check_node(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  switch (node->kind) {
  case SF_CEL_NODE_CONSTANT:
    *type = constant_type(&node->as.constant);
    return SF_OK;
  case SF_CEL_NODE_IDENTIFIER:
    *type = identifier_type(checker, node);
    return SF_OK;
  case SF_CEL_NODE_SELECT:
    return check_select(checker, node, type);
  case SF_CEL_NODE_CALL:
    return check_call(checker, node, type);
  case SF_CEL_NODE_LIST:
    return check_list(checker, node, type);
  case SF_CEL_NODE_MAP:
    return check_map(checker, node, type);
  case SF_CEL_NODE_AND:
  case SF_CEL_NODE_OR:
    return check_logical(checker, node, type);
  case SF_CEL_NODE_CONDITIONAL:
    return check_conditional(checker, node, type);
  case SF_CEL_NODE_COMPREHENSION:
    break;
  }
  return check_comprehension(checker, node, type);
}

/* Recursion is bounded by the tree's depth. */
static sf_code check(checker_state *checker, const sf_cel_node *node, const sf_cel_type **type) {
  SF_TRY(check_node(checker, node, type));
  return checker->types.out_of_memory ? sf_cel_fail_program_memory(checker->types.arena, checker->error) : SF_OK;
}

static sf_code check_root(checker_state *checker, bool expects_bool) {
  const sf_cel_type *type;
  return expects_bool ? check_bool(checker, checker->program->root, "an expression that is a bool")
                      : check(checker, checker->program->root, &type);
}

sf_code sf_cel_check(const sf_cel_program *program, bool expects_bool, sf_error *error) {
  sf_cel_arena arena;
  sf_cel_arena_init(&arena, NULL, 0, SF_CEL_MAX_PROGRAM_BYTES);
  checker_state checker = {
      .program = program, .types = {.arena = &arena, .budget = {SF_CEL_MAX_TYPE_STEPS}}, .error = error};
  checker.locals = sf_cel_arena_zeroed(&arena, program->num_locals, sizeof(sf_cel_type *));
  sf_code code =
      checker.locals != NULL ? check_root(&checker, expects_bool) : sf_cel_fail_program_memory(&arena, error);
  if (checker.types.budget.steps < 0 && code != SF_OUT_OF_MEMORY_ERROR)
    code = sf_cel_fail(error, program->root->position, "checking the types takes more than %d steps",
                       SF_CEL_MAX_TYPE_STEPS);
  sf_cel_arena_free(&arena);
  return code;
}
