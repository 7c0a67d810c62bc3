/* Types deduced and checked before anything runs (langdef, "Gradual Type Checking"). */
#ifndef SF_CEL_CHECKER_H
#define SF_CEL_CHECKER_H

#include "cel/program.h"

/* The program's names are resolved. `expects_bool`: the expression has to be one, as far as its type is known. */
sf_code sf_cel_check(const sf_cel_program *program, bool expects_bool, sf_error *error);

#endif
