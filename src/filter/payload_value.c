#include "filter/payload_value.h"

#include "base/json.h"
#include "cel/limits.h"
#include "cel/value.h"

#include <math.h>

void sf_payload_values_free(sf_payload_values *values) {
  sf_cel_arena_free(&values->arena);
  sf_buffer_free(&values->text);
  *values = (sf_payload_values){0};
}

static void begin(sf_payload_values *values) {
  sf_cel_arena_free(&values->arena);
  sf_cel_arena_init(&values->arena, values->first_block, sizeof(values->first_block), SF_CEL_MAX_MEMORY_BYTES);
}

/* The deepest nesting of valid JSON; 0 for a text that is too short for a deep one. */
static size_t depth_of(const char *text, size_t length) {
  const char *end = text + length;
  size_t depth = 0;
  size_t deepest = 0;
  if (length < 2 * SF_CEL_MAX_BINDING_DEPTH)
    return 0;
  while (text < end) {
    if (*text == '"') {
      text = sf_json_string_end(text, end);
      continue;
    }
    depth += *text == '{' || *text == '[';
    depth -= *text == '}' || *text == ']';
    deepest = depth > deepest ? depth : deepest;
    text++;
  }
  return deepest;
}

sf_code sf_payload_check(sf_payload_values *values, const char *payload, size_t length, bool *is_valid,
                         sf_error *error) {
  sf_json json;
  sf_error failure;
  values->text.length = 0;
  *is_valid = length <= SF_FILTER_MAX_PAYLOAD_BYTES;
  if (!*is_valid)
    return SF_OK;
  if (!sf_buffer_append(&values->text, payload, length))
    return sf_fail_memory(error, "payload");
  sf_code code = sf_json_parse_object((const char *)values->text.data, length, SF_JSON_WITH_NAN, "payload",
                                      SF_DB_ADAPTER_ERROR, &json, &failure);
  if (code == SF_OK)
    sf_json_free(&json);
  *is_valid = code == SF_OK && depth_of((const char *)values->text.data, length) <= SF_CEL_MAX_BINDING_DEPTH;
  return code == SF_OUT_OF_MEMORY_ERROR ? sf_fail_memory(error, "payload") : SF_OK;
}

/* ----------------------------------------------------------------------------------------------------------- Scalars */

static double number_of(sf_json_text text) {
  double number;
  if (sf_json_text_to_double(text, &number))
    return number;
  if (text.data[0] == 'N')
    return NAN;
  return text.data[0] == '-' ? -INFINITY : INFINITY; /* by name, or because it is larger than the largest double */
}

bool sf_payload_scalar(sf_json_text text, sf_cel_value *value) {
  int64_t integer;
  uint64_t unsigned_integer;
  switch (text.data[0]) {
  case '{':
  case '[':
  case '"':
    return false;
  case 't':
  case 'f':
    *value = sf_cel_bool(text.data[0] == 't');
    return true;
  case 'n':
    *value = sf_cel_null();
    return true;
  default:
    if (sf_json_text_to_int64(text, &integer))
      *value = sf_cel_int(integer);
    else if (sf_json_text_to_uint64(text, &unsigned_integer))
      *value = sf_cel_uint(unsigned_integer);
    else
      *value = sf_cel_double(number_of(text));
    return true;
  }
}

/* -------------------------------------------------------------------------------------------------- Lists and objects */

/* All of these are false when memory is out: what a payload may be never reaches the arena's limit. */
static bool convert(sf_cel_arena *arena, sf_json_text text, sf_cel_value *value);

static bool convert_string(sf_cel_arena *arena, sf_json_text text, sf_cel_value *value) {
  char *decoded = sf_cel_arena_allocate(arena, text.length, 1);
  if (decoded == NULL)
    return false;
  *value = sf_cel_string(decoded, sf_json_text_decode(text, decoded));
  return true;
}

static size_t count_parts(sf_json_text text) {
  sf_json_parts parts = sf_json_parts_of(text.data, text.length);
  sf_json_text name;
  sf_json_text value;
  size_t count = 0;
  if (text.data[0] == '{')
    while (sf_json_next_member(&parts, &name, &value))
      count++;
  else
    while (sf_json_next_element(&parts, &value))
      count++;
  return count;
}

static bool convert_list(sf_cel_arena *arena, sf_json_text text, sf_cel_value *value) {
  size_t count = count_parts(text);
  sf_cel_value *items = sf_cel_arena_allocate(arena, count, sizeof(*items));
  sf_json_parts elements = sf_json_parts_of(text.data, text.length);
  sf_json_text element;
  if (items == NULL)
    return false;
  for (size_t i = 0; sf_json_next_element(&elements, &element); i++)
    if (!convert(arena, element, &items[i]))
      return false;
  *value = sf_cel_list(items, count);
  return true;
}

/* By name, and those of one name by their place. */
static int compare_pairs(const void *left, const void *right) {
  const sf_cel_value *const *a = left;
  const sf_cel_value *const *b = right;
  size_t shorter = (*a)->as.text.length < (*b)->as.text.length ? (*a)->as.text.length : (*b)->as.text.length;
  int order = memcmp((*a)->as.text.data, (*b)->as.text.data, shorter);
  if (order != 0)
    return order;
  if ((*a)->as.text.length != (*b)->as.text.length)
    return (*a)->as.text.length < (*b)->as.text.length ? -1 : 1;
  return *a < *b ? -1 : *a > *b;
}

static bool same_name(const sf_cel_value *a, const sf_cel_value *b) {
  return a->as.text.length == b->as.text.length && memcmp(a->as.text.data, b->as.text.data, a->as.text.length) == 0;
}

/* Leaves the last of several members with the same name. */
static bool drop_duplicates(sf_cel_arena *arena, sf_cel_value *pairs, size_t *count) {
  const sf_cel_value **sorted = sf_cel_arena_allocate(arena, *count, sizeof(sf_cel_value *));
  bool *is_dropped = sf_cel_arena_zeroed(arena, *count, sizeof(bool));
  if (sorted == NULL || is_dropped == NULL)
    return false;
  for (size_t i = 0; i < *count; i++)
    sorted[i] = &pairs[2 * i];
  qsort(sorted, *count, sizeof(sf_cel_value *), compare_pairs);
  for (size_t i = 0; i + 1 < *count; i++)
    if (same_name(sorted[i], sorted[i + 1]))
      is_dropped[(sorted[i] - pairs) / 2] = true;
  size_t kept = 0;
  for (size_t i = 0; i < *count; i++)
    if (!is_dropped[i]) {
      pairs[2 * kept] = pairs[2 * i];
      pairs[2 * kept++ + 1] = pairs[2 * i + 1];
    }
  *count = kept;
  return true;
}

static bool has_duplicates(sf_cel_arena *arena, const sf_cel_value *pairs, size_t count, bool *found) {
  const sf_cel_value **scratch = sf_cel_arena_allocate(arena, count, sizeof(sf_cel_value *));
  *found = scratch != NULL && count > 1 && sf_cel_duplicate_key(pairs, count, scratch) != NULL;
  return scratch != NULL;
}

static bool convert_map(sf_cel_arena *arena, sf_json_text text, sf_cel_value *value) {
  size_t count = count_parts(text);
  sf_cel_value *pairs = sf_cel_arena_allocate(arena, count, 2 * sizeof(*pairs));
  sf_json_parts members = sf_json_parts_of(text.data, text.length);
  sf_json_text name;
  sf_json_text member;
  bool has_same;
  if (pairs == NULL)
    return false;
  for (size_t i = 0; sf_json_next_member(&members, &name, &member); i++)
    if (!convert_string(arena, name, &pairs[2 * i]) || !convert(arena, member, &pairs[2 * i + 1]))
      return false;
  if (!has_duplicates(arena, pairs, count, &has_same) || (has_same && !drop_duplicates(arena, pairs, &count)))
    return false;
  *value = sf_cel_map(pairs, count);
  return true;
}

/* Recursion is bounded by the depth that sf_payload_check allows. */
static bool convert(sf_cel_arena *arena, sf_json_text text, sf_cel_value *value) {
  if (sf_payload_scalar(text, value))
    return true;
  if (text.data[0] == '"')
    return convert_string(arena, text, value);
  return text.data[0] == '{' ? convert_map(arena, text, value) : convert_list(arena, text, value);
}

sf_code sf_payload_value(sf_payload_values *values, const char *payload, size_t length, bool *is_valid,
                         sf_cel_value *map, sf_error *error) {
  begin(values);
  SF_TRY(sf_payload_check(values, payload, length, is_valid, error));
  if (!*is_valid)
    return SF_OK;
  const char *text = (const char *)values->text.data;
  const char *end = text + length;
  const char *opening = sf_json_skip_blanks(text, end);
  return convert(&values->arena, (sf_json_text){opening, (size_t)(end - opening)}, map)
             ? SF_OK
             : sf_fail_memory(error, "payload");
}
