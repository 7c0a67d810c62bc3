/* The table of the functions that expressions can call, operators among them (langdef, "Standard Definitions"). */
#ifndef SF_CEL_FUNCTIONS_H
#define SF_CEL_FUNCTIONS_H

#include "cel/ast.h"
#include "cel/evaluation.h"

#define SF_CEL_MAX_FUNCTION_ARGUMENTS 2

typedef sf_cel_outcome (*sf_cel_implementation)(sf_cel_evaluation *evaluation, const sf_cel_value *arguments,
                                                sf_cel_value *result);

/*
 * Overloads are written as the types of the arguments, '>' and the result's, one after the other with a space between:
 * b bool, i int, u uint, d double, s string, y bytes, n null, t type, * dyn, A and B a type that is the same wherever
 * the letter stands in one overload, lX a list of X, mXY a map of X to Y. The receiver is the first argument.
 */
struct sf_cel_function {
  const char *name;
  const char *global_overloads; /* f(a, b); NULL: none */
  const char *member_overloads; /* a.f(b); NULL: none */
  uint32_t num_arguments;
  sf_cel_implementation call; /* takes any values, and says so when no overload is for them */
};

/* NULL when nothing has the name, or is called in that style. */
const sf_cel_function *sf_cel_function_find(sf_cel_text name, bool member);

/* True when arguments' texts are constant patterns worth compiling once: the pattern is the second argument. */
bool sf_cel_function_takes_pattern(const sf_cel_function *function);

#endif
