/* From text to a tree, macros expanded, names not looked up yet (langdef, "Syntax"). */
#ifndef SF_CEL_PARSER_H
#define SF_CEL_PARSER_H

#include "cel/ast.h"

/* `source` is valid UTF-8 and outlives the tree, which is in the arena. */
sf_code sf_cel_parse(const char *source, size_t length, sf_cel_arena *arena, sf_cel_node **root, sf_error *error);

#endif
