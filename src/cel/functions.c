#include "cel/functions.h"

#include "base/utf8.h"
#include "cel/arithmetic.h"
#include "cel/conversions.h"
#include "cel/limits.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

/* ------------------------------------------------------------------------------------------ Equality and comparison */

/* Equality's false is the language's only when the budget lasted. */
static sf_cel_outcome bool_result(sf_cel_evaluation *evaluation, bool boolean, sf_cel_value *result) {
  *result = sf_cel_bool(boolean);
  return evaluation->budget.steps < 0 ? sf_cel_steps_error(evaluation) : SF_CEL_DONE;
}

static sf_cel_outcome equals(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  return bool_result(evaluation, sf_cel_equal(&arguments[0], &arguments[1], &evaluation->budget), result);
}

static sf_cel_outcome not_equals(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  return bool_result(evaluation, !sf_cel_equal(&arguments[0], &arguments[1], &evaluation->budget), result);
}

/* `wanted` and EQUAL, if `or_equal`, are the orders that make it true; a NaN makes all comparisons false. */
static sf_cel_outcome compare(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_order wanted,
                              bool or_equal, sf_cel_value *result) {
  sf_cel_order order = sf_cel_compare(&arguments[0], &arguments[1]);
  if (order == SF_CEL_INCOMPARABLE)
    return SF_CEL_NO_OVERLOAD;
  bool text = arguments[0].kind == SF_CEL_STRING || arguments[0].kind == SF_CEL_BYTES;
  if (text && !sf_cel_spend_bytes(evaluation, arguments[0].as.text.length))
    return SF_CEL_FAILED;
  *result = sf_cel_bool(order == wanted || (or_equal && order == SF_CEL_EQUAL));
  return SF_CEL_DONE;
}

static sf_cel_outcome less(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  return compare(evaluation, arguments, SF_CEL_LESS, false, result);
}

static sf_cel_outcome less_or_equal(sf_cel_evaluation *evaluation, const sf_cel_value *arguments,
                                    sf_cel_value *result) {
  return compare(evaluation, arguments, SF_CEL_LESS, true, result);
}

static sf_cel_outcome greater(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  return compare(evaluation, arguments, SF_CEL_GREATER, false, result);
}

static sf_cel_outcome greater_or_equal(sf_cel_evaluation *evaluation, const sf_cel_value *arguments,
                                       sf_cel_value *result) {
  return compare(evaluation, arguments, SF_CEL_GREATER, true, result);
}

static sf_cel_outcome negate_bool(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  (void)evaluation;
  if (arguments[0].kind != SF_CEL_BOOL)
    return SF_CEL_NO_OVERLOAD;
  *result = sf_cel_bool(!arguments[0].as.boolean);
  return SF_CEL_DONE;
}

/* ------------------------------------------------------------------------------------------------- Lists and maps */

static sf_cel_outcome index_list(sf_cel_evaluation *evaluation, const sf_cel_value *list, const sf_cel_value *index,
                                 sf_cel_value *result) {
  int64_t position;
  if (!sf_cel_is_number(index))
    return SF_CEL_NO_OVERLOAD;
  if (!sf_cel_whole_number(index, &position))
    return sf_cel_error(evaluation, "a list's index must be a whole number");
  if (position < 0 || (uint64_t)position >= list->as.list.count)
    return sf_cel_error(evaluation, "index %" PRId64 " is out of a list of %zu elements", position,
                        list->as.list.count);
  *result = list->as.list.items[position];
  return SF_CEL_DONE;
}

static sf_cel_outcome index_map(sf_cel_evaluation *evaluation, const sf_cel_value *map, const sf_cel_value *key,
                                sf_cel_value *result) {
  const sf_cel_value *found = sf_cel_map_find(map, key, &evaluation->budget);
  if (found == NULL && evaluation->budget.steps < 0)
    return sf_cel_steps_error(evaluation);
  if (found == NULL)
    return sf_cel_no_such_key(evaluation, key);
  *result = *found;
  return SF_CEL_DONE;
}

static sf_cel_outcome index_of(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  if (arguments[0].kind == SF_CEL_LIST)
    return index_list(evaluation, &arguments[0], &arguments[1], result);
  if (arguments[0].kind == SF_CEL_MAP)
    return index_map(evaluation, &arguments[0], &arguments[1], result);
  return SF_CEL_NO_OVERLOAD;
}

static sf_cel_outcome in(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *container = &arguments[1];
  if (container->kind == SF_CEL_MAP)
    return bool_result(evaluation, sf_cel_map_find(container, &arguments[0], &evaluation->budget) != NULL, result);
  if (container->kind != SF_CEL_LIST)
    return SF_CEL_NO_OVERLOAD;
  bool found = false;
  for (size_t i = 0; !found && i < container->as.list.count && evaluation->budget.steps >= 0; i++)
    found = sf_cel_equal(&arguments[0], &container->as.list.items[i], &evaluation->budget);
  return bool_result(evaluation, found, result);
}

static sf_cel_outcome size(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *value = &arguments[0];
  switch (value->kind) {
  case SF_CEL_STRING:
    if (!sf_cel_spend_bytes(evaluation, value->as.text.length))
      return SF_CEL_FAILED;
    *result = sf_cel_int((int64_t)sf_utf8_count(value->as.text.data, value->as.text.length));
    return SF_CEL_DONE;
  case SF_CEL_BYTES:
    *result = sf_cel_int((int64_t)value->as.text.length);
    return SF_CEL_DONE;
  case SF_CEL_LIST:
  case SF_CEL_MAP:
    *result = sf_cel_int((int64_t)value->as.list.count);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

/* --------------------------------------------------------------------------------------------------------- Strings */

static bool both_strings(const sf_cel_value *arguments) {
  return arguments[0].kind == SF_CEL_STRING && arguments[1].kind == SF_CEL_STRING;
}

/* Whether `part` is in `text` at `offset`, where it fits. */
static bool is_at(sf_cel_text text, size_t offset, sf_cel_text part) {
  return part.length == 0 || memcmp(text.data + offset, part.data, part.length) == 0;
}

static sf_cel_outcome starts_with(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  if (!both_strings(arguments))
    return SF_CEL_NO_OVERLOAD;
  sf_cel_text text = sf_cel_value_text(&arguments[0]);
  sf_cel_text start = sf_cel_value_text(&arguments[1]);
  if (!sf_cel_spend_bytes(evaluation, start.length))
    return SF_CEL_FAILED;
  *result = sf_cel_bool(start.length <= text.length && is_at(text, 0, start));
  return SF_CEL_DONE;
}

static sf_cel_outcome ends_with(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  if (!both_strings(arguments))
    return SF_CEL_NO_OVERLOAD;
  sf_cel_text text = sf_cel_value_text(&arguments[0]);
  sf_cel_text end = sf_cel_value_text(&arguments[1]);
  if (!sf_cel_spend_bytes(evaluation, end.length))
    return SF_CEL_FAILED;
  *result = sf_cel_bool(end.length <= text.length && is_at(text, text.length - end.length, end));
  return SF_CEL_DONE;
}

/* UTF-8 finds no part of a character in another, so bytes can be searched. Every place where the first byte fits is
 * paid for with the length that may be compared there. */
static sf_cel_outcome contains(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  if (!both_strings(arguments))
    return SF_CEL_NO_OVERLOAD;
  sf_cel_text text = sf_cel_value_text(&arguments[0]);
  sf_cel_text part = sf_cel_value_text(&arguments[1]);
  *result = sf_cel_bool(part.length == 0);
  if (part.length == 0 || part.length > text.length)
    return SF_CEL_DONE;
  if (!sf_cel_spend_bytes(evaluation, text.length))
    return SF_CEL_FAILED;
  size_t last = text.length - part.length;
  for (size_t i = 0; i <= last; i++) {
    const char *candidate = memchr(text.data + i, part.data[0], last - i + 1);
    if (candidate == NULL)
      return SF_CEL_DONE;
    if (!sf_cel_spend_bytes(evaluation, part.length))
      return SF_CEL_FAILED;
    i = (size_t)(candidate - text.data);
    if (is_at(text, i, part)) {
      *result = sf_cel_bool(true);
      return SF_CEL_DONE;
    }
  }
  return SF_CEL_DONE;
}

static sf_cel_outcome match_regex(sf_cel_evaluation *evaluation, const sf_cel_regex *regex, sf_cel_text subject,
                                  sf_cel_value *result) {
  sf_cel_match match = sf_cel_regex_match(regex, subject, &evaluation->match_memory, &evaluation->budget);
  *result = sf_cel_bool(match == SF_CEL_MATCHED);
  switch (match) {
  case SF_CEL_MATCHED:
  case SF_CEL_NOT_MATCHED:
    return SF_CEL_DONE;
  case SF_CEL_MATCH_OUT_OF_STEPS:
    return sf_cel_steps_error(evaluation);
  case SF_CEL_MATCH_TOO_HARD:
    return sf_cel_limit_error(evaluation,
                              "matching the regular expression backtracks too much (limits: %d calls, "
                              "depth %d, %d KiB)",
                              SF_CEL_MATCH_LIMIT, SF_CEL_MATCH_DEPTH_LIMIT, SF_CEL_MATCH_HEAP_KIB);
  case SF_CEL_MATCH_OUT_OF_MEMORY:
    break;
  }
  sf_fail_memory(&evaluation->error, "matching a regular expression");
  evaluation->fatal = true;
  return SF_CEL_FAILED;
}

/* A pattern that is no constant is compiled for this one match. */
static sf_cel_outcome match_pattern(sf_cel_evaluation *evaluation, sf_cel_text pattern, sf_cel_text subject,
                                    sf_cel_value *result) {
  sf_cel_regex *regex;
  sf_error reason;
  if (!sf_cel_spend(&evaluation->budget, pattern.length))
    return sf_cel_steps_error(evaluation);
  sf_code code = sf_cel_regex_compile(pattern, &regex, &reason);
  if (code == SF_OUT_OF_MEMORY_ERROR) {
    evaluation->error = reason;
    evaluation->fatal = true;
    return SF_CEL_FAILED;
  }
  if (code != SF_OK)
    return sf_cel_error(evaluation, "%s", reason.message);
  sf_cel_outcome outcome = match_regex(evaluation, regex, subject, result);
  sf_cel_regex_free(regex);
  return outcome;
}

static sf_cel_outcome matches(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  if (!both_strings(arguments))
    return SF_CEL_NO_OVERLOAD;
  sf_cel_text subject = sf_cel_value_text(&arguments[0]);
  if (subject.length > SF_CEL_MAX_SUBJECT_BYTES)
    return sf_cel_limit_error(evaluation, "matches() of a string of at most %d bytes was expected, found %zu",
                              SF_CEL_MAX_SUBJECT_BYTES, subject.length);
  if (evaluation->regex != NULL)
    return match_regex(evaluation, evaluation->regex, subject, result);
  return match_pattern(evaluation, sf_cel_value_text(&arguments[1]), subject, result);
}

/* --------------------------------------------------------------------------------------------------------- Routing */

static sf_cel_value hash(const void *bytes, size_t length) {
  return sf_cel_uint(XXH3_64bits(bytes, length));
}

/* The writers of snapshots hash integers as eight bytes, little-endian and signed. */
static sf_cel_value hash_integer(uint64_t integer) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (uint8_t)(integer >> (8 * i));
  return hash(bytes, sizeof(bytes));
}

static sf_cel_outcome shard_hash(sf_cel_evaluation *evaluation, const sf_cel_value *arguments, sf_cel_value *result) {
  const sf_cel_value *value = &arguments[0];
  switch (value->kind) {
  case SF_CEL_INT:
    *result = hash_integer((uint64_t)value->as.integer);
    return SF_CEL_DONE;
  case SF_CEL_UINT:
    if (value->as.unsigned_integer > INT64_MAX)
      return sf_cel_error(evaluation, "shard_hash() of a uint up to %" PRId64 " was expected, found %" PRIu64,
                          INT64_MAX, value->as.unsigned_integer);
    *result = hash_integer(value->as.unsigned_integer);
    return SF_CEL_DONE;
  case SF_CEL_STRING:
  case SF_CEL_BYTES:
    if (!sf_cel_spend_bytes(evaluation, value->as.text.length))
      return SF_CEL_FAILED;
    *result = hash(value->as.text.length > 0 ? value->as.text.data : "", value->as.text.length);
    return SF_CEL_DONE;
  default:
    return SF_CEL_NO_OVERLOAD;
  }
}

/* ----------------------------------------------------------------------------------------------------------- Table */

#define COMPARISONS                                                                                                    \
  "bb>b ii>b iu>b id>b uu>b ui>b ud>b dd>b di>b du>b ss>b yy>b" /* numbers of different types compare, too */
#define SIZES "s>i y>i lA>i mAB>i"

static const sf_cel_function functions[] = {
    {"_==_", "AA>b", NULL, 2, equals},
    {"_!=_", "AA>b", NULL, 2, not_equals},
    {"_<_", COMPARISONS, NULL, 2, less},
    {"_<=_", COMPARISONS, NULL, 2, less_or_equal},
    {"_>_", COMPARISONS, NULL, 2, greater},
    {"_>=_", COMPARISONS, NULL, 2, greater_or_equal},
    {"!_", "b>b", NULL, 1, negate_bool},
    {"-_", "i>i d>d", NULL, 1, sf_cel_negate},
    {"_+_", "ii>i uu>u dd>d ss>s yy>y lAlA>lA", NULL, 2, sf_cel_add},
    {"_-_", "ii>i uu>u dd>d", NULL, 2, sf_cel_subtract},
    {"_*_", "ii>i uu>u dd>d", NULL, 2, sf_cel_multiply},
    {"_/_", "ii>i uu>u dd>d", NULL, 2, sf_cel_divide},
    {"_%_", "ii>i uu>u", NULL, 2, sf_cel_modulo},
    {"_[_]", "lAi>A mABA>B", NULL, 2, index_of},
    {"_in_", "AlA>b AmAB>b", NULL, 2, in},
    {"size", SIZES, SIZES, 1, size},
    {"contains", NULL, "ss>b", 2, contains},
    {"startsWith", NULL, "ss>b", 2, starts_with},
    {"endsWith", NULL, "ss>b", 2, ends_with},
    {"matches", "ss>b", "ss>b", 2, matches},
    {"bool", "b>b s>b", NULL, 1, sf_cel_to_bool},
    {"bytes", "y>y s>y", NULL, 1, sf_cel_to_bytes},
    {"double", "d>d i>d u>d s>d", NULL, 1, sf_cel_to_double},
    {"dyn", "A>*", NULL, 1, sf_cel_to_dyn},
    {"int", "i>i u>i d>i s>i", NULL, 1, sf_cel_to_int},
    {"string", "s>s b>s i>s u>s d>s y>s", NULL, 1, sf_cel_to_string},
    {"type", "A>t", NULL, 1, sf_cel_to_type},
    {"uint", "u>u i>u d>u s>u", NULL, 1, sf_cel_to_uint},
    {"shard_hash", "i>u u>u s>u y>u", NULL, 1, shard_hash},
};

const sf_cel_function *sf_cel_function_find(sf_cel_text name, bool member) {
  for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
    const char *overloads = member ? functions[i].member_overloads : functions[i].global_overloads;
    if (overloads != NULL && sf_cel_text_equals(name, functions[i].name))
      return &functions[i];
  }
  return NULL;
}

bool sf_cel_function_takes_pattern(const sf_cel_function *function) {
  return function->call == matches;
}
