/* The standard macros (langdef, "Macros"): has, all, exists, exists_one, map, filter. */
#ifndef SF_CEL_MACROS_H
#define SF_CEL_MACROS_H

#include "cel/ast.h"

/*
 * What the call `name(arguments)`, or `target.name(arguments)` when `target` is not NULL, expands to when it is a
 * macro's; *expansion is NULL when it is an ordinary call.
 */
sf_code sf_cel_macro_expand(sf_cel_arena *arena, sf_cel_node *target, sf_cel_text name, sf_cel_position position,
                            sf_cel_children arguments, sf_cel_node **expansion, sf_error *error);

#endif
