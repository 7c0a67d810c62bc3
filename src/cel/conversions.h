/* The functions that make a value of one type from one of another: int(), uint(), double(), string(), bytes(), bool(),
 * type() and dyn(). */
#ifndef SF_CEL_CONVERSIONS_H
#define SF_CEL_CONVERSIONS_H

#include "cel/evaluation.h"

sf_cel_outcome sf_cel_to_bool(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_to_int(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_to_uint(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_to_double(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_to_string(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_to_bytes(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_to_type(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);
sf_cel_outcome sf_cel_to_dyn(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result);

#endif
