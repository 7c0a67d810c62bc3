/* What a lookup of ids in several shards is joined to. */
#include "query/lookup.h"

#include "cmocka_includes.h"

#include <string.h>

enum { DIM = 2 };

/* The rows of one shard: text ids "<prefix><index>", for these indexes of ids. */
static sf_found_rows found_in(uint32_t shard_id, const size_t *indexes, size_t count, bool has_vectors) {
  sf_found_rows found = {.indexes = sf_calloc(count, sizeof(size_t))};
  assert_non_null(found.indexes);
  assert_int_equal(sf_search_response_create(count, 1, &found.rows, NULL), SF_OK);
  if (has_vectors)
    assert_true(sf_search_response_add_vectors(found.rows, DIM));
  for (size_t i = 0; i < count; i++) {
    char id[] = {(char)('a' + shard_id), (char)('0' + indexes[i])};
    found.indexes[i] = indexes[i];
    assert_true(sf_search_response_set_row(found.rows, i, SF_ID_STRING, 0, id, 2, i == 0 ? "{}" : NULL, 2));
    sf_search_result *result = &sf_search_response_mutable(found.rows)[i];
    result->shard_id = shard_id;
    if (!has_vectors)
      continue;
    float *vector = sf_search_response_vector(found.rows, i);
    vector[0] = (float)shard_id;
    vector[1] = (float)indexes[i];
    result->vector = vector;
    result->dim = DIM;
  }
  sf_search_response_seal(found.rows, 0);
  return found;
}

static void of_equal_ids_in_several_shards_the_first_shard_wins(void **state) {
  (void)state;
  const size_t in_first[] = {1, 3};
  const size_t in_third[] = {0, 1, 3};
  sf_found_rows found[] = {found_in(2, in_first, 2, true), {0}, found_in(5, in_third, 3, true)};
  const sf_row_id ids[4] = {{0}};
  const sf_lookup_params params = {.ids = ids, .num_ids = 4, .dim = DIM};
  sf_search_response *response;
  assert_int_equal(sf_lookup_join(&params, found, 3, &response, NULL), SF_OK);
  for (size_t i = 0; i < 3; i++)
    sf_found_rows_free(&found[i]);
  sf_search_response_seal(response, 0);
  const char *const expected[] = {"f0", "c1", NULL, "c3"};
  const uint32_t shard_ids[] = {5, 2, 0, 2};
  assert_int_equal(sf_search_response_count(response), 4);
  assert_int_equal(sf_search_response_num_shards_queried(response), 3);
  for (size_t i = 0; i < 4; i++) {
    const sf_search_result *result = sf_search_response_result(response, i);
    assert_int_equal(result->is_missing, expected[i] == NULL);
    assert_int_equal(result->shard_id, shard_ids[i]);
    if (expected[i] == NULL)
      continue;
    assert_string_equal(result->id_string, expected[i]);
    assert_true(result->vector[0] == (float)shard_ids[i] && result->vector[1] == (float)i);
  }
  assert_string_equal(sf_search_response_result(response, 0)->payload, "{}");
  assert_null(sf_search_response_result(response, 3)->payload);
  sf_search_response_free(response);
}

static void a_row_without_a_vector_has_none(void **state) {
  (void)state;
  const size_t indexes[] = {0};
  sf_found_rows found = found_in(1, indexes, 1, false);
  const sf_row_id ids[1] = {{0}};
  const sf_lookup_params params = {.ids = ids, .num_ids = 1, .dim = DIM};
  sf_search_response *response;
  assert_int_equal(sf_lookup_join(&params, &found, 1, &response, NULL), SF_OK);
  sf_found_rows_free(&found);
  sf_search_response_seal(response, 0);
  assert_null(sf_search_response_result(response, 0)->vector);
  assert_int_equal(sf_search_response_result(response, 0)->dim, 0);
  assert_string_equal(sf_search_response_result(response, 0)->id_string, "b0");
  sf_search_response_free(response);
}

static void a_copy_of_ids_owns_their_texts(void **state) {
  (void)state;
  char text[] = "a\0b";
  const sf_row_id ids[] = {{.type = SF_ID_INTEGER, .integer = -7},
                           {.type = SF_ID_STRING, .string = text, .length = 3},
                           {.type = SF_ID_STRING}};
  sf_row_id *copy = sf_row_ids_copy(ids, 3);
  assert_non_null(copy);
  memset(text, 'x', sizeof(text));
  assert_int_equal(copy[0].integer, -7);
  assert_int_equal(copy[1].length, 3);
  assert_memory_equal(copy[1].string, "a\0b", 3);
  assert_int_equal(copy[2].length, 0);
  free(copy);
  const sf_row_id endless = {.type = SF_ID_STRING, .string = text, .length = SIZE_MAX};
  assert_null(sf_row_ids_copy(&endless, 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(of_equal_ids_in_several_shards_the_first_shard_wins),
      cmocka_unit_test(a_row_without_a_vector_has_none),
      cmocka_unit_test(a_copy_of_ids_owns_their_texts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
