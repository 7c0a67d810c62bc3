/* A Lance shard that is opened and read by several threads at once, in place and from a storage that is not on this
 * machine. */
#include "base/thread.h"
#include "formats/formats.h"
#include "support/remote_storage.h"
#include "support/scratch.h"

#include <cmocka_includes.h>
#include <glob.h>
#include <string.h>

#define GOLDEN SF_TEST_GOLDEN "/lance21-cosine-cluster/snapshot"
#define NUM_THREADS 4
#define DIM 64

/* Ids and payloads, one after the other. */
typedef struct collected {
  sf_row_sink base;
  sf_buffer text;
} collected;

static bool collect(sf_row_sink *sink, sf_id_type id_type, int64_t id_integer, const char *id_string, size_t id_length,
                    const char *payload, size_t payload_length) {
  collected *to = (collected *)sink;
  (void)id_type, (void)id_integer;
  return sf_buffer_append(&to->text, id_string, id_length) && sf_buffer_append_text(&to->text, "\n") &&
         (payload == NULL || sf_buffer_append(&to->text, payload, payload_length)) &&
         sf_buffer_append_text(&to->text, "\n");
}

/* Every 13th row, the last ones first. */
static void fetch_some(sf_shard *shard, sf_buffer *text) {
  collected sink = {.base = {.add = collect}};
  uint64_t rows[64];
  size_t count = 0;
  sf_error error = {0};
  for (uint64_t row = 0; row < shard->num_rows && count < 64; row += 13)
    rows[count++] = shard->num_rows - 1 - row;
  if (sf_lance_format.fetch_rows(shard, rows, count, &sink.base, &error) != SF_OK)
    fail_msg("%s", error.message);
  *text = sink.text;
}

/* The key of a shard of the golden snapshot. */
static char *find_shard(void) {
  glob_t found;
  assert_int_equal(glob(GOLDEN "/shards/run_id=*/db=00000/attempt=00", 0, NULL, &found), 0);
  char *key = sf_strdup(found.gl_pathv[0] + strlen(GOLDEN) + 1);
  globfree(&found);
  assert_non_null(key);
  return key;
}

static sf_shard_resources *resources;

static sf_shard *open_shard(sf_storage *storage, const char *key, const char *cache_dir) {
  sf_shard *shard = NULL;
  sf_error error = {0};
  sf_shard_params params = {.storage = storage,
                            .resources = resources,
                            .db_url = key,
                            .key = key,
                            .cache_dir = cache_dir,
                            .dim = DIM,
                            .metric = SF_METRIC_COSINE};
  if (sf_lance_format.open(&params, NULL, &shard, &error) != SF_OK)
    fail_msg("%s", error.message);
  return shard;
}

typedef struct reading {
  sf_storage *storage;
  const char *key;
  const char *cache_dir;
  sf_shard *shard; /* NULL: opens one of its own */
  sf_buffer text;
} reading;

static void *read_some(void *argument) {
  reading *work = argument;
  sf_shard *shard = work->shard != NULL ? work->shard : open_shard(work->storage, work->key, work->cache_dir);
  fetch_some(shard, &work->text);
  if (work->shard == NULL)
    sf_lance_format.close(shard);
  return NULL;
}

static void read_in_threads(sf_storage *storage, const char *key, const char *cache_dir, sf_shard *shard,
                            const sf_buffer *expected) {
  pthread_t threads[NUM_THREADS];
  reading work[NUM_THREADS];
  for (size_t i = 0; i < NUM_THREADS; i++) {
    work[i] = (reading){.storage = storage, .key = key, .cache_dir = cache_dir, .shard = shard};
    assert_int_equal(sf_thread_start(&threads[i], read_some, &work[i]), 0);
  }
  for (size_t i = 0; i < NUM_THREADS; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(work[i].text.length, expected->length);
    assert_memory_equal(work[i].text.data, expected->data, expected->length);
    sf_buffer_free(&work[i].text);
  }
}

static void threads_share_an_open_shard_and_open_their_own(void **state) {
  (void)state;
  char *scratch = scratch_make();
  char *key = find_shard();
  char *cache_dir = scratch_path(scratch, "local");
  char *mirror_dir = scratch_path(scratch, "remote");
  sf_storage *local = NULL;
  sf_storage *remote = NULL;
  sf_error error;
  sf_buffer expected;
  assert_int_equal(sf_storage_open(GOLDEN, NULL, &local, &error), SF_OK);
  assert_int_equal(remote_storage_open(GOLDEN, &remote, &error), SF_OK);
  sf_shard *shard = open_shard(local, key, cache_dir);
  fetch_some(shard, &expected);
  assert_true(expected.length > 100);
  read_in_threads(local, key, cache_dir, shard, &expected);
  sf_lance_format.close(shard);
  read_in_threads(remote, key, mirror_dir, NULL, &expected);
  sf_buffer_free(&expected);
  sf_storage_close(local);
  sf_storage_close(remote);
  free(mirror_dir);
  free(cache_dir);
  free(key);
  scratch_remove(scratch);
}

static int set_up(void **state) {
  (void)state;
  return sf_shard_resources_create(&resources, NULL) == SF_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  sf_shard_resources_free(resources);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_share_an_open_shard_and_open_their_own),
  };
  return cmocka_run_group_tests_name("concurrent lance", tests, set_up, tear_down);
}
