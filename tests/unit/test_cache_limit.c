/* What leaves the local cache when it is to shrink, and what stays. */
#include "cache/cache_limit.h"

#include "cache/cache_claims.h"
#include "cache/cache_folder.h"
#include "cache/cache_use.h"
#include "cmocka_includes.h"
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

static sf_cache_users *users;

static void use_shard(const char *path, sf_cache_use *use) {
  sf_error error;
  if (sf_cache_use_folder(users, path, use, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_non_null(use->users);
}

static void claim_shard(const char *path) {
  sf_cache_folder folder;
  bool found;
  assert_int_equal(sf_cache_folder_open(path, true, &found, &folder, NULL), SF_OK);
  assert_int_equal(sf_cache_folder_lock(&folder, "s3://b/shard", NULL, NULL, NULL), SF_OK);
  sf_cache_folder_close(&folder);
}

/* A folder as a process leaves it that had the shard loaded, `age` seconds ago. */
static void fill_shard(unsigned shard, int age) {
  char path[PATH_SIZE];
  char name[128];
  sf_cache_use use = {0};
  use_shard(shard_path(path, shard), &use);
  claim_shard(path);
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
  sf_cache_folder folder;
  bool found;
  bool matches = false;
  assert_int_equal(sf_cache_folder_open(shard_path(path, shard), false, &found, &folder, NULL), SF_OK);
  if (found)
    assert_int_equal(sf_cache_folder_matches(&folder, "s3://b/shard", NULL, &matches, NULL), SF_OK);
  sf_cache_folder_close(&folder);
  return matches;
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
  use_shard(shard_path(path, 0), &use);
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
    use_shard(shard_path(path, 0), &uses[i]);
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
    sf_cache_users *own; /* what it inherits is its parent's */
    bool held = sf_cache_users_create(&own, NULL) == SF_OK && sf_cache_use_folder(own, path, &use, NULL) == SF_OK &&
                use.users != NULL && write(ready[1], "r", 1) == 1;
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
    use_shard(shard_path(path, i % 2), &use);
    claim_shard(path);
    put_text(i % 2 == 0 ? "cache/shard_00000/file" : "cache/shard_00001/file", "x");
    assert_true(is_cached(i % 2));
    sf_cache_use_end(&use);
  }
  kill(process, SIGKILL);
  assert_int_equal(waitpid(process, NULL, 0), process);
}

static size_t count_descriptors(void) {
  size_t count = 0;
  DIR *folder = opendir("/dev/fd");
  while (folder != NULL && readdir(folder) != NULL)
    count++;
  closedir(folder);
  return count;
}

static void a_thousand_shards_in_use_take_one_descriptor(void **state) {
  enum { NUM_SHARDS = 1000 };
  (void)state;
  char path[PATH_SIZE];
  char name[64];
  static sf_cache_use uses[NUM_SHARDS][2];
  size_t before = count_descriptors();
  for (unsigned i = 0; i < NUM_SHARDS; i++) {
    use_shard(shard_path(path, i), &uses[i][0]);
    snprintf(name, sizeof(name), "shard.%016x.db", i);
    assert_int_equal(sf_cache_use_file(users, path, name, &uses[i][1], NULL), SF_OK);
    assert_non_null(uses[i][1].users);
  }
  assert_true(count_descriptors() <= before + 1);
  for (unsigned i = 0; i < NUM_SHARDS; i++) {
    sf_cache_use_end(&uses[i][0]);
    sf_cache_use_end(&uses[i][1]);
  }
}

/* A shard of two snapshots, say, that one reader has open during a refresh. */
static void what_one_reader_uses_twice_stays_until_both_uses_end(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_use uses[2] = {{0}, {0}};
  fill_shard(0, 10);
  for (int i = 0; i < 2; i++)
    use_shard(shard_path(path, 0), &uses[i]);
  sf_cache_use_end(&uses[1]);
  enforce(1);
  assert_cached("+");
  sf_cache_use_end(&uses[0]);
  enforce(1);
  assert_cached("-");
}

static void two_readers_of_one_process_are_two_users(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_users *others;
  sf_cache_use uses[2] = {{0}, {0}};
  fill_shard(0, 10);
  assert_int_equal(sf_cache_users_create(&others, NULL), SF_OK);
  use_shard(shard_path(path, 0), &uses[0]);
  assert_int_equal(sf_cache_use_folder(others, path, &uses[1], NULL), SF_OK);
  sf_cache_use_end(&uses[0]);
  enforce(1);
  assert_cached("+");
  sf_cache_use_end(&uses[1]);
  sf_cache_users_free(others);
}

/* Somebody empties the cache while it is in use: later uses and later evictions meet in the new file. */
static void a_removed_file_of_locks_is_made_again_with_all_that_is_held(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_use uses[2] = {{0}, {0}};
  fill_shard(0, 20);
  fill_shard(1, 10);
  use_shard(shard_path(path, 0), &uses[0]);
  assert_int_equal(unlink(path_of(path, "cache/" SF_CACHE_CLAIMS_NAME)), 0);
  use_shard(shard_path(path, 1), &uses[1]);
  enforce(1);
  assert_cached("++");
  sf_cache_use_end(&uses[0]);
  sf_cache_use_end(&uses[1]);
}

static void room_is_made_before_it_is_needed(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_use use = {0};
  for (unsigned shard = 0; shard < 4; shard++)
    fill_shard(shard, 30 - (int)shard);
  use_shard(shard_path(path, 0), &use); /* the one that is about to be written to */
  sf_cache_make_room(path, 0, SHARD_BYTES);
  assert_cached("++++");
  sf_cache_make_room(path, 4 * SHARD_BYTES + SHARD_BYTES / 2, SHARD_BYTES);
  assert_cached("+-++");
  sf_cache_make_room(path, SHARD_BYTES, 100 * SHARD_BYTES);
  assert_cached("+---");
  sf_cache_use_end(&use);
}

static void a_link_in_place_of_a_shards_folder_is_left_alone(void **state) {
  (void)state;
  char path[PATH_SIZE];
  char target[PATH_SIZE];
  put_text("elsewhere/precious", "kept");
  put_text("elsewhere/shard.identity.json", "kept");
  fill_shard(0, 10);
  assert_int_equal(symlink(path_of(target, "elsewhere"), shard_path(path, 1)), 0);
  enforce(1);
  assert_int_not_equal(access(shard_path(path, 0), F_OK), 0);
  assert_int_equal(access(path_of(path, "elsewhere/precious"), F_OK), 0);
  assert_int_equal(access(path_of(path, "elsewhere/shard.identity.json"), F_OK), 0);
}

static int set_up(void **state) {
  (void)state;
  return sf_cache_users_create(&users, NULL) == SF_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  sf_cache_users_free(users);
  return 0;
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
      cmocka_unit_test_teardown(a_thousand_shards_in_use_take_one_descriptor, clear_cache),
      cmocka_unit_test_teardown(what_one_reader_uses_twice_stays_until_both_uses_end, clear_cache),
      cmocka_unit_test_teardown(two_readers_of_one_process_are_two_users, clear_cache),
      cmocka_unit_test_teardown(a_removed_file_of_locks_is_made_again_with_all_that_is_held, clear_cache),
      cmocka_unit_test_teardown(room_is_made_before_it_is_needed, clear_cache),
      cmocka_unit_test_teardown(a_link_in_place_of_a_shards_folder_is_left_alone, clear_cache),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
