#include "cel/arithmetic.h"

#include <string.h>

static sf_cel_outcome fail_overflow(sf_cel_evaluation *evaluation, sf_cel_kind kind) {
  return sf_cel_error(evaluation, "the result is out of the range of %s", sf_cel_kind_name(kind));
}

static sf_cel_outcome int_result(sf_cel_evaluation *evaluation, bool overflow, int64_t value, sf_cel_value *result) {
  *result = sf_cel_int(value);
  return overflow ? fail_overflow(evaluation, SF_CEL_INT) : SF_CEL_DONE;
}

static sf_cel_outcome uint_result(sf_cel_evaluation *evaluation, bool overflow, uint64_t value, sf_cel_value *result) {
  *result = sf_cel_uint(value);
  return overflow ? fail_overflow(evaluation, SF_CEL_UINT) : SF_CEL_DONE;
}

static sf_cel_outcome join_texts(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  sf_cel_text left = sf_cel_value_text(&arguments[0]);
  sf_cel_text right = sf_cel_value_text(&arguments[1]);
  size_t length = left.length + right.length; /* both are in memory, so their sum is no overflow */
  char *joined = sf_cel_allocate(evaluation, length, 1);
  if (joined == NULL || !sf_cel_spend_bytes(evaluation, length))
    return SF_CEL_FAILED;
  if (left.length > 0)
    memcpy(joined, left.data, left.length);
  if (right.length > 0)
    memcpy(joined + left.length, right.data, right.length);
  *result = arguments[0].kind == SF_CEL_STRING ? sf_cel_string(joined, length) : sf_cel_bytes(joined, length);
  return SF_CEL_DONE;
}

static sf_cel_outcome join_lists(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  size_t left = arguments[0].as.list.count;
  size_t right = arguments[1].as.list.count;
  sf_cel_value *joined = sf_cel_allocate(evaluation, left + right, sizeof(sf_cel_value));
  if (joined == NULL || !sf_cel_spend_bytes(evaluation, (left + right) * sizeof(sf_cel_value)))
    return SF_CEL_FAILED;
  if (left > 0)
    memcpy(joined, arguments[0].as.list.items, left * sizeof(sf_cel_value));
  if (right > 0)
    memcpy(joined + left, arguments[1].as.list.items, right * sizeof(sf_cel_value));
  *result = sf_cel_list(joined, left + right);
  return SF_CEL_DONE;
}

sf_cel_outcome sf_cel_add(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *left = &arguments[0];
  const sf_cel_value *right = &arguments[1];
  bool overflow;
  int64_t integer;
  uint64_t unsigned_integer;
  if (left->kind != right->kind)
    return SF_CEL_NO_OVERLOAD;
  switch (left->kind) {
  case SF_CEL_INT:
    overflow = __builtin_add_overflow(left->as.integer, right->as.integer, &integer);
    return int_result(evaluation, overflow, integer, result);
  case SF_CEL_UINT:
    overflow = __builtin_add_overflow(left->as.unsigned_integer, right->as.unsigned_integer, &unsigned_integer);
    return uint_result(evaluation, overflow, unsigned_integer, result);
  case SF_CEL_DOUBLE:
    *result = sf_cel_double(left->as.number + right->as.number);
    return SF_CEL_DONE;
  case SF_CEL_STRING:
  case SF_CEL_BYTES:
    return join_texts(evaluation, arguments, result);
  case SF_CEL_LIST:
    return join_lists(evaluation, arguments, result);
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

sf_cel_outcome sf_cel_subtract(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *left = &arguments[0];
  const sf_cel_value *right = &arguments[1];
  bool overflow;
  int64_t integer;
  uint64_t unsigned_integer;
  if (left->kind != right->kind)
    return SF_CEL_NO_OVERLOAD;
  switch (left->kind) {
  case SF_CEL_INT:
    overflow = __builtin_sub_overflow(left->as.integer, right->as.integer, &integer);
    return int_result(evaluation, overflow, integer, result);
  case SF_CEL_UINT:
    overflow = __builtin_sub_overflow(left->as.unsigned_integer, right->as.unsigned_integer, &unsigned_integer);
    return uint_result(evaluation, overflow, unsigned_integer, result);
  case SF_CEL_DOUBLE:
    *result = sf_cel_double(left->as.number - right->as.number);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

sf_cel_outcome sf_cel_multiply(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *left = &arguments[0];
  const sf_cel_value *right = &arguments[1];
  bool overflow;
  int64_t integer;
  uint64_t unsigned_integer;
  if (left->kind != right->kind)
    return SF_CEL_NO_OVERLOAD;
  switch (left->kind) {
  case SF_CEL_INT:
    overflow = __builtin_mul_overflow(left->as.integer, right->as.integer, &integer);
    return int_result(evaluation, overflow, integer, result);
  case SF_CEL_UINT:
    overflow = __builtin_mul_overflow(left->as.unsigned_integer, right->as.unsigned_integer, &unsigned_integer);
    return uint_result(evaluation, overflow, unsigned_integer, result);
  case SF_CEL_DOUBLE:
    *result = sf_cel_double(left->as.number * right->as.number);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

/* The smallest int divided by -1 is no int, and traps on some machines; the language makes its remainder an error,
 * too. */
static bool division_overflows(int64_t left, int64_t right) {
  return left == INT64_MIN && right == -1;
}

sf_cel_outcome sf_cel_divide(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *left = &arguments[0];
  const sf_cel_value *right = &arguments[1];
  if (left->kind != right->kind)
    return SF_CEL_NO_OVERLOAD;
  switch (left->kind) {
  case SF_CEL_INT:
    if (right->as.integer == 0)
      return sf_cel_error(evaluation, "division by zero");
    if (division_overflows(left->as.integer, right->as.integer))
      return fail_overflow(evaluation, SF_CEL_INT);
    *result = sf_cel_int(left->as.integer / right->as.integer);
    return SF_CEL_DONE;
  case SF_CEL_UINT:
    if (right->as.unsigned_integer == 0)
      return sf_cel_error(evaluation, "division by zero");
    *result = sf_cel_uint(left->as.unsigned_integer / right->as.unsigned_integer);
    return SF_CEL_DONE;
  case SF_CEL_DOUBLE:
    *result = sf_cel_double(left->as.number / right->as.number);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

sf_cel_outcome sf_cel_modulo(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *left = &arguments[0];
  const sf_cel_value *right = &arguments[1];
  if (left->kind != right->kind)
    return SF_CEL_NO_OVERLOAD;
  switch (left->kind) {
  case SF_CEL_INT:
    if (right->as.integer == 0)
      return sf_cel_error(evaluation, "modulus by zero");
    if (division_overflows(left->as.integer, right->as.integer))
      return fail_overflow(evaluation, SF_CEL_INT);
    *result = sf_cel_int(left->as.integer % right->as.integer);
    return SF_CEL_DONE;
  case SF_CEL_UINT:
    if (right->as.unsigned_integer == 0)
      return sf_cel_error(evaluation, "modulus by zero");
    *result = sf_cel_uint(left->as.unsigned_integer % right->as.unsigned_integer);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

sf_cel_outcome sf_cel_negate(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  switch (arguments[0].kind) {
  case SF_CEL_INT:
    if (arguments[0].as.integer == INT64_MIN)
      return fail_overflow(evaluation, SF_CEL_INT);
    *result = sf_cel_int(-arguments[0].as.integer);
    return SF_CEL_DONE;
  case SF_CEL_DOUBLE:
    *result = sf_cel_double(-arguments[0].as.number);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}
