/* Evaluates a tree (langdef, "Evaluation"). */
#ifndef SF_CEL_EVALUATOR_H
#define SF_CEL_EVALUATOR_H

#include "cel/evaluation.h"
#include "cel/program.h"

/* Fills the evaluation's variables from the bindings, which are not trusted. False with the error set. */
bool sf_cel_bind(sf_cel_evaluation *evaluation, const sf_cel_program *program, const sf_cel_binding *bindings,
                 size_t num_bindings);

/* False with the error set. Strings and items of the value may be the program's or the bindings'. */
bool sf_cel_evaluate_node(sf_cel_evaluation *evaluation, const sf_cel_program *program, const sf_cel_node *node,
                          sf_cel_value *value);

/* Makes all that `value` points to the evaluation's own. False with the error set. */
bool sf_cel_own(sf_cel_evaluation *evaluation, sf_cel_value *value);

#endif
