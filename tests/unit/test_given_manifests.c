/* Manifests that the caller read, single objects, a fixed shard format, and what is told of what happens. */

#include "base/memory.h"
#include "cmocka_includes.h"
#include "shardyfusion/search.h"
#include "temporary_folder.h"

#include <pthread.h>
#include <string.h>

#define ROOT SF_TEST_GOLDEN "/sqlite-l2-lsh/snapshot"
#define DIM 32

/* How many events of each type came, and the last one's facts. */
typedef struct heard {
  pthread_mutex_t mutex;
  unsigned counts[SF_EVENT_FALLBACK + 1];
  bool changed;
  uint64_t num_results;
  uint32_t num_shards;
  sf_code code;
} heard;

static void hear(const sf_event *event, void *user_data) {
  heard *to = user_data;
  pthread_mutex_lock(&to->mutex);
  assert_int_equal(event->size, sizeof(*event));
  to->counts[event->type]++;
  to->code = event->code;
  to->changed = event->changed;
  to->num_results = event->num_results;
  to->num_shards = event->num_shards;
  pthread_mutex_unlock(&to->mutex);
}

static sf_reader_options options_of(heard *to, char *cache) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.cache_dir = path_of(cache, "cache");
  options.event = to == NULL ? NULL : hear;
  options.event_user_data = to;
  return options;
}

static char *live_ref(void) {
  sf_published_manifest *manifests;
  size_t count;
  assert_int_equal(sf_snapshot_history(ROOT, NULL, 1, &manifests, &count, NULL), SF_OK);
  char *ref = sf_strdup(manifests[0].ref);
  sf_free(manifests);
  return ref;
}

static sf_manifest_source live_manifest(void **bytes) {
  sf_manifest_source manifest = SF_MANIFEST_SOURCE_INIT;
  char *ref = live_ref();
  assert_int_equal(sf_snapshot_read_object(ROOT, NULL, ref, bytes, &manifest.length, NULL), SF_OK);
  free(ref);
  manifest.bytes = *bytes;
  manifest.ref = "given";
  manifest.published_seconds = 1e9;
  return manifest;
}

static void assert_serves(sf_reader *reader, const char *manifest_ref) {
  sf_snapshot_info *info;
  assert_int_equal(sf_reader_snapshot_info(reader, &info, NULL), SF_OK);
  assert_string_equal(info->manifest_ref, manifest_ref);
  sf_free(info);
}

static void search_once(sf_reader *reader, int64_t top_k) {
  const float query[DIM] = {1};
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  sf_search_response *response;
  request.query = query;
  request.dim = DIM;
  request.top_k = top_k;
  assert_int_equal(sf_reader_search(reader, &request, &response, NULL), SF_OK);
  assert_int_equal(sf_search_response_count(response), top_k);
  sf_search_response_free(response);
}

static void a_reader_serves_the_manifest_that_it_is_given(void **state) {
  (void)state;
  char cache[PATH_SIZE];
  void *bytes;
  sf_manifest_source manifest = live_manifest(&bytes);
  sf_reader_options options = options_of(NULL, cache);
  sf_reader *reader;
  options.manifest = &manifest;
  assert_int_equal(sf_reader_open(ROOT, &options, &reader, NULL), SF_OK);
  assert_serves(reader, "given");
  search_once(reader, 5);
  bool changed = true;
  assert_int_equal(sf_reader_refresh_to(reader, &manifest, &changed, NULL), SF_OK);
  assert_false(changed);
  manifest.ref = "another";
  assert_int_equal(sf_reader_refresh_to(reader, &manifest, &changed, NULL), SF_OK);
  assert_true(changed);
  assert_serves(reader, "another");
  manifest.ref = "broken";
  manifest.length = 100;
  assert_int_equal(sf_reader_refresh_to(reader, &manifest, &changed, NULL), SF_OK);
  assert_false(changed);
  assert_serves(reader, "another");
  sf_reader_free(reader);
  sf_free(bytes);
}

static void a_given_manifest_is_checked(void **state) {
  (void)state;
  char cache[PATH_SIZE];
  sf_error error;
  sf_reader *reader;
  sf_reader_options options = options_of(NULL, cache);
  sf_manifest_source manifest = {.bytes = "x", .length = 1, .ref = "r"};
  options.manifest = &manifest;
  assert_int_equal(sf_reader_open(ROOT, &options, &reader, &error), SF_CONFIG_VALIDATION_ERROR);
  manifest.size = sizeof(manifest);
  assert_int_equal(sf_reader_open(ROOT, &options, &reader, &error), SF_MANIFEST_PARSE_ERROR);
  manifest.ref = NULL;
  assert_int_equal(sf_reader_open(ROOT, &options, &reader, &error), SF_CONFIG_VALIDATION_ERROR);
  sf_operation *operation;
  assert_int_equal(sf_reader_open_submit(ROOT, &options, NULL, NULL, NULL, &operation, &error),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(sf_manifest_check("x", 1, "manifest x", &error), SF_MANIFEST_PARSE_ERROR);
  assert_non_null(strstr(error.message, "manifest x"));
}

static void objects_are_read_by_their_reference(void **state) {
  (void)state;
  void *bytes;
  size_t length;
  sf_error error;
  assert_int_equal(sf_snapshot_read_object(ROOT, NULL, "_CURRENT", &bytes, &length, &error), SF_OK);
  assert_int_equal(((char *)bytes)[0], '{');
  assert_int_equal(((char *)bytes)[length], '\0');
  sf_free(bytes);
  assert_int_equal(
      sf_snapshot_read_object(ROOT, NULL, "s3://golden/manifests/2026_run_id=x/manifest", &bytes, &length, &error),
      SF_MANIFEST_STORE_ERROR);
  sf_operation *operation;
  char *ref = live_ref();
  assert_int_equal(sf_snapshot_read_object_submit(ROOT, NULL, ref, NULL, NULL, NULL, &operation, &error), SF_OK);
  assert_true(sf_operation_wait(operation, -1));
  assert_int_equal(sf_operation_result(operation, &error), SF_OK);
  bytes = sf_operation_take_object(operation, &length);
  assert_int_equal(sf_manifest_check(bytes, length, "manifest", &error), SF_OK);
  assert_null(sf_operation_take_object(operation, &length));
  assert_int_equal(length, 0);
  sf_operation_release(operation);
  sf_free(bytes);
  free(ref);
}

static void a_fixed_shard_format_is_the_only_one(void **state) {
  (void)state;
  char cache[PATH_SIZE];
  sf_error error;
  sf_reader *reader;
  sf_reader_options options = options_of(NULL, cache);
  options.preload_shards = true;
  options.shard_format = "sqlite-vec";
  assert_int_equal(sf_reader_open(ROOT, &options, &reader, &error), SF_OK);
  sf_reader_free(reader);
  options.shard_format = "lance";
  assert_int_equal(sf_reader_open(ROOT, &options, &reader, &error), SF_DB_ADAPTER_ERROR);
  options.shard_format = "csv";
  assert_int_equal(sf_reader_open(ROOT, &options, &reader, &error), SF_CONFIG_VALIDATION_ERROR);
}

static void listeners_hear_what_happens(void **state) {
  (void)state;
  char cache[PATH_SIZE];
  heard to = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  sf_reader_options options = options_of(&to, cache);
  sf_reader *reader;
  assert_int_equal(sf_reader_open(ROOT, &options, &reader, NULL), SF_OK);
  assert_int_equal(to.counts[SF_EVENT_READER_INITIALIZED], 1);
  assert_int_equal(to.num_shards, 6);
  search_once(reader, 7);
  assert_int_equal(to.counts[SF_EVENT_SEARCH], 1);
  assert_int_equal(to.num_results, 7);
  assert_int_equal(to.counts[SF_EVENT_SHARD_SEARCH], to.num_shards);
  assert_int_equal(to.counts[SF_EVENT_SHARD_LOAD], to.num_shards);
  bool changed;
  assert_int_equal(sf_reader_refresh(reader, &changed, NULL), SF_OK);
  assert_int_equal(to.counts[SF_EVENT_READER_REFRESHED], 1);
  assert_false(to.changed);
  sf_reader_free(reader);
  assert_int_equal(to.counts[SF_EVENT_READER_CLOSED], 1);
  assert_int_equal(to.counts[SF_EVENT_FALLBACK], 0);
}

static void every_event_has_a_name(void **state) {
  (void)state;
  for (int i = SF_EVENT_READER_INITIALIZED; i <= SF_EVENT_FALLBACK; i++)
    assert_string_not_equal(sf_event_type_name((sf_event_type)i), "unknown");
  assert_string_equal(sf_event_type_name(SF_EVENT_SHARD_LOAD), "shard_load");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_reader_serves_the_manifest_that_it_is_given),
      cmocka_unit_test(a_given_manifest_is_checked),
      cmocka_unit_test(objects_are_read_by_their_reference),
      cmocka_unit_test(a_fixed_shard_format_is_the_only_one),
      cmocka_unit_test(listeners_hear_what_happens),
      cmocka_unit_test(every_event_has_a_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
