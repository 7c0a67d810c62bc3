/* What the language or its well-known extensions have and this implementation leaves out, so that it is refused by its
 * name rather than as a typing mistake. */
#ifndef SF_CEL_UNSUPPORTED_H
#define SF_CEL_UNSUPPORTED_H

#include "cel/position.h"

bool sf_cel_unsupported_function(sf_cel_text name);  /* name(...) */
bool sf_cel_unsupported_member(sf_cel_text name);    /* a.name(...) */
bool sf_cel_unsupported_namespace(sf_cel_text name); /* name.f(...) */

#endif
