#include "cel/resolver.h"

#include "cel/functions.h"
#include "cel/limits.h"
#include "cel/unsupported.h"

#include <string.h>

#define LONGEST_QUALIFIED_NAME 256

/* A comprehension's variable, in sight of its body. */
typedef struct local_scope local_scope;
struct local_scope {
  const local_scope *outer;
  sf_cel_text name;
  uint32_t slot;
};

typedef struct resolver_state {
  sf_cel_program *program;
  const sf_cel_declaration *declarations;
  size_t num_declarations;
  bool lenient;
  const char *known; /* of the options */
  sf_error *error;
} resolver_state;

static sf_code resolve(resolver_state *resolver, const local_scope *scope, sf_cel_node *node);

static const sf_cel_declaration *find_declaration(const resolver_state *resolver, sf_cel_text name) {
  for (size_t i = 0; i < resolver->num_declarations; i++) {
    if (sf_cel_text_equals(name, resolver->declarations[i].name))
      return &resolver->declarations[i];
  }
  return NULL;
}

static const local_scope *find_local(const local_scope *scope, sf_cel_text name) {
  while (scope != NULL && !(scope->name.length == name.length && memcmp(scope->name.data, name.data, name.length) == 0))
    scope = scope->outer;
  return scope;
}

static bool grow_variables(sf_cel_program *program) {
  uint32_t capacity = program->variables_capacity == 0 ? 4 : program->variables_capacity * 2;
  sf_cel_variable *variables = sf_cel_arena_allocate(&program->arena, capacity, sizeof(*variables));
  if (variables == NULL)
    return false;
  if (program->num_variables > 0)
    memcpy(variables, program->variables, program->num_variables * sizeof(*variables));
  program->variables = variables;
  program->variables_capacity = capacity;
  return true;
}

/* The slot of a variable that may be read, the same for the same name. */
static sf_code variable_slot(resolver_state *resolver, sf_cel_text name, const sf_cel_declaration *declaration,
                             uint32_t *slot) {
  sf_cel_program *program = resolver->program;
  for (uint32_t i = 0; i < program->num_variables; i++) {
    if (sf_cel_text_equals(name, program->variables[i].name)) {
      *slot = i;
      return SF_OK;
    }
  }
  if (program->num_variables >= SF_CEL_MAX_DECLARATIONS)
    return sf_fail(resolver->error, SF_CONFIG_VALIDATION_ERROR, "CEL: 1:1: the expression reads more than %d variables",
                   SF_CEL_MAX_DECLARATIONS);
  if (program->num_variables == program->variables_capacity && !grow_variables(program))
    return sf_cel_fail_program_memory(&program->arena, resolver->error);
  char *copy = sf_cel_arena_allocate(&program->arena, name.length + 1, 1);
  if (copy == NULL)
    return sf_cel_fail_program_memory(&program->arena, resolver->error);
  memcpy(copy, name.data, name.length);
  copy[name.length] = '\0';
  *slot = program->num_variables++;
  program->variables[*slot] = (sf_cel_variable){.name = copy, .name_length = name.length};
  if (declaration != NULL) {
    program->variables[*slot].declared = true;
    program->variables[*slot].is_dyn = declaration->is_dyn;
    program->variables[*slot].type = declaration->type;
  }
  return SF_OK;
}

static void become_type(sf_cel_node *node, sf_cel_kind kind) {
  node->kind = SF_CEL_NODE_CONSTANT;
  node->as.constant = sf_cel_type_of(kind);
}

static sf_code resolve_identifier(resolver_state *resolver, const local_scope *scope, sf_cel_node *node) {
  sf_cel_text name = node->as.identifier.name;
  const local_scope *local = node->as.identifier.root ? NULL : find_local(scope, name);
  if (local != NULL) {
    node->as.identifier.scope = SF_CEL_SCOPE_LOCAL;
    node->as.identifier.slot = local->slot;
    return SF_OK;
  }
  const sf_cel_declaration *declaration = find_declaration(resolver, name);
  sf_cel_kind type;
  bool names_type = sf_cel_kind_of_name(name, &type);
  if (declaration == NULL && !resolver->lenient) {
    char excerpt[SF_CEL_EXCERPT_BYTES];
    if (!names_type)
      return sf_cel_fail(resolver->error, node->position, "undeclared reference to '%s'%s%s",
                         sf_cel_excerpt(name, excerpt), resolver->known != NULL ? ": " : "",
                         resolver->known != NULL ? resolver->known : "");
    become_type(node, type);
    return SF_OK;
  }
  node->as.identifier.scope = SF_CEL_SCOPE_VARIABLE;
  node->as.identifier.names_type = names_type && declaration == NULL;
  node->as.identifier.type = names_type ? type : SF_CEL_NULL;
  return variable_slot(resolver, name, declaration, &node->as.identifier.slot);
}

/* The name at the start of a row of selections, unless it is a variable's. */
static bool leading_name(const resolver_state *resolver, const local_scope *scope, const sf_cel_node *node,
                         sf_cel_text *name) {
  while (node->kind == SF_CEL_NODE_SELECT)
    node = node->children.nodes[0];
  if (node->kind != SF_CEL_NODE_IDENTIFIER)
    return false;
  *name = node->as.identifier.name;
  bool is_local = !node->as.identifier.root && find_local(scope, *name) != NULL;
  return !is_local && find_declaration(resolver, *name) == NULL;
}

/* a.b is the variable of that name, if there is one, before it is the field b of a. */
static sf_code resolve_select(resolver_state *resolver, const local_scope *scope, sf_cel_node *node) {
  char qualified[LONGEST_QUALIFIED_NAME];
  sf_cel_text leading;
  if (leading_name(resolver, scope, node, &leading) && sf_cel_qualified_name(node, qualified, sizeof(qualified))) {
    static const char messages[] = "google.protobuf.";
    sf_cel_text name = {qualified, strlen(qualified)};
    const sf_cel_declaration *declaration = find_declaration(resolver, name);
    if (declaration != NULL) {
      sf_cel_position position = node->position;
      *node = (sf_cel_node){.kind = SF_CEL_NODE_IDENTIFIER, .depth = node->depth, .position = position};
      node->as.identifier.scope = SF_CEL_SCOPE_VARIABLE;
      return variable_slot(resolver, name, declaration, &node->as.identifier.slot);
    }
    if (strncmp(qualified, messages, sizeof(messages) - 1) == 0)
      return sf_cel_fail(resolver->error, node->position, "messages (%s) are not supported", qualified);
  }
  return resolve(resolver, scope, node->children.nodes[0]);
}

static sf_code refuse_call(const resolver_state *resolver, const sf_cel_node *node, const char *prefix,
                           sf_cel_text name) {
  char excerpt[SF_CEL_EXCERPT_BYTES];
  return sf_cel_fail(resolver->error, node->position, "%s%s() is not supported", prefix, sf_cel_excerpt(name, excerpt));
}

static sf_code resolve_arguments(resolver_state *resolver, const local_scope *scope, sf_cel_node *node) {
  for (uint32_t i = 0; i < node->children.count; i++) {
    if (node->children.nodes[i] != NULL)
      SF_TRY(resolve(resolver, scope, node->children.nodes[i]));
  }
  return SF_OK;
}

/* A receiver that is no variable but an extension's name. */
static sf_code refuse_namespace(resolver_state *resolver, const local_scope *scope, const sf_cel_node *node) {
  const sf_cel_node *target = node->children.nodes[0];
  sf_cel_text leading;
  char prefix[LONGEST_QUALIFIED_NAME];
  if (!leading_name(resolver, scope, target, &leading) || !sf_cel_unsupported_namespace(leading) ||
      !sf_cel_qualified_name(target, prefix, sizeof(prefix) - 1))
    return SF_OK;
  memcpy(prefix + strlen(prefix), ".", 2);
  return refuse_call(resolver, node, prefix, node->as.call.name);
}

static sf_code resolve_call(resolver_state *resolver, const local_scope *scope, sf_cel_node *node) {
  sf_cel_text name = node->as.call.name;
  bool member = node->as.call.member;
  if (member)
    SF_TRY(refuse_namespace(resolver, scope, node));
  node->as.call.function = sf_cel_function_find(name, member);
  if (node->as.call.function == NULL) {
    char excerpt[SF_CEL_EXCERPT_BYTES];
    if (member ? sf_cel_unsupported_member(name) : sf_cel_unsupported_function(name))
      return refuse_call(resolver, node, "", name);
    if (!resolver->lenient)
      return sf_cel_fail(resolver->error, node->position, "undeclared reference to function '%s'",
                         sf_cel_excerpt(name, excerpt));
  }
  return resolve_arguments(resolver, scope, node);
}

static sf_code resolve_comprehension(resolver_state *resolver, const local_scope *scope, sf_cel_node *node) {
  sf_cel_node **parts = node->children.nodes;
  local_scope inner = {.outer = scope, .name = node->as.comprehension.variable};
  inner.slot = scope == NULL ? 0 : scope->slot + 1;
  if (inner.slot >= resolver->program->num_locals)
    resolver->program->num_locals = inner.slot + 1;
  node->as.comprehension.slot = inner.slot;
  SF_TRY(resolve(resolver, scope, parts[SF_CEL_RANGE]));
  if (parts[SF_CEL_PREDICATE] != NULL)
    SF_TRY(resolve(resolver, &inner, parts[SF_CEL_PREDICATE]));
  return parts[SF_CEL_TRANSFORM] != NULL ? resolve(resolver, &inner, parts[SF_CEL_TRANSFORM]) : SF_OK;
}

/* Recursion is bounded by the tree's depth. */
static sf_code resolve(resolver_state *resolver, const local_scope *scope, sf_cel_node *node) {
  switch (node->kind) {
  case SF_CEL_NODE_CONSTANT:
    return SF_OK;
  case SF_CEL_NODE_IDENTIFIER:
    return resolve_identifier(resolver, scope, node);
  case SF_CEL_NODE_SELECT:
    return resolve_select(resolver, scope, node);
  case SF_CEL_NODE_CALL:
    return resolve_call(resolver, scope, node);
  case SF_CEL_NODE_COMPREHENSION:
    return resolve_comprehension(resolver, scope, node);
  default:
    return resolve_arguments(resolver, scope, node);
  }
}

sf_code sf_cel_resolve(sf_cel_program *program, const sf_cel_declaration *declarations, size_t num_declarations,
                       const sf_cel_options *options, sf_error *error) {
  resolver_state resolver = {.program = program,
                             .declarations = declarations,
                             .num_declarations = num_declarations,
                             .lenient = options != NULL && options->skip_type_check,
                             .known = options != NULL ? options->known : NULL,
                             .error = error};
  return resolve(&resolver, NULL, program->root);
}
