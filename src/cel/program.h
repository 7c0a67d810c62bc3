/* A compiled expression, inside. */
#ifndef SF_CEL_PROGRAM_H
#define SF_CEL_PROGRAM_H

#include "cel/arena.h"
#include "cel/ast.h"
#include "cel/cel.h"

typedef struct sf_cel_variable {
  const char *name;
  size_t name_length;
  bool declared;
  bool is_dyn;      /* when declared: of any type */
  sf_cel_kind type; /* when declared, and not dyn */
} sf_cel_variable;

typedef struct sf_cel_regex_list sf_cel_regex_list;
struct sf_cel_regex_list {
  sf_cel_regex *regex;
  sf_cel_regex_list *next;
};

struct sf_cel_program {
  sf_cel_arena arena; /* holds all but the regular expressions */
  const char *source; /* a copy, which names in the tree point into */
  sf_cel_node *root;
  sf_cel_variable *variables; /* those that the expression may read; a node's slot is an index */
  uint32_t num_variables;
  uint32_t variables_capacity;
  uint32_t num_locals; /* most comprehensions around one another */
  sf_cel_regex_list *regexes;
};

#endif
