#include "cel/conversions.h"

#include "base/utf8.h"
#include "cel/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static sf_cel_outcome fail_text(sf_cel_evaluation *evaluation, const sf_cel_value *text, sf_cel_kind kind) {
  char excerpt[SF_CEL_EXCERPT_BYTES];
  return sf_cel_error(evaluation, "string \"%s\" is no %s", sf_cel_excerpt(sf_cel_value_text(text), excerpt),
                      sf_cel_kind_name(kind));
}

static sf_cel_outcome fail_range(sf_cel_evaluation *evaluation, const sf_cel_value *value, sf_cel_kind kind) {
  char number[SF_CEL_DOUBLE_TEXT_BYTES];
  switch (value->kind) {
  case SF_CEL_INT:
    return sf_cel_error(evaluation, "int %" PRId64 " is out of the range of %s", value->as.integer,
                        sf_cel_kind_name(kind));
  case SF_CEL_UINT:
    return sf_cel_error(evaluation, "uint %" PRIu64 " is out of the range of %s", value->as.unsigned_integer,
                        sf_cel_kind_name(kind));
  default:
    sf_cel_format_double(value->as.number, number);
    return sf_cel_error(evaluation, "double %s is out of the range of %s", number, sf_cel_kind_name(kind));
  }
}

sf_cel_outcome sf_cel_to_bool(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  static const char *const names[2][5] = {{"0", "f", "false", "FALSE", "False"}, {"1", "t", "true", "TRUE", "True"}};
  *result = arguments[0];
  if (arguments[0].kind == SF_CEL_BOOL)
    return SF_CEL_DONE;
  if (arguments[0].kind != SF_CEL_STRING)
    return SF_CEL_NO_OVERLOAD;
  for (int boolean = 0; boolean < 2; boolean++) {
    for (int i = 0; i < 5; i++) {
      if (!sf_cel_text_equals(sf_cel_value_text(&arguments[0]), names[boolean][i]))
        continue;
      *result = sf_cel_bool(boolean == 1);
      return SF_CEL_DONE;
    }
  }
  return fail_text(evaluation, &arguments[0], SF_CEL_BOOL);
}

sf_cel_outcome sf_cel_to_int(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *value = &arguments[0];
  int64_t integer;
  switch (value->kind) {
  case SF_CEL_INT:
    *result = *value;
    return SF_CEL_DONE;
  case SF_CEL_UINT:
    if (value->as.unsigned_integer > INT64_MAX)
      return fail_range(evaluation, value, SF_CEL_INT);
    *result = sf_cel_int((int64_t)value->as.unsigned_integer);
    return SF_CEL_DONE;
  case SF_CEL_DOUBLE: /* both ends are out: a double there stands for its neighbours outside as well */
    if (!(value->as.number > -0x1p63 && value->as.number < 0x1p63))
      return fail_range(evaluation, value, SF_CEL_INT);
    *result = sf_cel_int((int64_t)value->as.number);
    return SF_CEL_DONE;
  case SF_CEL_STRING:
    if (!sf_cel_parse_int(sf_cel_value_text(value), &integer))
      return fail_text(evaluation, value, SF_CEL_INT);
    *result = sf_cel_int(integer);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

sf_cel_outcome sf_cel_to_uint(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *value = &arguments[0];
  uint64_t integer;
  switch (value->kind) {
  case SF_CEL_UINT:
    *result = *value;
    return SF_CEL_DONE;
  case SF_CEL_INT:
    if (value->as.integer < 0)
      return fail_range(evaluation, value, SF_CEL_UINT);
    *result = sf_cel_uint((uint64_t)value->as.integer);
    return SF_CEL_DONE;
  case SF_CEL_DOUBLE:
    if (!(value->as.number >= 0 && value->as.number < 0x1p64))
      return fail_range(evaluation, value, SF_CEL_UINT);
    *result = sf_cel_uint((uint64_t)value->as.number);
    return SF_CEL_DONE;
  case SF_CEL_STRING:
    if (!sf_cel_parse_uint(sf_cel_value_text(value), &integer))
      return fail_text(evaluation, value, SF_CEL_UINT);
    *result = sf_cel_uint(integer);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

sf_cel_outcome sf_cel_to_double(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *value = &arguments[0];
  double number;
  switch (value->kind) {
  case SF_CEL_DOUBLE:
    *result = *value;
    return SF_CEL_DONE;
  case SF_CEL_INT:
    *result = sf_cel_double((double)value->as.integer);
    return SF_CEL_DONE;
  case SF_CEL_UINT:
    *result = sf_cel_double((double)value->as.unsigned_integer);
    return SF_CEL_DONE;
  case SF_CEL_STRING:
    if (!sf_cel_parse_double(sf_cel_value_text(value), &number))
      return fail_text(evaluation, value, SF_CEL_DOUBLE);
    *result = sf_cel_double(number);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

static sf_cel_outcome string_result(sf_cel_evaluation *evaluation, const char *text, size_t length,
                                    sf_cel_value *result) {
  char *copy = sf_cel_allocate(evaluation, length, 1);
  if (copy == NULL)
    return SF_CEL_FAILED;
  memcpy(copy, text, length);
  *result = sf_cel_string(copy, length);
  return SF_CEL_DONE;
}

static sf_cel_outcome bytes_to_string(sf_cel_evaluation *evaluation, const sf_cel_value *bytes, sf_cel_value *result) {
  size_t invalid_at;
  if (!sf_cel_spend_bytes(evaluation, bytes->as.text.length))
    return SF_CEL_FAILED;
  if (!sf_utf8_valid(bytes->as.text.data, bytes->as.text.length, &invalid_at))
    return sf_cel_error(evaluation, "bytes are not UTF-8 from byte %zu on", invalid_at);
  *result = sf_cel_string(bytes->as.text.data, bytes->as.text.length);
  return SF_CEL_DONE;
}

sf_cel_outcome sf_cel_to_string(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *value = &arguments[0];
  char text[SF_CEL_DOUBLE_TEXT_BYTES];
  int length;
  switch (value->kind) {
  case SF_CEL_STRING:
    *result = *value;
    return SF_CEL_DONE;
  case SF_CEL_BYTES:
    return bytes_to_string(evaluation, value, result);
  case SF_CEL_BOOL:
    *result = value->as.boolean ? sf_cel_string("true", 4) : sf_cel_string("false", 5);
    return SF_CEL_DONE;
  case SF_CEL_INT:
    length = snprintf(text, sizeof(text), "%" PRId64, value->as.integer);
    return string_result(evaluation, text, (size_t)length, result);
  case SF_CEL_UINT:
    length = snprintf(text, sizeof(text), "%" PRIu64, value->as.unsigned_integer);
    return string_result(evaluation, text, (size_t)length, result);
  case SF_CEL_DOUBLE:
    return string_result(evaluation, text, sf_cel_format_double(value->as.number, text), result);
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

sf_cel_outcome sf_cel_to_bytes(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  (void)evaluation;
  if (arguments[0].kind != SF_CEL_STRING && arguments[0].kind != SF_CEL_BYTES)
    return SF_CEL_NO_OVERLOAD;
  *result = arguments[0];
  result->kind = SF_CEL_BYTES;
  return SF_CEL_DONE;
}

sf_cel_outcome sf_cel_to_type(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  (void)evaluation;
  *result = sf_cel_type_of(arguments[0].kind);
  return SF_CEL_DONE;
}

sf_cel_outcome sf_cel_to_dyn(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  (void)evaluation;
  *result = arguments[0];
  return SF_CEL_DONE;
}
