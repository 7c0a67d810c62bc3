#include "cmocka_includes.h"
#include "storage/s3/attempt.h"
#include "storage/s3/latency.h"
#include "storage/s3/retry.h"

static void delays_double_up_to_the_cap(void **state) {
  (void)state;
  static const uint64_t ceilings[] = {200, 400, 800, 1600, 3200, 4000, 4000};
  for (uint32_t retry = 0; retry < 7; retry++) {
    assert_int_equal(sf_s3_retry_delay_ms(retry, 0, 0), 0);
    assert_int_equal(sf_s3_retry_delay_ms(retry, 0.5, 0), ceilings[retry] / 2);
    assert_true(sf_s3_retry_delay_ms(retry, 0.999999, 0) < ceilings[retry]);
  }
  assert_int_equal(sf_s3_retry_delay_ms(UINT32_MAX, 0.5, 0), 2000);
}

static void the_server_can_ask_for_more_than_the_jitter_gives(void **state) {
  (void)state;
  assert_int_equal(sf_s3_retry_delay_ms(0, 0.5, 5000), 5000);
  assert_int_equal(sf_s3_retry_delay_ms(3, 0.5, 10), 800);
}

static void retry_after_is_seconds_or_a_date(void **state) {
  (void)state;
  const double now = 784111770; /* seven seconds before the date below, the example of RFC 9110 */
  assert_int_equal(sf_s3_retry_after_ms("3", now), 3000);
  assert_int_equal(sf_s3_retry_after_ms("0", now), 0);
  assert_int_equal(sf_s3_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", now), 7000);
  assert_int_equal(sf_s3_retry_after_ms("Sunday, 06-Nov-94 08:49:37 GMT", now), 7000);
  assert_int_equal(sf_s3_retry_after_ms("Sun Nov  6 08:49:37 1994", now), 7000);
  assert_int_equal(sf_s3_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", now + 60), 0);
  assert_int_equal(sf_s3_retry_after_ms("soon", now), 0);
  assert_int_equal(sf_s3_retry_after_ms("", now), 0);
  assert_int_equal(sf_s3_retry_after_ms("-5", now), 0);
  assert_true(sf_s3_retry_after_ms("99999999999999999999", now) > SF_S3_RETRY_BUDGET_MS);
}

static void an_answer_is_judged_by_its_code_before_its_status(void **state) {
  (void)state;
  static const struct {
    int status;
    const char *code;
    sf_s3_verdict verdict;
  } cases[] = {
      {200, "", SF_S3_SUCCESS},
      {206, "", SF_S3_SUCCESS},
      {404, "", SF_S3_NOT_FOUND},
      {404, "NoSuchKey", SF_S3_NOT_FOUND},
      {404, "NoSuchBucket", SF_S3_REFUSED},
      {403, "AccessDenied", SF_S3_REFUSED},
      {403, "SignatureDoesNotMatch", SF_S3_REFUSED},
      {403, "RequestTimeTooSkewed", SF_S3_SKEWED},
      {400, "ExpiredToken", SF_S3_EXPIRED},
      {400, "RequestTimeout", SF_S3_TRANSIENT},
      {400, "InvalidRequest", SF_S3_REFUSED},
      {400, "AuthorizationHeaderMalformed", SF_S3_REDIRECTED},
      {301, "PermanentRedirect", SF_S3_REDIRECTED},
      {307, "", SF_S3_REDIRECTED},
      {412, "PreconditionFailed", SF_S3_PRECONDITION},
      {416, "InvalidRange", SF_S3_OUT_OF_RANGE},
      {429, "", SF_S3_TRANSIENT},
      {503, "SlowDown", SF_S3_TRANSIENT},
      {500, "", SF_S3_TRANSIENT},
      {520, "", SF_S3_TRANSIENT},
      {501, "NotImplemented", SF_S3_REFUSED},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    assert_int_equal(sf_s3_judge(SF_HTTP_COMPLETE, cases[i].status, cases[i].code), cases[i].verdict);
  assert_int_equal(sf_s3_judge(SF_HTTP_TIMEOUT, 0, ""), SF_S3_TRANSIENT);
  assert_int_equal(sf_s3_judge(SF_HTTP_CONNECTION, 200, ""), SF_S3_TRANSIENT);
  assert_int_equal(sf_s3_judge(SF_HTTP_CERTIFICATE, 0, ""), SF_S3_REFUSED);
}

static void only_a_well_formed_content_range_is_read(void **state) {
  (void)state;
  uint64_t first, last, size;
  bool has_size;
  assert_true(sf_s3_parse_content_range("bytes 5-9/10", &first, &last, &size, &has_size));
  assert_int_equal(first, 5);
  assert_int_equal(last, 9);
  assert_true(has_size);
  assert_int_equal(size, 10);
  assert_true(sf_s3_parse_content_range("bytes 0-0/*", &first, &last, &size, &has_size));
  assert_false(has_size);
  static const char *const broken[] = {
      "",          "bytes",      "bytes 5-4/10",  "bytes 5-10/10", "bytes */10",    "bytes -5/10",
      "bytes 1-2", "bytes 1-2/", "bytes 1-2/10x", "items 1-2/10",  "bytes 1 -2/10", "bytes 99999999999999999999-1/2",
  };
  for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
    assert_false(sf_s3_parse_content_range(broken[i], &first, &last, &size, &has_size));
}

static void hedging_begins_behind_the_99th_percentile_of_enough_samples(void **state) {
  (void)state;
  const uint64_t millisecond = 1000000;
  sf_latencies latencies;
  sf_latencies_init(&latencies);
  for (int i = 0; i < SF_LATENCY_MIN_SAMPLES - 1; i++)
    sf_latencies_record(&latencies, 50 * millisecond);
  assert_true(sf_latencies_hedge_after(&latencies) == UINT64_MAX);
  sf_latencies_record(&latencies, 900 * millisecond);
  assert_int_equal(sf_latencies_hedge_after(&latencies), 900 * millisecond);
  for (int i = 0; i < 200; i++)
    sf_latencies_record(&latencies, 100 * millisecond);
  assert_int_equal(sf_latencies_hedge_after(&latencies), 100 * millisecond);
  for (int i = 0; i < SF_LATENCY_SAMPLES; i++)
    sf_latencies_record(&latencies, millisecond);
  assert_int_equal(sf_latencies_hedge_after(&latencies), SF_LATENCY_FLOOR_NANOSECONDS);
  sf_latencies_destroy(&latencies);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(delays_double_up_to_the_cap),
      cmocka_unit_test(the_server_can_ask_for_more_than_the_jitter_gives),
      cmocka_unit_test(retry_after_is_seconds_or_a_date),
      cmocka_unit_test(an_answer_is_judged_by_its_code_before_its_status),
      cmocka_unit_test(only_a_well_formed_content_range_is_read),
      cmocka_unit_test(hedging_begins_behind_the_99th_percentile_of_enough_samples),
  };
  return cmocka_run_group_tests_name("s3_retry", tests, NULL, NULL);
}
