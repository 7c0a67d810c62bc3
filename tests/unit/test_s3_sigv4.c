#include "cmocka_includes.h"
#include "storage/s3/sigv4.h"

#include <string.h>

/* The signature of a request, as the last 64 characters of its Authorization header. */
static void assert_signature(const sf_sigv4_request *request, const char *key_id, const char *secret,
                             const char *expected) {
  sf_buffer authorization = {0};
  assert_true(sf_sigv4_authorization(request, key_id, secret, &authorization));
  assert_true(authorization.length > 64);
  assert_string_equal((const char *)authorization.data + authorization.length - 64, expected);
  sf_buffer_free(&authorization);
}

/* Requests and signatures of the "aws-sig-v4-test-suite" that AWS publishes. */
static void assert_suite_signature(const char *method, const char *path, const char *query, const char *expected) {
  const sf_sigv4_pair headers[] = {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}};
  const sf_sigv4_request request = {.method = method,
                                    .path = path,
                                    .query = query,
                                    .headers = headers,
                                    .num_headers = 2,
                                    .payload_hash = SF_SHA256_OF_NOTHING,
                                    .timestamp = "20150830T123600Z",
                                    .region = "us-east-1",
                                    .service = "service"};
  assert_signature(&request, "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", expected);
}

static void requests_of_the_published_suite_get_its_signatures(void **state) {
  (void)state;
  assert_suite_signature("GET", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
  assert_suite_signature("POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
  assert_suite_signature("GET", "/%E1%88%B4", "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
  assert_suite_signature("GET", "/", "Param1=value1&Param2=value2",
                         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
}

/* Requests and signatures of "Signature Calculations for the Authorization Header" in the S3 API reference. */
static void assert_s3_signature(const char *path, const char *query, const sf_sigv4_pair *headers, size_t num_headers,
                                const char *expected) {
  const sf_sigv4_request request = {.method = "GET",
                                    .path = path,
                                    .query = query,
                                    .headers = headers,
                                    .num_headers = num_headers,
                                    .payload_hash = SF_SHA256_OF_NOTHING,
                                    .timestamp = "20130524T000000Z",
                                    .region = "us-east-1",
                                    .service = "s3"};
  assert_signature(&request, "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", expected);
}

static void requests_of_the_s3_reference_get_its_signatures(void **state) {
  (void)state;
  const sf_sigv4_pair with_range[] = {{"host", "examplebucket.s3.amazonaws.com"},
                                      {"range", "bytes=0-9"},
                                      {"x-amz-content-sha256", SF_SHA256_OF_NOTHING},
                                      {"x-amz-date", "20130524T000000Z"}};
  const sf_sigv4_pair plain[] = {with_range[0], with_range[2], with_range[3]};
  assert_s3_signature("/test.txt", "", with_range, 4,
                      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  assert_s3_signature("/", "lifecycle=", plain, 3, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  assert_s3_signature("/", "max-keys=2&prefix=J", plain, 3,
                      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void an_authorization_names_key_scope_and_headers(void **state) {
  (void)state;
  const sf_sigv4_pair headers[] = {{"host", "h"}, {"x-amz-date", "20130524T000000Z"}};
  const sf_sigv4_request request = {.method = "GET",
                                    .path = "/",
                                    .query = "",
                                    .headers = headers,
                                    .num_headers = 2,
                                    .payload_hash = "UNSIGNED-PAYLOAD",
                                    .timestamp = "20130524T000000Z",
                                    .region = "eu-west-1",
                                    .service = "s3"};
  sf_buffer authorization = {0};
  assert_true(sf_sigv4_authorization(&request, "ID", "SECRET", &authorization));
  const char *beginning = "AWS4-HMAC-SHA256 Credential=ID/20130524/eu-west-1/s3/aws4_request, "
                          "SignedHeaders=host;x-amz-date, Signature=";
  assert_memory_equal(authorization.data, beginning, strlen(beginning));
  assert_null(strstr((const char *)authorization.data, "SECRET"));
  sf_buffer_free(&authorization);
}

static void a_query_is_encoded_once_and_ordered_by_name_then_value(void **state) {
  (void)state;
  const sf_sigv4_pair parameters[] = {
      {"prefix", "a b/c=d:e+f%"}, {"list-type", "2"}, {"b", "2"}, {"b", "10"}, {"b-c", "x"}, {"Z", ""}, {"b.", "y"},
  };
  sf_buffer query = {0};
  assert_true(sf_sigv4_query(parameters, sizeof(parameters) / sizeof(parameters[0]), &query));
  assert_string_equal((const char *)query.data, "Z=&b=10&b=2&b-c=x&b.=y&list-type=2&prefix=a%20b%2Fc%3Dd%3Ae%2Bf%25");
  sf_buffer_free(&query);
}

static void timestamps_are_in_utc(void **state) {
  (void)state;
  char timestamp[SF_SIGV4_TIMESTAMP_SIZE];
  sf_sigv4_timestamp(1440938160, timestamp);
  assert_string_equal(timestamp, "20150830T123600Z");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_of_the_published_suite_get_its_signatures),
      cmocka_unit_test(requests_of_the_s3_reference_get_its_signatures),
      cmocka_unit_test(an_authorization_names_key_scope_and_headers),
      cmocka_unit_test(a_query_is_encoded_once_and_ordered_by_name_then_value),
      cmocka_unit_test(timestamps_are_in_utc),
  };
  return cmocka_run_group_tests_name("s3_sigv4", tests, NULL, NULL);
}
