#include "cel/types.h"

#include <stdio.h>
#include <string.h>

typedef struct sf_cel_binding_record binding_record;

struct sf_cel_binding_record {
  binding_record *previous;
  const sf_cel_type *variable;
  const sf_cel_type *binding; /* before */
};

static const sf_cel_type dyn_type = {.form = SF_CEL_FORM_DYN};
static const sf_cel_type kind_types[SF_CEL_NUM_KINDS] = {
    [SF_CEL_NULL] = {.kind = SF_CEL_NULL},
    [SF_CEL_BOOL] = {.kind = SF_CEL_BOOL},
    [SF_CEL_INT] = {.kind = SF_CEL_INT},
    [SF_CEL_UINT] = {.kind = SF_CEL_UINT},
    [SF_CEL_DOUBLE] = {.kind = SF_CEL_DOUBLE},
    [SF_CEL_STRING] = {.kind = SF_CEL_STRING},
    [SF_CEL_BYTES] = {.kind = SF_CEL_BYTES},
    [SF_CEL_LIST] = {.kind = SF_CEL_LIST, .parameters = {&dyn_type}},
    [SF_CEL_MAP] = {.kind = SF_CEL_MAP, .parameters = {&dyn_type, &dyn_type}},
    [SF_CEL_TYPE] = {.kind = SF_CEL_TYPE},
};

const sf_cel_type *sf_cel_type_kind(sf_cel_kind kind) {
  return &kind_types[kind];
}

const sf_cel_type *sf_cel_type_dyn(void) {
  return &dyn_type;
}

static const sf_cel_type *create(sf_cel_types *types, sf_cel_type content) {
  sf_cel_type *type = sf_cel_arena_allocate(types->arena, 1, sizeof(*type));
  if (type == NULL) {
    types->out_of_memory = true;
    return &dyn_type;
  }
  *type = content;
  return type;
}

const sf_cel_type *sf_cel_type_variable(sf_cel_types *types) {
  const sf_cel_type **binding = sf_cel_arena_zeroed(types->arena, 1, sizeof(sf_cel_type *));
  if (binding == NULL) {
    types->out_of_memory = true;
    return &dyn_type;
  }
  return create(types, (sf_cel_type){.form = SF_CEL_FORM_VARIABLE, .binding = binding});
}

const sf_cel_type *sf_cel_type_list(sf_cel_types *types, const sf_cel_type *element) {
  return create(types, (sf_cel_type){.kind = SF_CEL_LIST, .parameters = {element}});
}

const sf_cel_type *sf_cel_type_map(sf_cel_types *types, const sf_cel_type *key, const sf_cel_type *value) {
  return create(types, (sf_cel_type){.kind = SF_CEL_MAP, .parameters = {key, value}});
}

const sf_cel_type *sf_cel_type_resolve(const sf_cel_type *type) {
  while (type->form == SF_CEL_FORM_VARIABLE && *type->binding != NULL)
    type = *type->binding;
  return type;
}

bool sf_cel_type_is(const sf_cel_type *type, sf_cel_kind kind) {
  type = sf_cel_type_resolve(type);
  return type->form == SF_CEL_FORM_KIND && type->kind == kind;
}

void sf_cel_types_mark(sf_cel_types *types) {
  types->trail = NULL;
}

void sf_cel_types_undo(sf_cel_types *types) {
  for (; types->trail != NULL; types->trail = types->trail->previous)
    *types->trail->variable->binding = types->trail->binding;
}

static void bind(sf_cel_types *types, const sf_cel_type *variable, const sf_cel_type *binding) {
  binding_record *record = sf_cel_arena_allocate(types->arena, 1, sizeof(*record));
  if (record == NULL) {
    types->out_of_memory = true;
    return;
  }
  *record = (binding_record){.previous = types->trail, .variable = variable, .binding = *variable->binding};
  types->trail = record;
  *variable->binding = binding;
}

static size_t num_parameters(const sf_cel_type *type) {
  if (type->form != SF_CEL_FORM_KIND)
    return 0;
  return type->kind == SF_CEL_LIST ? 1 : type->kind == SF_CEL_MAP ? 2 : 0;
}

/* A type must not hold itself. The variable may be bound, so every one on the way to what a type is found to be counts. */
static bool occurs_in(sf_cel_types *types, const sf_cel_type *variable, const sf_cel_type *type) {
  if (!sf_cel_spend(&types->budget, 1))
    return true;
  for (; type->form == SF_CEL_FORM_VARIABLE; type = *type->binding) {
    if (type == variable)
      return true;
    if (*type->binding == NULL)
      return false;
  }
  for (size_t i = 0; i < num_parameters(type); i++) {
    if (occurs_in(types, variable, type->parameters[i]))
      return true;
  }
  return false;
}

/* Whether `general` says no more than `special`: dyn, or a type not known yet, where that has something. */
static bool is_as_general(sf_cel_types *types, const sf_cel_type *general, const sf_cel_type *special) {
  if (!sf_cel_spend(&types->budget, 1))
    return true;
  general = sf_cel_type_resolve(general);
  special = sf_cel_type_resolve(special);
  if (general->form != SF_CEL_FORM_KIND)
    return general->form == SF_CEL_FORM_DYN || special->form != SF_CEL_FORM_DYN;
  if (special->form != SF_CEL_FORM_KIND || general->kind != special->kind)
    return false;
  for (size_t i = 0; i < num_parameters(general); i++) {
    if (!is_as_general(types, general->parameters[i], special->parameters[i]))
      return false;
  }
  return true;
}

bool sf_cel_type_same(sf_cel_types *types, const sf_cel_type *first, const sf_cel_type *second) {
  return is_as_general(types, first, second) && is_as_general(types, second, first);
}

static const sf_cel_type *more_general(sf_cel_types *types, const sf_cel_type *first, const sf_cel_type *second) {
  return is_as_general(types, first, second) ? first : second;
}

/* A variable meets a type. Once bound, it keeps the more general of what it met: with an int and a dyn, it is dyn. The
 * last variable of a row of bound ones is the one that changes. */
static bool assign_variable(sf_cel_types *types, const sf_cel_type *variable, const sf_cel_type *type) {
  while (*variable->binding != NULL && (*variable->binding)->form == SF_CEL_FORM_VARIABLE)
    variable = *variable->binding;
  type = sf_cel_type_resolve(type);
  if (type == variable)
    return true;
  if (*variable->binding == NULL) {
    if (occurs_in(types, variable, type))
      return false;
    bind(types, variable, type);
    return true;
  }
  const sf_cel_type *bound = *variable->binding;
  if (!sf_cel_type_assignable(types, type, bound))
    return false;
  const sf_cel_type *general = more_general(types, type, bound);
  if (general != bound && !occurs_in(types, variable, general))
    bind(types, variable, general);
  return true;
}

bool sf_cel_type_assignable(sf_cel_types *types, const sf_cel_type *type, const sf_cel_type *wanted) {
  if (!sf_cel_spend(&types->budget, 1))
    return false;
  if (wanted->form == SF_CEL_FORM_VARIABLE)
    return assign_variable(types, wanted, type);
  if (type->form == SF_CEL_FORM_VARIABLE)
    return assign_variable(types, type, wanted);
  if (type->form == SF_CEL_FORM_DYN || wanted->form == SF_CEL_FORM_DYN)
    return true;
  if (type->kind != wanted->kind)
    return false;
  for (size_t i = 0; i < num_parameters(type); i++) {
    if (!sf_cel_type_assignable(types, type->parameters[i], wanted->parameters[i]))
      return false;
  }
  return true;
}

const sf_cel_type *sf_cel_type_join(sf_cel_types *types, const sf_cel_type *first, const sf_cel_type *second) {
  if (first == NULL)
    return second;
  sf_cel_types_mark(types);
  if (sf_cel_type_assignable(types, second, first))
    return more_general(types, first, second);
  sf_cel_types_undo(types);
  return &dyn_type;
}

/* Appends at *length; what does not fit is left out. */
static void append(char *buffer, size_t capacity, size_t *length, const char *text) {
  size_t room = capacity - 1 - *length;
  size_t text_length = strlen(text);
  if (text_length > room)
    text_length = room;
  memcpy(buffer + *length, text, text_length);
  *length += text_length;
}

static void describe(const sf_cel_type *type, char *buffer, size_t capacity, size_t *length) {
  type = sf_cel_type_resolve(type);
  if (*length == capacity - 1)
    return;
  if (type->form != SF_CEL_FORM_KIND) {
    append(buffer, capacity, length, "dyn");
    return;
  }
  append(buffer, capacity, length, sf_cel_kind_name(type->kind));
  for (size_t i = 0; i < num_parameters(type); i++) {
    append(buffer, capacity, length, i == 0 ? "(" : ", ");
    describe(type->parameters[i], buffer, capacity, length);
  }
  append(buffer, capacity, length, num_parameters(type) > 0 ? ")" : "");
}

void sf_cel_type_describe(const sf_cel_type *type, char *buffer, size_t capacity) {
  size_t length = 0;
  describe(type, buffer, capacity, &length);
  buffer[length] = '\0';
}
