/* Values: what they are equal to, how they compare, how they read in messages. */
#ifndef SF_CEL_VALUE_H
#define SF_CEL_VALUE_H

#include "cel/cel.h"
#include "cel/position.h"

#define SF_CEL_NUM_KINDS (SF_CEL_TYPE + 1)

sf_cel_value sf_cel_null(void);
sf_cel_value sf_cel_bool(bool boolean);
sf_cel_value sf_cel_int(int64_t integer);
sf_cel_value sf_cel_uint(uint64_t integer);
sf_cel_value sf_cel_double(double number);
sf_cel_value sf_cel_string(const char *data, size_t length);
sf_cel_value sf_cel_bytes(const char *data, size_t length);
sf_cel_value sf_cel_list(const sf_cel_value *items, size_t count);
sf_cel_value sf_cel_map(const sf_cel_value *pairs, size_t count);
sf_cel_value sf_cel_type_of(sf_cel_kind kind); /* the type that values of this kind have, as a value */

sf_cel_text sf_cel_value_text(const sf_cel_value *value);
bool sf_cel_is_number(const sf_cel_value *value);

/* The kind whose name in the language is `name`. */
bool sf_cel_kind_of_name(sf_cel_text name, sf_cel_kind *kind);

typedef enum sf_cel_order {
  SF_CEL_LESS,
  SF_CEL_EQUAL,
  SF_CEL_GREATER,
  SF_CEL_UNORDERED,
  SF_CEL_INCOMPARABLE
} sf_cel_order;

/*
 * Numbers across their types, strings by code points, bytes, and bools; UNORDERED with a NaN; INCOMPARABLE for all else.
 * An integer meets a double as a double, once it is known to be in range, which the language's conformance cases ask
 * for: 2^63 as a double equals the largest int.
 */
sf_cel_order sf_cel_compare(const sf_cel_value *left, const sf_cel_value *right);

/* Steps that are left to a computation, and whether it ran out of them. */
typedef struct sf_cel_budget {
  int64_t steps; /* negative: spent */
} sf_cel_budget;

static inline bool sf_cel_spend(sf_cel_budget *budget, uint64_t steps) {
  if (steps > (uint64_t)INT64_MAX || budget->steps < (int64_t)steps) {
    budget->steps = -1;
    return false;
  }
  budget->steps -= (int64_t)steps;
  return true;
}

/* The language's heterogeneous equality. False as well when the budget runs out, which the budget then says. */
bool sf_cel_equal(const sf_cel_value *left, const sf_cel_value *right, sf_cel_budget *budget);

/* int, uint, bool and string may be a map's keys. */
bool sf_cel_is_key(const sf_cel_value *value);

/* The value under `key`, or NULL. A double finds the integer key that it equals exactly. */
const sf_cel_value *sf_cel_map_find(const sf_cel_value *map, const sf_cel_value *key, sf_cel_budget *budget);

/* The first key (in an order of no meaning) that a map's pairs have twice, or NULL. `scratch` has room for `count`
 * pointers. */
const sf_cel_value *sf_cel_duplicate_key(const sf_cel_value *pairs, size_t count, const sf_cel_value **scratch);

/* A double that is a whole number, a uint or an int as an int: what may index a list. */
bool sf_cel_whole_number(const sf_cel_value *value, int64_t *integer);

#endif
