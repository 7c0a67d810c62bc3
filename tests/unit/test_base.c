/* Time, memory, bytes and UTF-8. */
#include "base/bytes.h"
#include "base/memory.h"
#include "base/time.h"
#include "base/utf8.h"
#include "cmocka_includes.h"

#include <string.h>

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

static void other_texts_than_timestamps_are_refused(void **state) {
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
      cmocka_unit_test(timestamps_are_read),
      cmocka_unit_test(other_texts_than_timestamps_are_refused),
      cmocka_unit_test(sizes_that_overflow_are_no_memory),
      cmocka_unit_test(buffers_grow_and_end_in_a_nul),
      cmocka_unit_test(a_cursor_never_passes_the_end),
      cmocka_unit_test(utf_8_is_what_rfc_3629_says),
      cmocka_unit_test(messages_are_always_utf_8_and_never_commands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
