/* What leaves the local cache when it is to shrink, and what stays. */
#include "shard/cache_limit.h"

#include "cmocka_includes.h"
#include "shard/cache_folder.h"
#include "shard/cache_use.h"
#include "temporary_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define SHARD_BYTES ((uint64_t)64 << 10)

static const char *cache_root(void) {
  static char path[PATH_SIZE];
  return path_of(path, "cache");
}

static const char *shard_path(char path[PATH_SIZE], unsigned shard) {
  char name[64];
  snprintf(name, sizeof(name), "cache/shard_%05u", shard);
  return path_of(path, name);
}

/* A folder as a process leaves it that had the shard loaded, `age` seconds ago. */
static void fill_shard(unsigned shard, int age) {
  char path[PATH_SIZE];
  char name[128];
  sf_cache_folder folder;
  sf_cache_use use = {0};
  assert_int_equal(sf_cache_use_begin(shard_path(path, shard), &use, NULL), SF_OK);
  assert_int_equal(sf_cache_folder_open(path, "s3://b/shard", NULL, NULL, &folder, NULL), SF_OK);
  sf_cache_folder_close(&folder);
  uint8_t *bytes = sf_calloc((size_t)SHARD_BYTES / 4, 1);
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof(name), "cache/shard_%05u/file-%d", shard, i);
    put_file(name, bytes, (size_t)SHARD_BYTES / 4);
  }
  free(bytes);
  sf_cache_use_end(&use);
  struct timespec times[2];
  clock_gettime(CLOCK_REALTIME, &times[0]);
  times[0].tv_sec -= age;
  times[1] = times[0];
  snprintf(name, sizeof(name), "cache/shard_%05u/" SF_CACHE_USE_NAME, shard);
  assert_int_equal(utimensat(AT_FDCWD, path_of(path, name), times, 0), 0);
}

static bool is_cached(unsigned shard) {
  char path[PATH_SIZE];
  return sf_cache_folder_matches(shard_path(path, shard), "s3://b/shard", NULL);
}

/* One character for each shard: '+' where it is cached. */
static void assert_cached(const char *expected) {
  char found[16] = "";
  for (unsigned shard = 0; shard < strlen(expected); shard++)
    found[shard] = is_cached(shard) ? '+' : '-';
  assert_string_equal(found, expected);
}

static void enforce(uint64_t max_bytes) {
  assert_int_equal(sf_cache_limit_enforce(cache_root(), max_bytes, NULL), SF_OK);
}

static int clear_cache(void **state) {
  (void)state;
  remove_files(cache_root());
  return 0;
}

static void the_least_recently_used_goes_first(void **state) {
  (void)state;
  static const int ages[] = {10, 40, 20, 30};
  for (unsigned shard = 0; shard < 4; shard++)
    fill_shard(shard, ages[shard]);
  /* A folder's small files take a little more. */
  enforce(4 * SHARD_BYTES + SHARD_BYTES / 2);
  assert_cached("++++");
  enforce(3 * SHARD_BYTES + SHARD_BYTES / 2);
  assert_cached("+-++");
  enforce(SHARD_BYTES + SHARD_BYTES / 2);
  assert_cached("+---");
  char path[PATH_SIZE];
  assert_int_not_equal(access(shard_path(path, 1), F_OK), 0);
}

static void what_was_used_again_is_young_again(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_use use = {0};
  for (unsigned shard = 0; shard < 3; shard++)
    fill_shard(shard, 30 - (int)shard);
  assert_int_equal(sf_cache_use_begin(shard_path(path, 0), &use, NULL), SF_OK);
  sf_cache_use_end(&use);
  enforce(SHARD_BYTES + SHARD_BYTES / 2);
  assert_cached("+--");
}

static void what_is_in_use_stays_and_is_counted(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_use uses[2] = {{0}, {0}};
  for (unsigned shard = 0; shard < 3; shard++)
    fill_shard(shard, 30 - (int)shard);
  for (int i = 0; i < 2; i++) /* two readers, one of them for longer */
    assert_int_equal(sf_cache_use_begin(shard_path(path, 0), &uses[i], NULL), SF_OK);
  enforce(2 * SHARD_BYTES + SHARD_BYTES / 2);
  assert_cached("+-+");
  sf_cache_use_end(&uses[0]);
  enforce(1);
  assert_cached("+--");
  sf_cache_use_end(&uses[1]);
  enforce(1);
  assert_cached("---");
}

static void what_another_process_uses_stays_until_it_dies(void **state) {
  (void)state;
  char path[PATH_SIZE];
  int ready[2];
  fill_shard(0, 10);
  shard_path(path, 0);
  assert_int_equal(pipe(ready), 0);
  pid_t process = fork();
  if (process == 0) {
    sf_cache_use use = {0};
    bool held = sf_cache_use_begin(path, &use, NULL) == SF_OK && use.is_held && write(ready[1], "r", 1) == 1;
    if (!held)
      _exit(1);
    for (;;)
      pause();
  }
  char byte;
  assert_int_equal(read(ready[0], &byte, 1), 1);
  enforce(1);
  assert_cached("+");
  assert_int_equal(kill(process, SIGKILL), 0);
  assert_int_equal(waitpid(process, NULL, 0), process);
  enforce(1);
  assert_cached("-");
  close(ready[0]);
  close(ready[1]);
}

static void other_folders_and_files_are_left_alone(void **state) {
  (void)state;
  char path[PATH_SIZE];
  static const char *const names[] = {"cache/shard_1/x", "cache/shard_00001.scratch-x/x", "cache/shard_0000x/x",
                                      "cache/file", "cache/other/x"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    put_text(names[i], "x");
  fill_shard(0, 1);
  enforce(1);
  assert_cached("-");
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    assert_int_equal(access(path_of(path, names[i]), F_OK), 0);
  assert_int_equal(sf_cache_limit_enforce("/nonexistent/cache", 1, NULL), SF_OK);
}

/* Whoever is killed while he evicts leaves what the next one evicts or takes over. */
static void an_eviction_that_is_killed_leaves_folders_that_can_be_used(void **state) {
  (void)state;
  char path[PATH_SIZE];
  for (unsigned round = 0; round < 30; round++) {
    for (unsigned shard = 0; shard < 8; shard++)
      fill_shard(shard, 10);
    pid_t process = fork();
    if (process == 0) {
      (void)sf_cache_limit_enforce(cache_root(), 1, NULL);
      _exit(0);
    }
    usleep(round * 30);
    kill(process, SIGKILL);
    assert_int_equal(waitpid(process, NULL, 0), process);
    for (unsigned shard = 0; shard < 8; shard++) {
      char file[128];
      bool was_whole = is_cached(shard);
      for (int i = 0; i < 4; i++) {
        snprintf(file, sizeof(file), "cache/shard_%05u/file-%d", shard, i);
        /* A folder that still says whose it is has lost nothing. */
        assert_true(!was_whole || access(path_of(path, file), F_OK) == 0);
      }
    }
    fill_shard(0, 0);
    assert_true(is_cached(0));
    enforce(1);
    assert_cached("--------");
  }
}

/* While one evicts all the time, others find their folders and keep them while they use them. */
static void folders_are_opened_while_others_evict(void **state) {
  (void)state;
  char path[PATH_SIZE];
  pid_t process = fork();
  if (process == 0)
    for (;;)
      (void)sf_cache_limit_enforce(cache_root(), 1, NULL);
  for (unsigned i = 0; i < 500; i++) {
    sf_cache_use use = {0};
    sf_cache_folder folder;
    assert_int_equal(sf_cache_use_begin(shard_path(path, i % 2), &use, NULL), SF_OK);
    assert_true(use.is_held);
    assert_int_equal(sf_cache_folder_open(path, "s3://b/shard", NULL, NULL, &folder, NULL), SF_OK);
    sf_cache_folder_close(&folder);
    put_text(i % 2 == 0 ? "cache/shard_00000/file" : "cache/shard_00001/file", "x");
    assert_true(is_cached(i % 2));
    sf_cache_use_end(&use);
  }
  kill(process, SIGKILL);
  assert_int_equal(waitpid(process, NULL, 0), process);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(the_least_recently_used_goes_first, clear_cache),
      cmocka_unit_test_teardown(what_was_used_again_is_young_again, clear_cache),
      cmocka_unit_test_teardown(what_is_in_use_stays_and_is_counted, clear_cache),
      cmocka_unit_test_teardown(what_another_process_uses_stays_until_it_dies, clear_cache),
      cmocka_unit_test_teardown(other_folders_and_files_are_left_alone, clear_cache),
      cmocka_unit_test_teardown(an_eviction_that_is_killed_leaves_folders_that_can_be_used, clear_cache),
      cmocka_unit_test_teardown(folders_are_opened_while_others_evict, clear_cache),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
