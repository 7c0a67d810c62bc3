/* The types that the checker knows: the kinds, with what lists and maps hold, dyn, and types not known yet. */
#ifndef SF_CEL_TYPES_H
#define SF_CEL_TYPES_H

#include "cel/arena.h"
#include "cel/value.h"

typedef struct sf_cel_type sf_cel_type;

typedef enum sf_cel_type_form { SF_CEL_FORM_KIND, SF_CEL_FORM_DYN, SF_CEL_FORM_VARIABLE } sf_cel_type_form;

struct sf_cel_type {
  sf_cel_type_form form;
  sf_cel_kind kind;                 /* of FORM_KIND */
  const sf_cel_type *parameters[2]; /* list: element; map: key, value */
  const sf_cel_type **binding;      /* of FORM_VARIABLE: where what it is found to be is kept, NULL until then */
};

/* Types in the making. Zero-initialise but for the arena and the budget. */
typedef struct sf_cel_types {
  sf_cel_arena *arena;
  /* Types can share parts, and then be far larger than the expression: every look at a part takes a step. Once none is
   * left, all answers are quick and wrong, and the check as a whole has failed. */
  sf_cel_budget budget;
  bool out_of_memory;                  /* any call below that allocates may set it, and then return some type */
  struct sf_cel_binding_record *trail; /* bindings since the last mark, to be undone */
} sf_cel_types;

const sf_cel_type *sf_cel_type_kind(sf_cel_kind kind); /* list(dyn) and map(dyn, dyn) for LIST and MAP */
const sf_cel_type *sf_cel_type_dyn(void);
const sf_cel_type *sf_cel_type_variable(sf_cel_types *types);
const sf_cel_type *sf_cel_type_list(sf_cel_types *types, const sf_cel_type *element);
const sf_cel_type *sf_cel_type_map(sf_cel_types *types, const sf_cel_type *key, const sf_cel_type *value);

/* What a type is found to be so far: never a variable that has a binding. */
const sf_cel_type *sf_cel_type_resolve(const sf_cel_type *type);
bool sf_cel_type_is(const sf_cel_type *type, sf_cel_kind kind);

/*
 * Whether a value of `type` may stand where one of `wanted` is asked for, dyn being allowed anywhere. Binds variables of
 * both to make it so. After a false, call sf_cel_types_undo.
 */
bool sf_cel_type_assignable(sf_cel_types *types, const sf_cel_type *type, const sf_cel_type *wanted);
void sf_cel_types_mark(sf_cel_types *types);
void sf_cel_types_undo(sf_cel_types *types);

/* Whether both say the same. */
bool sf_cel_type_same(sf_cel_types *types, const sf_cel_type *first, const sf_cel_type *second);

/* The type of a list that holds both: the more general of the two, or dyn. `first` NULL: `second`. */
const sf_cel_type *sf_cel_type_join(sf_cel_types *types, const sf_cel_type *first, const sf_cel_type *second);

/* "map(string, list(dyn))", as much of it as fits. */
void sf_cel_type_describe(const sf_cel_type *type, char *buffer, size_t capacity);

#endif
