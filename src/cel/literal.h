/* Literals' text made values. */
#ifndef SF_CEL_LITERAL_H
#define SF_CEL_LITERAL_H

#include "cel/arena.h"
#include "cel/lexer.h"
#include "cel/value.h"

/* The value of a literal's token; what a string holds is put into the arena. `negative`: a '-' stands before it, which
 * makes the smallest int expressible. */
sf_code sf_cel_literal_value(const sf_cel_token *token, bool negative, sf_cel_arena *arena, sf_cel_value *value,
                             sf_error *error);

#endif
