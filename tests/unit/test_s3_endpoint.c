#include "cmocka_includes.h"
#include "storage/s3/endpoint.h"

#include <string.h>

static void assert_encoded(const char *text, bool keep_slashes, const char *expected) {
  sf_buffer encoded = {0};
  assert_true(sf_s3_uri_encode(&encoded, text, strlen(text), keep_slashes));
  assert_string_equal((const char *)encoded.data, expected);
  sf_buffer_free(&encoded);
}

static void only_unreserved_characters_stay_as_they_are(void **state) {
  (void)state;
  assert_encoded("AZaz09-._~", true, "AZaz09-._~");
  assert_encoded("a/b", true, "a/b");
  assert_encoded("a/b", false, "a%2Fb");
  assert_encoded(" +=:%!*'()&$@,;?#", true, "%20%2B%3D%3A%25%21%2A%27%28%29%26%24%40%2C%3B%3F%23");
  assert_encoded("\xc3\xbc\x7f\x01", true, "%C3%BC%7F%01");
}

static void assert_decoded(const char *text, bool plus_is_space, const char *expected) {
  sf_buffer decoded = {0};
  bool is_valid = sf_s3_uri_decode(&decoded, text, strlen(text), plus_is_space);
  assert_int_equal(is_valid, expected != NULL);
  if (expected != NULL)
    assert_string_equal((const char *)decoded.data, expected);
  sf_buffer_free(&decoded);
}

static void decoding_refuses_broken_escapes(void **state) {
  (void)state;
  assert_decoded("a%2Fb+c%3d", false, "a/b+c=");
  assert_decoded("a%2Fb+c%2B", true, "a/b c+");
  assert_decoded("%", true, NULL);
  assert_decoded("%4", true, NULL);
  assert_decoded("%4g", true, NULL);
}

static void urls_have_a_scheme_a_host_perhaps_a_port_and_a_path(void **state) {
  (void)state;
  sf_s3_url url;
  assert_int_equal(sf_s3_url_parse("https://Store.Example.com:9000/base//", "url", &url, NULL), SF_OK);
  assert_true(url.is_https);
  assert_string_equal(url.host, "store.example.com");
  assert_int_equal(url.port, 9000);
  assert_string_equal(url.path, "/base");
  sf_s3_url_clear(&url);
  assert_int_equal(sf_s3_url_parse("http://[::1]:80", "url", &url, NULL), SF_OK);
  assert_string_equal(url.host, "[::1]");
  assert_int_equal(url.port, 0); /* the scheme's own: libcurl leaves it out of the Host header too */
  sf_s3_url_clear(&url);
}

static void what_is_no_endpoint_is_refused_without_being_repeated(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "ftp://h",
      "h",
      "http://",
      "http://user:secret@h",
      "http://h:0",
      "http://h:65536",
      "http://h:",
      "http://h/?a=b",
      "http://h#f",
      "http://h/ x",
      "http://[::1",
      "http://h:1x",
      "http://h/%41",
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    sf_s3_url url;
    sf_error error;
    assert_int_equal(sf_s3_url_parse(texts[i], "url", &url, &error), SF_CONFIG_VALIDATION_ERROR);
    assert_null(strstr(error.message, "secret"));
  }
}

static void a_root_is_a_bucket_and_a_prefix(void **state) {
  (void)state;
  static const struct {
    const char *root, *bucket, *prefix;
  } cases[] = {
      {"s3://b", "b", ""},
      {"s3://b/", "b", ""},
      {"s3://bucket.x/a=b:c/d e//", "bucket.x", "a=b:c/d e"},
      {"s3://tenant:bucket/p", "tenant:bucket", "p"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char *bucket;
    char *prefix;
    assert_int_equal(sf_s3_root_parse(cases[i].root, &bucket, &prefix, NULL), SF_OK);
    assert_string_equal(bucket, cases[i].bucket);
    assert_string_equal(prefix, cases[i].prefix);
    free(bucket);
    free(prefix);
  }
  char *unused;
  assert_int_equal(sf_s3_root_parse("s3://", &unused, &unused, NULL), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(sf_s3_root_parse("s3:///p", &unused, &unused, NULL), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(sf_s3_root_parse("s3://b@c/p", &unused, &unused, NULL), SF_CONFIG_VALIDATION_ERROR);
}

static void assert_target(const char *endpoint_url, const char *region, sf_s3_addressing_style style,
                          const char *bucket, const char *expected_origin, const char *expected_path) {
  sf_s3_endpoint endpoint;
  sf_s3_target target;
  assert_int_equal(sf_s3_endpoint_init(&endpoint, endpoint_url, region, NULL), SF_OK);
  assert_int_equal(sf_s3_target_init(&target, &endpoint, style, bucket, "k=1/x y", NULL), SF_OK);
  assert_string_equal(target.origin, expected_origin);
  assert_string_equal(target.host, strstr(expected_origin, "://") + 3);
  assert_string_equal(target.path, expected_path);
  sf_s3_target_clear(&target);
  sf_s3_endpoint_clear(&endpoint);
}

static void automatic_addressing_puts_the_bucket_where_it_can_work(void **state) {
  (void)state;
  const sf_s3_addressing_style automatic = SF_S3_ADDRESSING_AUTO;
  assert_target(NULL, "eu-west-1", automatic, "b", "https://b.s3.eu-west-1.amazonaws.com", "/k%3D1/x%20y");
  assert_target(NULL, "cn-north-1", automatic, "b", "https://b.s3.cn-north-1.amazonaws.com.cn", "/k%3D1/x%20y");
  assert_target(NULL, NULL, automatic, "a.b", "https://s3.us-east-1.amazonaws.com", "/a.b/k%3D1/x%20y");
  assert_target(NULL, NULL, automatic, "A_b", "https://s3.us-east-1.amazonaws.com", "/A_b/k%3D1/x%20y");
  assert_target("https://store.example", NULL, automatic, "b", "https://b.store.example", "/k%3D1/x%20y");
  assert_target("https://store.example:9000", NULL, automatic, "b", "https://store.example:9000", "/b/k%3D1/x%20y");
  assert_target("http://10.0.0.1", NULL, automatic, "b", "http://10.0.0.1", "/b/k%3D1/x%20y");
  assert_target("http://[::1]", NULL, automatic, "b", "http://[::1]", "/b/k%3D1/x%20y");
  assert_target("http://localhost", NULL, automatic, "b", "http://localhost", "/b/k%3D1/x%20y");
  assert_target("https://store.example/base/", NULL, automatic, "b", "https://b.store.example", "/base/k%3D1/x%20y");
}

static void a_given_style_is_kept_to(void **state) {
  (void)state;
  assert_target("https://store.example", NULL, SF_S3_ADDRESSING_PATH, "b", "https://store.example", "/b/k%3D1/x%20y");
  assert_target("http://localhost:7070", NULL, SF_S3_ADDRESSING_VIRTUAL, "a.b", "http://a.b.localhost:7070",
                "/k%3D1/x%20y");
}

static void a_region_that_is_told_moves_only_aws_own_hosts(void **state) {
  (void)state;
  sf_s3_endpoint endpoint;
  assert_int_equal(sf_s3_endpoint_init(&endpoint, NULL, NULL, NULL), SF_OK);
  assert_int_equal(sf_s3_endpoint_set_region(&endpoint, "eu-north-1", NULL), SF_OK);
  assert_string_equal(endpoint.url.host, "s3.eu-north-1.amazonaws.com");
  assert_int_equal(sf_s3_endpoint_set_region(&endpoint, "evil.example/", NULL), SF_ERROR);
  assert_string_equal(endpoint.region, "eu-north-1");
  sf_s3_endpoint_clear(&endpoint);
  assert_int_equal(sf_s3_endpoint_init(&endpoint, "https://store.example", NULL, NULL), SF_OK);
  assert_int_equal(sf_s3_endpoint_set_region(&endpoint, "r2", NULL), SF_OK);
  assert_string_equal(endpoint.url.host, "store.example");
  sf_s3_endpoint_clear(&endpoint);
}

static void a_redirection_names_a_host_with_or_without_the_bucket(void **state) {
  (void)state;
  sf_s3_endpoint endpoint;
  assert_int_equal(sf_s3_endpoint_init(&endpoint, NULL, NULL, NULL), SF_OK);
  assert_int_equal(sf_s3_endpoint_redirect(&endpoint, "b.s3-eu-west-1.amazonaws.com", "b", NULL), SF_OK);
  assert_string_equal(endpoint.url.host, "s3-eu-west-1.amazonaws.com");
  assert_true(endpoint.url.is_https);
  assert_int_equal(
      sf_s3_endpoint_redirect(&endpoint, "https://s3.dualstack.eu-west-3.amazonaws.com/b/key?x=y", "b", NULL), SF_OK);
  assert_string_equal(endpoint.url.host, "s3.dualstack.eu-west-3.amazonaws.com");
  assert_int_equal(sf_s3_endpoint_redirect(&endpoint, "http://s3.eu-west-3.amazonaws.com", "b", NULL), SF_ERROR);
  assert_int_equal(sf_s3_endpoint_redirect(&endpoint, "https://user@s3.eu-west-3.amazonaws.com", "b", NULL), SF_ERROR);
  assert_string_equal(endpoint.url.host, "s3.dualstack.eu-west-3.amazonaws.com");
  sf_s3_endpoint_clear(&endpoint);
}

static void only_hosts_of_s3_itself_are_aws(void **state) {
  (void)state;
  static const char *const own[] = {
      "s3.amazonaws.com",
      "s3.eu-west-1.amazonaws.com",
      "s3-eu-west-1.amazonaws.com",
      "s3.cn-north-1.amazonaws.com.cn",
      "s3.dualstack.us-gov-west-1.amazonaws.com",
      "s3-accelerate.amazonaws.com",
      "s3-fips.us-east-2.amazonaws.com",
      "s3-accelerate.dualstack.amazonaws.com",
      "s3.eu-west-1.api.aws",
  };
  static const char *const others[] = {
      "amazonaws.com",
      "evil.example",
      "s3.amazonaws.com.evil.example",
      "s3.evilamazonaws.com",
      "ec2-1-2-3-4.compute-1.amazonaws.com",
      "s3-x-123.us-east-1.elb.amazonaws.com",
      "s3.us-east-1.elb.amazonaws.com",
      "b.s3.us-east-1.amazonaws.com",
      "s3.execute-api.us-east-1.amazonaws.com",
      "s3..amazonaws.com",
      "s3-.amazonaws.com",
      ".amazonaws.com",
      "",
  };
  for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
    assert_true(sf_s3_host_is_aws(own[i]));
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
    assert_false(sf_s3_host_is_aws(others[i]));
}

static void a_redirection_takes_requests_to_no_host_of_others(void **state) {
  (void)state;
  static const struct {
    const char *endpoint;
    const char *location;
    sf_code code;
  } cases[] = {
      {NULL, "https://evil.example/", SF_ERROR},
      {NULL, "https://b.s3.us-west-2.amazonaws.com:8443/", SF_ERROR},
      {NULL, "https://other.s3.us-west-2.amazonaws.com/", SF_ERROR},
      {NULL, "b.s3.us-west-2.amazonaws.com", SF_OK},
      {"https://s3.eu-west-1.amazonaws.com", "https://b.s3.us-west-2.amazonaws.com/", SF_OK},
      {"https://store.example", "https://b.s3.us-west-2.amazonaws.com/", SF_ERROR},
      {"https://store.example", "https://b.store.example/key", SF_OK},
      {"https://store.example", "https://store.example:444/key", SF_ERROR},
      {"https://store.example", "https://sub.store.example/", SF_ERROR},
      {"https://store.example", "http://store.example/", SF_ERROR},
      {"https://store.example", "https://store.example@evil.example/", SF_ERROR},
      {"https://store.example", "https://evil.example/store.example", SF_ERROR},
      {"http://store.example", "https://store.example/", SF_OK},
      {"http://store.example:9000", "http://store.example:9000/", SF_OK},
      {"http://store.example:9000", "http://store.example:9001/", SF_ERROR},
      {"http://store.example:9000", "https://store.example/", SF_ERROR},
      {"http://127.0.0.1:9000", "http://127.0.0.2:9000/", SF_ERROR},
      {"http://[::1]:9000", "http://[::2]:9000/", SF_ERROR},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_s3_endpoint endpoint;
    sf_error error = {0};
    assert_int_equal(sf_s3_endpoint_init(&endpoint, cases[i].endpoint, NULL, NULL), SF_OK);
    char *before = sf_strdup(endpoint.url.host);
    if (sf_s3_endpoint_redirect(&endpoint, cases[i].location, "b", &error) != cases[i].code)
      fail_msg("from %s to %s: %s", before, cases[i].location, error.message);
    if (cases[i].code != SF_OK)
      assert_string_equal(endpoint.url.host, before);
    free(before);
    sf_s3_endpoint_clear(&endpoint);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_unreserved_characters_stay_as_they_are),
      cmocka_unit_test(decoding_refuses_broken_escapes),
      cmocka_unit_test(urls_have_a_scheme_a_host_perhaps_a_port_and_a_path),
      cmocka_unit_test(what_is_no_endpoint_is_refused_without_being_repeated),
      cmocka_unit_test(a_root_is_a_bucket_and_a_prefix),
      cmocka_unit_test(automatic_addressing_puts_the_bucket_where_it_can_work),
      cmocka_unit_test(a_given_style_is_kept_to),
      cmocka_unit_test(a_region_that_is_told_moves_only_aws_own_hosts),
      cmocka_unit_test(a_redirection_names_a_host_with_or_without_the_bucket),
      cmocka_unit_test(only_hosts_of_s3_itself_are_aws),
      cmocka_unit_test(a_redirection_takes_requests_to_no_host_of_others),
  };
  return cmocka_run_group_tests_name("s3_endpoint", tests, NULL, NULL);
}
