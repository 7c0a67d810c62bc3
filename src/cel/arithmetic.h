/* The operators of numbers, and those that join strings, bytes and lists. */
#ifndef SF_CEL_ARITHMETIC_H
#define SF_CEL_ARITHMETIC_H

#include "cel/evaluation.h"

sf_cel_outcome sf_cel_add(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_subtract(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_multiply(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_divide(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_modulo(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_negate(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);

#endif
