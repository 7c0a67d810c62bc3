/* JSON, time, memory, bytes and UTF-8. */
#include "base/bytes.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/time.h"
#include "base/utf8.h"
#include "cmocka_includes.h"

#include <string.h>

static bool parses(const char *text, size_t length) {
  json_object *value = NULL;
  sf_error error = {0};
  sf_code code = sf_json_parse(text, length, "text", SF_ERROR, &value, &error);
  if (code != SF_OK)
    assert_int_equal(strncmp(error.message, "text: ", 6), 0);
  json_object_put(value);
  return code == SF_OK;
}

static void json_is_taken_strictly_and_whole(void **state) {
  (void)state;
  static const char *const good[] = {"null",
                                     "7",
                                     "-0.5e-3",
                                     "\"\\u0000\"",
                                     " [] ",
                                     "{\"a\":{}}",
                                     "true",
                                     "18446744073709551616",
                                     "-99999999999999999999999999",
                                     "\"99999999999999999999\""};
  static const char *const bad[] = {"",           " ",      "nul",       "01",   "+1",       ".5",       "'a'", "[1,]",
                                    "{\"a\":1,}", "{a: 1}", "/**/ null", "[1 2", "\"\xff\"", "\"\xc3\"", "7 7", "{} x"};
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    if (!parses(good[i], strlen(good[i])))
      fail_msg("%s is refused", good[i]);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    if (parses(bad[i], strlen(bad[i])))
      fail_msg("%s is taken", bad[i]);
  assert_false(parses("1\0", 2));
  assert_false(parses("[]\0x", 4));
}

static void json_is_nested_to_a_bound(void **state) {
  (void)state;
  for (size_t depth = 1; depth < 400; depth++) {
    char text[800];
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
    if (parses(text, 2 * depth) != (depth <= SF_JSON_MAX_DEPTH))
      fail_msg("depth %zu", depth);
  }
}

static void integers_are_read_exactly_or_not_at_all(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool fits;
    int64_t value;
  } cases[] = {
      {"[0]", true, 0},
      {"[-0]", true, 0},
      {"[9223372036854775807]", true, INT64_MAX},
      {"[-9223372036854775808]", true, INT64_MIN},
      {"[9223372036854775808]", false, 0},
      {"[18446744073709551615]", false, 0},
      {"[18446744073709551616]", false, 0},
      {"[-9223372036854775809]", false, 0},
      {"[100000000000000000000000000000000]", false, 0},
      {"[1.0]", false, 0},
      {"[1e3]", false, 0},
      {"[\"1\"]", false, 0},
      {"[true]", false, 0},
      {"[null]", false, 0},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    json_object *list = NULL;
    int64_t value = 0;
    assert_int_equal(sf_json_parse(cases[i].text, strlen(cases[i].text), "text", SF_ERROR, &list, NULL), SF_OK);
    bool fits = sf_json_to_int64(json_object_array_get_idx(list, 0), &value);
    if (fits != cases[i].fits || value != cases[i].value)
      fail_msg("%s: %d %lld", cases[i].text, fits, (long long)value);
    json_object_put(list);
  }
}

static void large_integers_leave_all_else_alone(void **state) {
  (void)state;
  static const char text[] = "[\"a\\\"18446744073709551616\\\\\", 18446744073709551616, -18446744073709551616, "
                             "18446744073709551615, \"18446744073709551616\"]";
  json_object *list = NULL;
  assert_int_equal(sf_json_parse(text, strlen(text), "text", SF_ERROR, &list, NULL), SF_OK);
  assert_string_equal(json_object_get_string(json_object_array_get_idx(list, 0)), "a\"18446744073709551616\\");
  assert_true(json_object_get_double(json_object_array_get_idx(list, 1)) == 18446744073709551616.0);
  assert_true(json_object_get_double(json_object_array_get_idx(list, 2)) == -18446744073709551616.0);
  assert_true(json_object_get_uint64(json_object_array_get_idx(list, 3)) == UINT64_MAX);
  assert_string_equal(json_object_get_string(json_object_array_get_idx(list, 4)), "18446744073709551616");
  json_object_put(list);
}

static void timestamps_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double seconds;
  } cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"1970-01-01T00:00:00", 0},
      {"1970-01-01 00:00:01+00:00", 1},
      {"1970-01-01T01:30:00+01:30", 0},
      {"1969-12-31T22:00:00-0200", 0},
      {"1969-12-31T23:59:59.5Z", -0.5},
      {"2000-02-29T00:00:00Z", 951782400},
      {"2026-01-02T03:04:05.000006Z", 1767323045.000006},
      {"2016-12-31T23:59:60Z", 1483228800},
      {"9999-12-31T23:59:59.999999999Z", 253402300800},
      {"0001-01-01T00:00:00Z", -62135596800},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    double seconds = -7;
    bool read = sf_parse_timestamp(cases[i].text, strlen(cases[i].text), &seconds);
    double error = seconds - cases[i].seconds;
    if (!read || error > 1e-6 || error < -1e-6)
      fail_msg("%s: %f", cases[i].text, seconds);
  }
}

static void what_is_no_timestamp_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "2026",
                                      "2026-01-02",
                                      "2026-01-02T03:04Z",
                                      "2026-1-2T03:04:05Z",
                                      "2026-00-02T03:04:05Z",
                                      "2026-13-02T03:04:05Z",
                                      "2026-01-00T03:04:05Z",
                                      "2026-04-31T03:04:05Z",
                                      "2100-02-29T03:04:05Z",
                                      "2026-01-02T24:04:05Z",
                                      "2026-01-02T03:60:05Z",
                                      "2026-01-02T03:04:61Z",
                                      "2026-01-02T03:04:05.Z",
                                      "2026-01-02T03:04:05,5Z",
                                      "2026-01-02T03:04:05z",
                                      "2026-01-02T03:04:05+24:00",
                                      "2026-01-02T03:04:05+01:60",
                                      "2026-01-02T03:04:05+01",
                                      "2026-01-02T03:04:05ZZ",
                                      "2026-01-02T03:04:05 Z",
                                      " 2026-01-02T03:04:05Z",
                                      "-026-01-02T03:04:05Z"};
  double seconds;
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    if (sf_parse_timestamp(texts[i], strlen(texts[i]), &seconds))
      fail_msg("%s is taken", texts[i]);
  const char *whole = "2026-01-02T03:04:05Z";
  for (size_t length = 0; length < 19; length++)
    assert_false(sf_parse_timestamp(whole, length, &seconds));
}

static void sizes_that_overflow_are_no_memory(void **state) {
  (void)state;
  size_t size;
  sf_buffer buffer = {0};
  assert_null(sf_reallocarray(NULL, SIZE_MAX / 2, 3));
  assert_false(sf_multiply_size(SIZE_MAX, 2, &size));
  assert_false(sf_add_size(SIZE_MAX, 1, &size));
  assert_true(sf_buffer_append_text(&buffer, "kept"));
  assert_false(sf_buffer_reserve(&buffer, SIZE_MAX));
  assert_string_equal((const char *)buffer.data, "kept");
  sf_buffer_free(&buffer);
  void *none = sf_calloc(0, 0);
  assert_non_null(none);
  free(none);
}

static void buffers_grow_and_end_in_a_nul(void **state) {
  (void)state;
  sf_buffer buffer = {0};
  for (int i = 0; i < 1000; i++) {
    assert_true(sf_buffer_append_format(&buffer, "%d,", i));
    assert_int_equal(buffer.data[buffer.length], 0);
  }
  assert_int_equal(buffer.length, 10 * 2 + 90 * 3 + 900 * 4);
  assert_true(sf_buffer_append(&buffer, NULL, 0));
  sf_buffer_free(&buffer);
  assert_null(buffer.data);
  assert_null(sf_strdup(NULL));
}

static void a_cursor_never_passes_the_end(void **state) {
  (void)state;
  const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (size_t length = 0; length <= sizeof(bytes); length++) {
    sf_cursor cursor = sf_cursor_over(bytes, length);
    uint64_t u64 = 0;
    uint8_t u8 = 0;
    assert_int_equal(sf_cursor_u64(&cursor, &u64), length >= 8);
    assert_true(u64 == (length >= 8 ? 0x0807060504030201u : 0));
    assert_int_equal(sf_cursor_u8(&cursor, &u8), length != 0 && length != 8);
    assert_null(sf_cursor_take(&cursor, SIZE_MAX));
    assert_true(cursor.position <= length);
  }
}

static void utf_8_is_what_rfc_3629_says(void **state) {
  (void)state;
  static const char *const good[] = {"",
                                     "a",
                                     "\xc2\x80",
                                     "\xdf\xbf",
                                     "\xe0\xa0\x80",
                                     "\xed\x9f\xbf",
                                     "\xef\xbf\xbf",
                                     "\xf0\x90\x80\x80",
                                     "\xf4\x8f\xbf\xbf"};
  static const char *const bad[] = {
      "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xc2",     "\xe0\x9f\xbf",
      "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80", "\xf0\x90\x80\x61",
      "\xff"};
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    assert_true(sf_utf8_valid(good[i], strlen(good[i]), NULL));
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    assert_false(sf_utf8_valid(bad[i], strlen(bad[i]), NULL));
}

static void messages_are_always_utf_8_and_never_commands(void **state) {
  (void)state;
  sf_error error;
  sf_fail(&error, SF_ERROR, "found %s", "a\xff\xc3 \x1b[2J\x7f\n\t\xc3\xa9");
  assert_string_equal(error.message, "found a?? ?[2J?\n\t\xc3\xa9");
  sf_error_prefix(&error, "shard \xe2\x82");
  assert_string_equal(error.message, "shard ??: found a?? ?[2J?\n\t\xc3\xa9");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(json_is_taken_strictly_and_whole),
      cmocka_unit_test(json_is_nested_to_a_bound),
      cmocka_unit_test(integers_are_read_exactly_or_not_at_all),
      cmocka_unit_test(large_integers_leave_all_else_alone),
      cmocka_unit_test(timestamps_are_read),
      cmocka_unit_test(what_is_no_timestamp_is_refused),
      cmocka_unit_test(sizes_that_overflow_are_no_memory),
      cmocka_unit_test(buffers_grow_and_end_in_a_nul),
      cmocka_unit_test(a_cursor_never_passes_the_end),
      cmocka_unit_test(utf_8_is_what_rfc_3629_says),
      cmocka_unit_test(messages_are_always_utf_8_and_never_commands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
