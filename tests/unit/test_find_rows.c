/* Finding rows by their ids in a row directory that is made from a shard. */
#include "formats/shard_directory.h"

#include "cmocka_includes.h"

#include <stdio.h>
#include <string.h>

enum { NUM_ROWS = 1000, FIRST_ROW = 50 };

/* Row r has the id r / 2, as an integer or its text; the last has the empty text. */
static sf_code read_made_up(sf_shard *shard, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                            sf_error *error) {
  for (uint64_t row = FIRST_ROW; row < NUM_ROWS; row++) {
    char text[24] = "";
    sf_row_text id = {.id_type = SF_ID_INTEGER, .id_integer = (int64_t)(row / 2)};
    int length = row + 1 == NUM_ROWS ? 0 : snprintf(text, sizeof(text), "%llu", (unsigned long long)row / 2);
    if (shard->format->has_text_ids || length == 0)
      id = (sf_row_text){.id_type = SF_ID_STRING, .id_string = text, .id_length = (size_t)length};
    SF_TRY(sf_cancellation_check(cancellation, error));
    assert_true(visitor->wants_ids && !visitor->wants_payloads);
    SF_TRY(visitor->visit(visitor, row, &id, error));
  }
  return SF_OK;
}

static const sf_shard_format integers = {.name = "integers", .read_rows = read_made_up};
static const sf_shard_format texts = {.name = "texts", .read_rows = read_made_up, .has_text_ids = true};

static const sf_row_id ids[] = {
    {.type = SF_ID_INTEGER, .integer = 30},
    {.type = SF_ID_STRING, .string = "30", .length = 2},
    {.type = SF_ID_STRING, .string = "030", .length = 3},
    {.type = SF_ID_INTEGER, .integer = 24}, /* before the first row */
    {.type = SF_ID_INTEGER, .integer = -30},
    {.type = SF_ID_STRING},
    {.type = SF_ID_INTEGER, .integer = 30},
    {.type = SF_ID_INTEGER, .integer = 498},
};
enum { NUM_IDS = sizeof(ids) / sizeof(ids[0]) };

static const sf_cache_place nowhere = {.db_url = "made up"};
static const sf_vector_segment segment = {.num_rows = NUM_ROWS};

static sf_shard shard_of(const sf_shard_format *format) {
  return (sf_shard){.format = format, .segments = &segment, .num_segments = 1, .row_span = segment.num_rows};
}

static void expect_rows(const sf_shard_format *format, const uint64_t *expected) {
  sf_shard shard = shard_of(format);
  uint64_t rows[NUM_IDS];
  assert_int_equal(sf_shard_find_rows(&shard, &nowhere, ids, NUM_IDS, rows, NULL, NULL), SF_OK);
  for (size_t i = 0; i < NUM_IDS; i++)
    assert_int_equal(rows[i], expected[i]);
  sf_shard_close_directory(&shard);
}

static void the_first_row_with_an_id_is_found(void **state) {
  (void)state;
  const uint64_t expected[] = {60, SF_NO_ROW, SF_NO_ROW, SF_NO_ROW, SF_NO_ROW, NUM_ROWS - 1, 60, 996};
  expect_rows(&integers, expected);
}

static void an_integer_is_the_same_as_its_text_where_ids_are_text(void **state) {
  (void)state;
  const uint64_t expected[] = {60, 60, SF_NO_ROW, SF_NO_ROW, SF_NO_ROW, NUM_ROWS - 1, 60, 996};
  expect_rows(&texts, expected);
}

static void every_id_of_a_shard_is_found_at_once(void **state) {
  (void)state;
  static sf_row_id all[NUM_ROWS];
  static uint64_t rows[NUM_ROWS];
  sf_shard shard = shard_of(&integers);
  for (size_t i = 0; i < NUM_ROWS; i++)
    all[i] = (sf_row_id){.type = SF_ID_INTEGER, .integer = (int64_t)i};
  assert_int_equal(sf_shard_find_rows(&shard, &nowhere, all, NUM_ROWS, rows, NULL, NULL), SF_OK);
  for (uint64_t i = 0; i < NUM_ROWS; i++)
    assert_int_equal(rows[i], 2 * i >= FIRST_ROW && 2 * i < NUM_ROWS - 1 ? 2 * i : SF_NO_ROW);
  sf_shard_close_directory(&shard);
}

static void finding_is_cancelled(void **state) {
  (void)state;
  sf_cancellation cancellation = {0};
  sf_shard shard = shard_of(&texts);
  uint64_t rows[NUM_IDS];
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_shard_find_rows(&shard, &nowhere, ids, NUM_IDS, rows, &cancellation, NULL), SF_CANCELLED_ERROR);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_row_with_an_id_is_found),
      cmocka_unit_test(an_integer_is_the_same_as_its_text_where_ids_are_text),
      cmocka_unit_test(every_id_of_a_shard_is_found_at_once),
      cmocka_unit_test(finding_is_cancelled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
