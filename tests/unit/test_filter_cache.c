/* The filters that a reader keeps: found by their text, the least recently used dropped. */
#include "reader/filter_cache.h"

#include "base/memory.h"
#include "cmocka_includes.h"

#include <stdio.h>

enum { KEPT = 256 };

static sf_filter *get(sf_filter_cache *cache, const char *expression) {
  sf_filter *filter = NULL;
  assert_int_equal(sf_filter_cache_get(cache, expression, &filter, NULL), SF_OK);
  assert_string_equal(sf_filter_expression(filter), expression);
  return filter;
}

static sf_filter *get_number(sf_filter_cache *cache, int number) {
  char expression[64];
  snprintf(expression, sizeof(expression), "payload.rank == %d", number);
  return get(cache, expression);
}

/* Whether the cache still has this one, for which the caller has a reference. */
static bool has(sf_filter_cache *cache, sf_filter *filter) {
  sf_filter *found = get(cache, sf_filter_expression(filter));
  bool is_same = found == filter;
  sf_filter_release(found);
  return is_same;
}

static void an_expression_is_compiled_once(void **state) {
  (void)state;
  sf_filter_cache *cache;
  assert_int_equal(sf_filter_cache_create(&cache, NULL), SF_OK);
  sf_filter *first = get(cache, "payload.lang == \"en\"");
  sf_filter *other = get(cache, "payload.lang == 'en'"); /* the same in other words */
  assert_ptr_not_equal(first, other);
  assert_true(has(cache, first));
  assert_true(has(cache, other));
  sf_filter_cache_free(cache);
  assert_string_equal(sf_filter_expression(first), "payload.lang == \"en\""); /* those in use stay */
  sf_filter_release(first);
  sf_filter_release(other);
}

static void the_least_recently_used_is_dropped_first(void **state) {
  (void)state;
  sf_filter_cache *cache;
  sf_filter *filters[KEPT];
  assert_int_equal(sf_filter_cache_create(&cache, NULL), SF_OK);
  for (int i = 0; i < KEPT; i++)
    filters[i] = get_number(cache, i);
  assert_true(has(cache, filters[0]));
  sf_filter_release(get_number(cache, KEPT)); /* for which 1 has to go */
  assert_true(has(cache, filters[0]));
  assert_true(has(cache, filters[2]));
  assert_false(has(cache, filters[1]));
  for (int i = 0; i < KEPT; i++)
    sf_filter_release(filters[i]);
  sf_filter_cache_free(cache);
}

static void filters_that_take_much_memory_are_fewer(void **state) {
  (void)state;
  enum { LENGTH = 60000, NUM_LARGE = 200 };
  sf_filter_cache *cache;
  sf_filter *filters[NUM_LARGE];
  char *expression = sf_calloc(LENGTH + 64, 1);
  assert_non_null(expression);
  assert_int_equal(sf_filter_cache_create(&cache, NULL), SF_OK);
  for (int i = 0; i < NUM_LARGE; i++) {
    int length = snprintf(expression, 64, "payload.rank in [%d", i);
    while (length < LENGTH)
      length += snprintf(expression + length, 64, ", %d", 100000 + length);
    snprintf(expression + length, 64, "]");
    filters[i] = get(cache, expression);
  }
  assert_true(has(cache, filters[NUM_LARGE - 1]));
  assert_false(has(cache, filters[0]));
  for (int i = 0; i < NUM_LARGE; i++)
    sf_filter_release(filters[i]);
  free(expression);
  sf_filter_cache_free(cache);
}

static void what_does_not_compile_is_not_kept(void **state) {
  (void)state;
  sf_filter_cache *cache;
  sf_filter *filter = NULL;
  sf_error error;
  assert_int_equal(sf_filter_cache_create(&cache, NULL), SF_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(sf_filter_cache_get(cache, "payload.lang ==", &filter, &error), SF_CONFIG_VALIDATION_ERROR);
    assert_memory_equal(error.message, "filter: 1:", 10);
    assert_null(filter);
  }
  sf_filter_cache_free(cache);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_expression_is_compiled_once),
      cmocka_unit_test(the_least_recently_used_is_dropped_first),
      cmocka_unit_test(filters_that_take_much_memory_are_fewer),
      cmocka_unit_test(what_does_not_compile_is_not_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
