#include "snapshot/reference.h"

#include "base/memory.h"
#include "cmocka_includes.h"

#include <stdlib.h>
#include <string.h>

static void assert_key(const char *reference, const char *s3_prefix, const char *root, const char *expected) {
  char *key = NULL;
  sf_error error = {0};
  if (sf_reference_key(reference, s3_prefix, root, "db_url", SF_DB_ADAPTER_ERROR, &key, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_string_equal(key, expected);
  free(key);
}

static void a_reference_below_the_manifests_prefix_is_relocated(void **state) {
  (void)state;
  assert_key("s3://bucket/p/shards/db=00000", "s3://bucket/p", "/data/copy", "shards/db=00000");
  assert_key("s3://bucket/p/shards/db=00000/", "s3://bucket/p", "/data/copy", "shards/db=00000");
  assert_key("s3://bucket/shards/x", "s3://bucket", "s3://other/p", "shards/x");
  assert_key("/data/a b/shards/x", "/data/a b", "/elsewhere", "shards/x");
}

static void a_reference_below_the_root_is_taken_too(void **state) {
  (void)state;
  assert_key("/data/copy/shards/x", "s3://bucket/p", "/data/copy", "shards/x");
  assert_key("/data/copy/shards/x", "", "/data/copy", "shards/x");
}

static void keys_are_taken_as_they_stand(void **state) {
  (void)state;
  assert_key("s3://b/p/run_id=a:b%20c d+e?f#g/x", "s3://b/p", "/r", "run_id=a:b%20c d+e?f#g/x");
  assert_key("s3://b/p/..x/y..", "s3://b/p", "/r", "..x/y..");
}

static void a_reference_that_lies_elsewhere_is_refused_by_name(void **state) {
  (void)state;
  static const char *const references[] = {
      "",           "s3://bucket/p",       "s3://bucket/p/",     "s3://bucket/pq/x",  "s3://other/p/x",
      "shards/x",   "s3://bucket/p/../x",  "s3://bucket/p/a/..", "s3://bucket/p/./x", "/data/copy/a/../../x",
      "/data/copy", "s3://bucket/p/a/../b"};
  for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++) {
    char *key = NULL;
    sf_error error;
    assert_int_equal(
        sf_reference_key(references[i], "s3://bucket/p", "/data/copy", "db_url", SF_DB_ADAPTER_ERROR, &key, &error),
        SF_DB_ADAPTER_ERROR);
    char *expected = sf_format("db_url: expected a reference below s3://bucket/p, found %s", references[i]);
    assert_string_equal(error.message, expected);
    assert_null(key);
    free(expected);
  }
}

static void a_manifests_key_is_found_from_behind(void **state) {
  (void)state;
  static const struct {
    const char *reference;
    const char *root;
    const char *key; /* NULL: refused */
  } cases[] = {
      {"s3://bucket/p/manifests/name/manifest", "/data/copy", "manifests/name/manifest"},
      {"s3://bucket/manifests/p/manifests/name/manifest", "/data/copy", "manifests/name/manifest"},
      {"/data/copy/manifests/name/manifest", "/data/copy", "manifests/name/manifest"},
      {"/data/manifests/copy/manifests/name/manifest", "/data/manifests/copy", "manifests/name/manifest"},
      {"s3://b/p/manifests/2026-01-02T03:04:05.000006Z_run_id=a=b/manifest", "/r",
       "manifests/2026-01-02T03:04:05.000006Z_run_id=a=b/manifest"},
      {"s3://bucket/p/name/manifest", "/data/copy", NULL},
      {"manifests/name/manifest", "/data/copy", NULL},
      {"s3://bucket/p/manifests/../name/manifest", "/data/copy", NULL},
      {"/data/copy/../x/manifests/name/manifest", "/data/copy", NULL},
      {"", "/data/copy", NULL},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char *key = NULL;
    sf_error error = {0};
    sf_code code = sf_reference_manifest_key(cases[i].reference, cases[i].root, &key, &error);
    assert_int_equal(code, cases[i].key != NULL ? SF_OK : SF_MANIFEST_PARSE_ERROR);
    if (cases[i].key != NULL)
      assert_string_equal(key, cases[i].key);
    else
      assert_non_null(strstr(error.message, "_CURRENT: expected \"manifest_ref\""));
    free(key);
  }
}

static void a_manifests_name_is_a_time_and_a_run(void **state) {
  (void)state;
  sf_manifest_name parsed;
  assert_true(sf_manifest_name_parse("2026-01-02T03:04:05.250000Z_run_id=a_run_id=b", &parsed));
  assert_int_equal(parsed.published_at_length, 27);
  assert_true(parsed.published_seconds == 1767323045.25);
  assert_string_equal(parsed.run_id, "a_run_id=b");
  static const char *const others[] = {"",
                                       "_run_id=a",
                                       "2026-01-02T03:04:05.250000Z",
                                       "2026-01-02T03:04:05Z_run_id=",
                                       "2026-02-30T03:04:05Z_run_id=a",
                                       "x2026-01-02T03:04:05Z_run_id=a"};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
    assert_false(sf_manifest_name_parse(others[i], &parsed));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_reference_below_the_manifests_prefix_is_relocated),
      cmocka_unit_test(a_reference_below_the_root_is_taken_too),
      cmocka_unit_test(keys_are_taken_as_they_stand),
      cmocka_unit_test(a_reference_that_lies_elsewhere_is_refused_by_name),
      cmocka_unit_test(a_manifests_key_is_found_from_behind),
      cmocka_unit_test(a_manifests_name_is_a_time_and_a_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
