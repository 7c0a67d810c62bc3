#include "storage/s3/request_line.h"

#include <cmocka_includes.h>
#include <string.h>

static const char url[] = "https://bucket.example:9000/a%20key/b?list-type=2&prefix=c%2F";

static bool fits(const char *sent) {
  return sf_http_request_line_fits(url, sent, strlen(sent));
}

static void the_request_that_was_asked_for_fits(void **state) {
  (void)state;
  assert_true(fits("GET /a%20key/b?list-type=2&prefix=c%2F HTTP/1.1\r\nHost: bucket.example\r\n\r\n"));
  assert_true(fits("GET /a%20key/b?list-type=2&prefix=c%2F HTTP/2\r\n\r\n"));
}

static void a_proxys_request_fits(void **state) {
  (void)state;
  assert_true(fits("GET http://bucket.example:9000/a%20key/b?list-type=2&prefix=c%2F HTTP/1.1\r\n\r\n"));
  assert_true(fits("CONNECT bucket.example:9000 HTTP/1.1\r\n\r\n"));
}

static void a_request_without_its_query_does_not_fit(void **state) {
  (void)state;
  assert_false(fits("GET /a%20key/b HTTP/1.1\r\nHost: bucket.example\r\n\r\n"));
  assert_false(fits("GET / HTTP/1.1\r\n\r\n"));
  assert_false(fits("PUT /a%20key/b?list-type=2 HTTP/2\r\n\r\n"));
}

static void part_of_a_line_says_nothing(void **state) {
  (void)state;
  assert_true(fits("GET /a%20"));
  assert_true(sf_http_request_line_fits(url, "", 0));
  assert_true(sf_http_request_line_fits("no url", "GET / HTTP/1.1\r\n", 16));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_request_that_was_asked_for_fits),
      cmocka_unit_test(a_proxys_request_fits),
      cmocka_unit_test(a_request_without_its_query_does_not_fit),
      cmocka_unit_test(part_of_a_line_says_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
