/* What can be computed once, before any evaluation: list and map literals of constants, constant patterns. */
#ifndef SF_CEL_CONSTANTS_H
#define SF_CEL_CONSTANTS_H

#include "cel/program.h"

/* The program's names are resolved. Patterns that RE2 would not take, and keys that a literal has twice, fail here. */
sf_code sf_cel_fold_constants(sf_cel_program *program, sf_error *error);

#endif
