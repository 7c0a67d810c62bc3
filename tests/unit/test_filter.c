/* Filters over a shard made of lines: both evaluations, columns and directories as blocks, and limits. */
#include "cache/row_directory.h"
#include "cmocka_includes.h"
#include "filter/column_builder.h"
#include "filter_rows.h"
#include "temporary_folder.h"

#include <string.h>

static const char lines[] = "{\"lang\":\"en\",\"n\":1,\"tags\":[\"a\",1,null]}\n"
                            "{\"lang\":\"de\",\"n\":2.5,\"deep\":{\"a\":{\"b\":true}}}\n"
                            "\n"
                            "-\n"
                            "{\"lang\":null,\"n\":18446744073709551615,\"tags\":[]}\n"
                            "not JSON\n"
                            "{\"lang\":[1],\"n\":NaN,\"n\":-7,\"tags\":{\"a\":1}}\n"
                            "{\"lang\":\"\\u00e9\",\"deep\":{\"a\":[[1]]},\"n\":1e400}";

static const struct {
  const char *expression;
  uint64_t matching; /* bits by row */
} cases[] = {
    {"true", 0xF7},
    {"payload.lang == \"en\"", 0x01},
    {"payload.lang != \"en\"", 0xD2}, /* null and a list are other than a text; a row without one does not match */
    {"has(payload.lang)", 0xD3},
    {"!has(payload.lang)", 0x04},
    {"payload.n >= 2", 0x92},
    {"payload.n == 18446744073709551615u", 0x10},
    {"payload.n < 0", 0x40}, /* of two members the last counts */
    {"\"a\" in payload.tags", 0x41},
    {"size(payload.tags) == 0 || payload.lang == \"de\"", 0x12},
    {"payload.deep.a.b", 0x02},
    {"has(payload.deep.a) ? true : payload.n == 1", 0x82},
    {"payload[\"lang\"] == \"\u00e9\"", 0x80},
    {"id == 0 || id == \"row7\"", 0x81},
    {"id in [2, \"row1\", 99]", 0x06},
    {"payload.n % 2 == 1 && payload.lang.startsWith(\"e\")", 0x01},
    {"payload.exists(name, name == \"deep\")", 0x82},
    {"payload.lang == payload.lang && payload.n == 1.0", 0x01},
};

static sf_filter *compile(const char *expression) {
  sf_filter *filter = NULL;
  sf_error error;
  if (sf_filter_compile(expression, &filter, &error) != SF_OK)
    fail_msg("%s: %s", expression, error.message);
  return filter;
}

static void assert_matching(const sf_row_bitmap *bitmap, uint64_t matching) {
  assert_int_equal(bitmap->num_rows, 8);
  assert_int_equal(bitmap->bits[0], matching);
  assert_int_equal(bitmap->num_matching, __builtin_popcountll(matching));
}

static void both_evaluations_give_the_rows_that_match(void **state) {
  (void)state;
  filter_rows rows;
  make_filter_rows(&rows, lines, sizeof(lines) - 1);
  const sf_filter_params params = {.shard = &rows.base, .place.db_url = "lines"};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_filter *filter = compile(cases[i].expression);
    sf_row_bitmap *bitmap;
    sf_filter_account account;
    assert_int_equal(sf_filter_evaluate_one_by_one(filter, &params, NULL, &bitmap, NULL), SF_OK);
    assert_matching(bitmap, cases[i].matching);
    free(bitmap);
    assert_int_equal(sf_filter_evaluate(filter, &params, NULL, &bitmap, &account, NULL), SF_OK);
    assert_matching(bitmap, cases[i].matching);
    free(bitmap);
    sf_filter_release(filter);
  }
}

static void columns_are_kept_in_the_cache_and_made_once(void **state) {
  char path[PATH_SIZE];
  (void)state;
  filter_rows rows;
  make_filter_rows(&rows, lines, sizeof(lines) - 1);
  const sf_filter_params params = {.shard = &rows.base,
                                   .place = {.db_url = "lines", .cache_dir = path_of(path, "shard_00000")}};
  sf_filter *first = compile("payload.lang == \"en\" || payload.n == 2.5");
  sf_filter *second = compile("payload.n == 1 && has(payload.lang)");
  sf_row_bitmap *bitmap;
  sf_filter_account account;
  assert_int_equal(sf_filter_evaluate(first, &params, NULL, &bitmap, &account, NULL), SF_OK);
  assert_int_equal(account.columns_made, 2);
  assert_matching(bitmap, 0x03);
  free(bitmap);
  rows.length = 0; /* what columns tell is not read again */
  assert_int_equal(sf_filter_evaluate(second, &params, NULL, &bitmap, &account, NULL), SF_OK);
  assert_int_equal(account.columns_made, 0);
  assert_matching(bitmap, 0x01);
  free(bitmap);
  rows.base.content++; /* other rows */
  assert_int_equal(sf_filter_evaluate(second, &params, NULL, &bitmap, &account, NULL), SF_OK);
  assert_int_equal(account.columns_made, 2);
  free(bitmap);
  sf_filter_release(first);
  sf_filter_release(second);
}

static void a_limit_fails_the_evaluation(void **state) {
  (void)state;
  filter_rows rows;
  static char long_text[200000];
  int length = snprintf(long_text, sizeof(long_text), "{\"t\":[");
  while (length < 150000)
    length += snprintf(long_text + length, sizeof(long_text) - (size_t)length, "1,");
  length += snprintf(long_text + length, sizeof(long_text) - (size_t)length, "1]}");
  make_filter_rows(&rows, long_text, (size_t)length);
  const sf_filter_params params = {.shard = &rows.base, .place.db_url = "lines"};
  sf_filter *filter = compile("payload.t.all(a, payload.t.all(b, a == b))");
  sf_row_bitmap *bitmap;
  sf_filter_account account;
  sf_error error;
  assert_int_equal(sf_filter_evaluate(filter, &params, NULL, &bitmap, &account, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "filter: "));
  assert_non_null(strstr(error.message, "steps"));
  sf_filter_release(filter);
}

static void what_is_too_large_or_deep_has_no_members(void **state) {
  (void)state;
  static char text[1 << 20];
  memset(text, ' ', sizeof(text));
  memcpy(text, "{\"a\":1}", 7);
  filter_rows rows;
  const sf_filter_params params = {.shard = &rows.base, .place.db_url = "lines"};
  sf_filter *filter = compile("has(payload.a)");
  sf_row_bitmap *bitmap;
  sf_filter_account account;
  for (int is_large = 0; is_large < 2; is_large++) {
    make_filter_rows(&rows, text, is_large ? sizeof(text) : (size_t)1 << 19);
    assert_int_equal(sf_filter_evaluate(filter, &params, NULL, &bitmap, &account, NULL), SF_OK);
    assert_int_equal(bitmap->num_matching, !is_large);
    free(bitmap);
  }
  for (int depth = 64; depth <= 65; depth++) {
    int length = snprintf(text, sizeof(text), "{\"a\":%.*s%.*s}", depth - 1,
                          "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", depth - 1,
                          "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    make_filter_rows(&rows, text, (size_t)length);
    assert_int_equal(sf_filter_evaluate(filter, &params, NULL, &bitmap, &account, NULL), SF_OK);
    assert_int_equal(bitmap->num_matching, depth == 64);
    free(bitmap);
  }
  sf_filter_release(filter);
}

static void a_block_with_any_bit_flipped_is_not_used(void **state) {
  (void)state;
  static const char *const ids[] = {"a", "", "row", "a"};
  const sf_row_directory_identity identity = {.db_url = "lines", .content = 5};
  sf_row_directory_builder builder = {0};
  sf_row_directory directory;
  size_t length;
  assert_true(sf_row_directory_builder_init(&builder, 9));
  for (uint64_t row = 0; row < 4; row++)
    assert_true(sf_row_directory_builder_add(&builder, 2 * row,
                                             &(sf_directory_id){.text = ids[row], .length = strlen(ids[row])}));
  assert_true(sf_row_directory_builder_add(&builder, 8, &(sf_directory_id){.integer = -3}));
  uint8_t *block = sf_row_directory_builder_write(&builder, &identity, &length);
  assert_true(sf_row_directory_read(block, length, &identity, &directory));
  assert_int_equal(sf_row_directory_find(&directory, &(sf_directory_id){.text = "a", .length = 1}), 0);
  assert_int_equal(sf_row_directory_find(&directory, &(sf_directory_id){.text = ""}), 2);
  assert_int_equal(sf_row_directory_find(&directory, &(sf_directory_id){.integer = -3}), 8);
  assert_true(sf_row_directory_find(&directory, &(sf_directory_id){.integer = 3}) == SF_NO_ROW);
  assert_int_equal(sf_row_directory_id(&directory, 8).integer, -3);
  for (size_t bit = 0; bit < 8 * length; bit++) {
    block[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    assert_false(sf_row_directory_read(block, length, &identity, &directory));
    block[bit / 8] ^= (uint8_t)(1U << (bit % 8));
  }
  assert_false(sf_row_directory_read(block, length - 1, &identity, &directory));
  free(block);
  sf_row_directory_builder_free(&builder);
}

static void a_column_with_any_bit_flipped_is_not_used(void **state) {
  (void)state;
  const sf_column_identity identity = {.db_url = "lines", .path = "1:a"};
  sf_column_builder builder = {0};
  sf_column column;
  size_t length;
  assert_true(sf_column_builder_init(&builder, 3));
  assert_true(sf_column_builder_set_json(&builder, 0, (sf_json_text){"[\"x\", 1.5]", 10}));
  assert_true(sf_column_builder_set_json(&builder, 2, (sf_json_text){"\"x\"", 3}));
  column = sf_column_builder_column(&builder);
  uint8_t *block = sf_column_write(&column, &identity, &length);
  assert_true(sf_column_read(block, length, &identity, &column));
  assert_int_equal(column.num_strings, 1);
  for (size_t bit = 0; bit < 8 * length; bit++) {
    block[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    assert_false(sf_column_read(block, length, &identity, &column));
    block[bit / 8] ^= (uint8_t)(1U << (bit % 8));
  }
  free(block);
  sf_column_builder_free(&builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(both_evaluations_give_the_rows_that_match),
      cmocka_unit_test(columns_are_kept_in_the_cache_and_made_once),
      cmocka_unit_test(a_limit_fails_the_evaluation),
      cmocka_unit_test(what_is_too_large_or_deep_has_no_members),
      cmocka_unit_test(a_block_with_any_bit_flipped_is_not_used),
      cmocka_unit_test(a_column_with_any_bit_flipped_is_not_used),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
