#include "cel/value.h"

#include "cel/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[SF_CEL_NUM_KINDS] = {
    [SF_CEL_NULL] = "null_type", [SF_CEL_BOOL] = "bool",     [SF_CEL_INT] = "int",     [SF_CEL_UINT] = "uint",
    [SF_CEL_DOUBLE] = "double",  [SF_CEL_STRING] = "string", [SF_CEL_BYTES] = "bytes", [SF_CEL_LIST] = "list",
    [SF_CEL_MAP] = "map",        [SF_CEL_TYPE] = "type",
};

/* The first double above every int, and above every uint. */
static const double above_int = 0x1p63;
static const double above_uint = 0x1p64;

const char *sf_cel_kind_name(sf_cel_kind kind) {
  return (unsigned)kind < SF_CEL_NUM_KINDS ? kind_names[kind] : "unknown";
}

bool sf_cel_kind_of_name(sf_cel_text name, sf_cel_kind *kind) {
  for (int i = 0; i < SF_CEL_NUM_KINDS; i++) {
    if (sf_cel_text_equals(name, kind_names[i])) {
      *kind = (sf_cel_kind)i;
      return true;
    }
  }
  return false;
}

sf_cel_value sf_cel_null(void) {
  return (sf_cel_value){.kind = SF_CEL_NULL};
}

sf_cel_value sf_cel_bool(bool boolean) {
  return (sf_cel_value){.kind = SF_CEL_BOOL, .as.boolean = boolean};
}

sf_cel_value sf_cel_int(int64_t integer) {
  return (sf_cel_value){.kind = SF_CEL_INT, .as.integer = integer};
}

sf_cel_value sf_cel_uint(uint64_t integer) {
  return (sf_cel_value){.kind = SF_CEL_UINT, .as.unsigned_integer = integer};
}

sf_cel_value sf_cel_double(double number) {
  return (sf_cel_value){.kind = SF_CEL_DOUBLE, .as.number = number};
}

sf_cel_value sf_cel_string(const char *data, size_t length) {
  return (sf_cel_value){.kind = SF_CEL_STRING, .as.text = {.data = data, .length = length}};
}

sf_cel_value sf_cel_bytes(const char *data, size_t length) {
  return (sf_cel_value){.kind = SF_CEL_BYTES, .as.text = {.data = data, .length = length}};
}

sf_cel_value sf_cel_list(const sf_cel_value *items, size_t count) {
  return (sf_cel_value){.kind = SF_CEL_LIST, .as.list = {.items = items, .count = count}};
}

sf_cel_value sf_cel_map(const sf_cel_value *pairs, size_t count) {
  return (sf_cel_value){.kind = SF_CEL_MAP, .as.list = {.items = pairs, .count = count}};
}

sf_cel_value sf_cel_type_of(sf_cel_kind kind) {
  const char *name = sf_cel_kind_name(kind);
  return (sf_cel_value){.kind = SF_CEL_TYPE, .as.text = {.data = name, .length = strlen(name)}};
}

sf_cel_text sf_cel_value_text(const sf_cel_value *value) {
  return (sf_cel_text){value->as.text.data, value->as.text.length};
}

bool sf_cel_is_number(const sf_cel_value *value) {
  return value->kind == SF_CEL_INT || value->kind == SF_CEL_UINT || value->kind == SF_CEL_DOUBLE;
}

bool sf_cel_is_key(const sf_cel_value *value) {
  return value->kind == SF_CEL_INT || value->kind == SF_CEL_UINT || value->kind == SF_CEL_BOOL ||
         value->kind == SF_CEL_STRING;
}

static sf_cel_order opposite(sf_cel_order order) {
  return order == SF_CEL_LESS ? SF_CEL_GREATER : order == SF_CEL_GREATER ? SF_CEL_LESS : order;
}

static sf_cel_order compare_ints(int64_t left, int64_t right) {
  return left < right ? SF_CEL_LESS : left > right ? SF_CEL_GREATER : SF_CEL_EQUAL;
}

static sf_cel_order compare_uints(uint64_t left, uint64_t right) {
  return left < right ? SF_CEL_LESS : left > right ? SF_CEL_GREATER : SF_CEL_EQUAL;
}

static sf_cel_order compare_doubles(double left, double right) {
  if (isnan(left) || isnan(right))
    return SF_CEL_UNORDERED;
  return left < right ? SF_CEL_LESS : left > right ? SF_CEL_GREATER : SF_CEL_EQUAL;
}

static sf_cel_order compare_int_uint(int64_t left, uint64_t right) {
  return left < 0 ? SF_CEL_LESS : compare_uints((uint64_t)left, right);
}

static sf_cel_order compare_int_double(int64_t left, double right) {
  if (right > above_int)
    return SF_CEL_LESS;
  if (right < -above_int)
    return SF_CEL_GREATER;
  return compare_doubles((double)left, right);
}

static sf_cel_order compare_uint_double(uint64_t left, double right) {
  if (right > above_uint)
    return SF_CEL_LESS;
  if (right < 0)
    return SF_CEL_GREATER;
  return compare_doubles((double)left, right);
}

static sf_cel_order compare_numbers(const sf_cel_value *left, const sf_cel_value *right) {
  if (left->kind > right->kind) /* the kinds' order is int, uint, double */
    return opposite(compare_numbers(right, left));
  if (left->kind == SF_CEL_DOUBLE)
    return compare_doubles(left->as.number, right->as.number);
  if (left->kind == SF_CEL_UINT)
    return right->kind == SF_CEL_UINT ? compare_uints(left->as.unsigned_integer, right->as.unsigned_integer)
                                      : compare_uint_double(left->as.unsigned_integer, right->as.number);
  if (right->kind == SF_CEL_INT)
    return compare_ints(left->as.integer, right->as.integer);
  return right->kind == SF_CEL_UINT ? compare_int_uint(left->as.integer, right->as.unsigned_integer)
                                    : compare_int_double(left->as.integer, right->as.number);
}

/* The order of UTF-8 bytes is that of the code points. */
static sf_cel_order compare_texts(sf_cel_text left, sf_cel_text right) {
  size_t common = left.length < right.length ? left.length : right.length;
  int difference = common > 0 ? memcmp(left.data, right.data, common) : 0;
  if (difference != 0)
    return difference < 0 ? SF_CEL_LESS : SF_CEL_GREATER;
  return compare_uints(left.length, right.length);
}

sf_cel_order sf_cel_compare(const sf_cel_value *left, const sf_cel_value *right) {
  if (sf_cel_is_number(left) && sf_cel_is_number(right))
    return compare_numbers(left, right);
  if (left->kind != right->kind)
    return SF_CEL_INCOMPARABLE;
  switch (left->kind) {
  case SF_CEL_BOOL:
    return compare_ints(left->as.boolean, right->as.boolean);
  case SF_CEL_STRING:
  case SF_CEL_BYTES:
    return compare_texts(sf_cel_value_text(left), sf_cel_value_text(right));
  default:
    return SF_CEL_INCOMPARABLE;
  }
}

static bool texts_equal(const sf_cel_value *left, const sf_cel_value *right, sf_cel_budget *budget) {
  size_t length = left->as.text.length;
  if (length != right->as.text.length)
    return false;
  return sf_cel_spend(budget, length / SF_CEL_BYTES_PER_STEP) &&
         (length == 0 || memcmp(left->as.text.data, right->as.text.data, length) == 0);
}

static bool lists_equal(const sf_cel_value *left, const sf_cel_value *right, sf_cel_budget *budget) {
  if (left->as.list.count != right->as.list.count)
    return false;
  for (size_t i = 0; i < left->as.list.count; i++) {
    if (!sf_cel_equal(&left->as.list.items[i], &right->as.list.items[i], budget))
      return false;
  }
  return true;
}

static bool maps_equal(const sf_cel_value *left, const sf_cel_value *right, sf_cel_budget *budget) {
  if (left->as.list.count != right->as.list.count)
    return false;
  for (size_t i = 0; i < left->as.list.count; i++) {
    const sf_cel_value *key = &left->as.list.items[2 * i];
    const sf_cel_value *found = sf_cel_map_find(right, key, budget);
    if (found == NULL || !sf_cel_equal(key + 1, found, budget))
      return false;
  }
  return true;
}

bool sf_cel_equal(const sf_cel_value *left, const sf_cel_value *right, sf_cel_budget *budget) {
  if (!sf_cel_spend(budget, 1))
    return false;
  if (sf_cel_is_number(left) && sf_cel_is_number(right))
    return compare_numbers(left, right) == SF_CEL_EQUAL;
  if (left->kind != right->kind)
    return false;
  switch (left->kind) {
  case SF_CEL_NULL:
    return true;
  case SF_CEL_BOOL:
    return left->as.boolean == right->as.boolean;
  case SF_CEL_LIST:
    return lists_equal(left, right, budget);
  case SF_CEL_MAP:
    return maps_equal(left, right, budget);
  default:
    return texts_equal(left, right, budget);
  }
}

/* A double key stands for the integer that it equals exactly, if it does. */
static bool integer_key(const sf_cel_value *key, sf_cel_value *integer) {
  double number = key->as.number;
  if (isnan(number) || trunc(number) != number || number < -above_int || number >= above_uint)
    return false;
  *integer = number < 0 ? sf_cel_int((int64_t)number) : sf_cel_uint((uint64_t)number);
  return true;
}

const sf_cel_value *sf_cel_map_find(const sf_cel_value *map, const sf_cel_value *key, sf_cel_budget *budget) {
  sf_cel_value integer;
  if (key->kind == SF_CEL_DOUBLE) {
    if (!integer_key(key, &integer))
      return NULL;
    key = &integer;
  }
  for (size_t i = 0; i < map->as.list.count; i++) {
    const sf_cel_value *candidate = &map->as.list.items[2 * i];
    if (i % 8 == 0 && !sf_cel_spend(budget, 1)) /* a glance at a key costs less than a step */
      return NULL;
    if (candidate->kind != key->kind && !(sf_cel_is_number(candidate) && sf_cel_is_number(key)))
      continue;
    if (key->kind == SF_CEL_STRING ? texts_equal(candidate, key, budget)
                                   : sf_cel_compare(candidate, key) == SF_CEL_EQUAL)
      return candidate + 1;
    if (budget->steps < 0)
      return NULL;
  }
  return NULL;
}

/* A total order of keys: numbers, bools, strings. */
static int compare_keys(const void *left_pointer, const void *right_pointer) {
  const sf_cel_value *left = *(const sf_cel_value *const *)left_pointer;
  const sf_cel_value *right = *(const sf_cel_value *const *)right_pointer;
  switch (sf_cel_compare(left, right)) {
  case SF_CEL_LESS:
    return -1;
  case SF_CEL_EQUAL:
    return 0;
  case SF_CEL_GREATER:
    return 1;
  default:
    break;
  }
  int left_rank = sf_cel_is_number(left) ? 0 : (int)left->kind;
  int right_rank = sf_cel_is_number(right) ? 0 : (int)right->kind;
  return (left_rank > right_rank) - (left_rank < right_rank);
}

const sf_cel_value *sf_cel_duplicate_key(const sf_cel_value *pairs, size_t count, const sf_cel_value **scratch) {
  for (size_t i = 0; i < count; i++)
    scratch[i] = &pairs[2 * i];
  if (count > 1)
    qsort(scratch, count, sizeof(const sf_cel_value *), compare_keys);
  for (size_t i = 1; i < count; i++) {
    if (compare_keys(&scratch[i - 1], &scratch[i]) == 0)
      return scratch[i];
  }
  return NULL;
}

bool sf_cel_whole_number(const sf_cel_value *value, int64_t *integer) {
  switch (value->kind) {
  case SF_CEL_INT:
    *integer = value->as.integer;
    return true;
  case SF_CEL_UINT:
    *integer = (int64_t)value->as.unsigned_integer;
    return value->as.unsigned_integer <= INT64_MAX;
  case SF_CEL_DOUBLE:
    if (!(value->as.number >= -above_int && value->as.number < above_int) ||
        trunc(value->as.number) != value->as.number)
      return false;
    *integer = (int64_t)value->as.number;
    return true;
  default:
    return false;
  }
}
