/* Names looked up: variables, comprehensions' variables, types, functions (langdef, "Name Resolution"). */
#ifndef SF_CEL_RESOLVER_H
#define SF_CEL_RESOLVER_H

#include "cel/program.h"

/*
 * Completes the program's tree and its list of variables. What is left out is refused by name. Where the
 * options skip the check of types, a name that nothing has becomes an error of the evaluation instead, should it be needed.
 */
sf_code sf_cel_resolve(sf_cel_program *program, const sf_cel_declaration *declarations, size_t num_declarations,
                       const sf_cel_options *options, sf_error *error);

#endif
