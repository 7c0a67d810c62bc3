/* An expression as a tree: what the parser makes, the resolver and the checker complete, and the evaluator walks. */
#ifndef SF_CEL_AST_H
#define SF_CEL_AST_H

#include "cel/arena.h"
#include "cel/position.h"
#include "cel/value.h"

typedef struct sf_cel_node sf_cel_node;
typedef struct sf_cel_function sf_cel_function;
typedef struct sf_cel_regex sf_cel_regex;

typedef enum sf_cel_node_kind {
  SF_CEL_NODE_CONSTANT,
  SF_CEL_NODE_IDENTIFIER,
  SF_CEL_NODE_SELECT,
  SF_CEL_NODE_CALL,
  SF_CEL_NODE_LIST,
  SF_CEL_NODE_MAP,
  SF_CEL_NODE_AND,
  SF_CEL_NODE_OR,
  SF_CEL_NODE_CONDITIONAL,
  SF_CEL_NODE_COMPREHENSION,
} sf_cel_node_kind;

typedef enum sf_cel_scope {
  SF_CEL_SCOPE_UNRESOLVED, /* nothing has the name; evaluating it is an error */
  SF_CEL_SCOPE_VARIABLE,   /* slot: in the program's variables */
  SF_CEL_SCOPE_LOCAL,      /* slot: how many comprehensions are around the one that binds it */
} sf_cel_scope;

typedef enum sf_cel_macro {
  SF_CEL_MACRO_ALL,
  SF_CEL_MACRO_EXISTS,
  SF_CEL_MACRO_EXISTS_ONE,
  SF_CEL_MACRO_MAP,
  SF_CEL_MACRO_FILTER,
} sf_cel_macro;

/* Children in order. What stands for several of the same operator in a row is one node, so that a long row is not a
 * deep tree. */
typedef struct sf_cel_children {
  sf_cel_node **nodes;
  uint32_t count;
} sf_cel_children;

struct sf_cel_node {
  sf_cel_node_kind kind;
  uint32_t depth; /* 1 for a leaf; never above SF_CEL_MAX_DEPTH */
  sf_cel_position position;
  /* CALL: the arguments, the receiver first. LIST: the elements. MAP: keys and values in turn. AND, OR: the operands.
   * CONDITIONAL: condition and value in turn, the last value alone. SELECT: the operand. COMPREHENSION: the range, then
   * the predicate or NULL, then the transformation or NULL. */
  sf_cel_children children;
  union {
    sf_cel_value constant;
    struct {
      sf_cel_text name;
      sf_cel_scope scope;
      uint32_t slot;
      bool root;       /* .name: no comprehension's variable */
      bool names_type; /* the name is a type's, should no variable have it */
      sf_cel_kind type;
    } identifier;
    struct {
      sf_cel_text field;
      bool test_only; /* has(operand.field) */
    } select;
    struct {
      sf_cel_text name;
      const sf_cel_function *function; /* NULL: unknown */
      const sf_cel_regex *regex;       /* of a constant pattern, or NULL */
      bool member;
    } call;
    struct {
      sf_cel_macro macro;
      sf_cel_text variable;
      uint32_t slot;
    } comprehension;
  } as;
};

/* Indices into a comprehension's children. */
enum { SF_CEL_RANGE = 0, SF_CEL_PREDICATE = 1, SF_CEL_TRANSFORM = 2, SF_CEL_NUM_PARTS = 3 };

/*
 * A node whose children (NULL ones allowed) are set; fails when it would be deeper than SF_CEL_MAX_DEPTH or memory is
 * out. The children's array becomes the node's.
 */
sf_code sf_cel_node_create(sf_cel_arena *arena, sf_cel_node_kind kind, sf_cel_position position,
                           sf_cel_children children, sf_cel_node **node, sf_error *error);

/* Children of a number not known yet. Zero-initialise. */
typedef struct sf_cel_node_list {
  sf_cel_children children;
  uint32_t capacity;
} sf_cel_node_list;

sf_code sf_cel_node_list_add(sf_cel_node_list *list, sf_cel_arena *arena, sf_cel_node *node, sf_error *error);

/* For an allocation from a program's arena that returned NULL. */
sf_code sf_cel_fail_program_memory(const sf_cel_arena *arena, sf_error *error);

/* "a.b.c" for a row of selections that begins at a name; false for any other node, or when it does not fit. */
bool sf_cel_qualified_name(const sf_cel_node *node, char *buffer, size_t capacity);

#endif
