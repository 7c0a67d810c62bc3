#include "cache/cache_folder.h"

#include "cache/cache_use.h"
#include "cache/scratch_folder.h"
#include "cmocka_includes.h"
#include "formats/shard.h"
#include "shard_files.h"
#include "temporary_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *folder_path(void) {
  static char path[PATH_SIZE];
  return path_of(path, "cache/shard_00003");
}

/* Takes the folder for a shard: with its lock, which the caller gives back. */
static sf_code take(const char *db_url, const char *checkpoint_id, const sf_cancellation *cancellation,
                    sf_cache_folder *folder) {
  sf_error error = {0};
  bool found;
  if (sf_cache_folder_open(folder_path(), true, &found, folder, &error) != SF_OK || !found)
    fail_msg("%s", error.message);
  assert_string_equal(folder->folder.path, folder_path());
  return sf_cache_folder_lock(folder, db_url, checkpoint_id, cancellation, &error);
}

static void open_and_close(const char *db_url, const char *checkpoint_id) {
  sf_cache_folder folder;
  assert_int_equal(take(db_url, checkpoint_id, NULL, &folder), SF_OK);
  sf_cache_folder_close(&folder);
}

static bool matches(const char *db_url, const char *checkpoint_id) {
  sf_cache_folder folder;
  bool found;
  bool matching = false;
  assert_int_equal(sf_cache_folder_open(folder_path(), false, &found, &folder, NULL), SF_OK);
  if (found)
    assert_int_equal(sf_cache_folder_matches(&folder, db_url, checkpoint_id, &matching, NULL), SF_OK);
  sf_cache_folder_close(&folder);
  return matching;
}

static bool has(const char *name) {
  char path[PATH_SIZE];
  snprintf(path, sizeof(path), "%.500s/%s", folder_path(), name);
  return access(path, F_OK) == 0;
}

static void a_folder_says_whose_it_is(void **state) {
  (void)state;
  open_and_close("s3://b/p=1/:%é \"", "c");
  assert_true(matches("s3://b/p=1/:%é \"", "c"));
  assert_false(matches("s3://b/p=1/:%é \"", NULL));
  assert_false(matches("s3://b/p=1/:%é \"", "d"));
  assert_false(matches("s3://b/p=1/", "c"));
  open_and_close("s3://b/other", NULL);
  assert_true(matches("s3://b/other", NULL));
  assert_false(matches("s3://b/other", ""));
}

static void the_identity_is_as_the_format_has_it(void **state) {
  (void)state;
  char path[PATH_SIZE];
  open_and_close("s3://b/p", NULL);
  sf_buffer text = read_whole_file(path_of(path, "cache/shard_00003/shard.identity.json"));
  assert_string_equal((const char *)text.data, "{\"db_url\":\"s3://b/p\",\"checkpoint_id\":null}");
  sf_buffer_free(&text);
  put_text("cache/shard_00003/shard.identity.json", "{ \"checkpoint_id\": \"c\", \"db_url\": \"s3://b/p\" }\n");
  assert_true(matches("s3://b/p", "c"));
}

static void another_identity_removes_what_was_there(void **state) {
  (void)state;
  open_and_close("s3://b/old", "c");
  put_text("cache/shard_00003/shard.db", "old");
  put_text("cache/shard_00003/vectors.sfv", "old");
  open_and_close("s3://b/old", "c");
  assert_true(has("shard.db"));
  open_and_close("s3://b/old", "d");
  assert_false(has("shard.db"));
  assert_false(has("vectors.sfv"));
  assert_true(has("shard.lock"));
}

/* It may be held before it is there, as long as it is held with what belongs to it. */
static void a_download_that_is_held_stays_until_it_is_let_go(void **state) {
  (void)state;
  static const char *const names[] = {"shard.0123456789abcdef.db", "shard.0123456789abcdef.db.record",
                                      "shard.fedcba9876543210.db"};
  char path[64];
  sf_cache_users *users;
  sf_cache_use use = {0};
  open_and_close("s3://b/old", NULL);
  assert_int_equal(sf_cache_users_create(&users, NULL), SF_OK);
  assert_int_equal(sf_cache_use_file(users, folder_path(), names[0], &use, NULL), SF_OK);
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof(path), "cache/shard_00003/%s", names[i]);
    put_text(path, "old");
  }
  open_and_close("s3://b/new", NULL);
  assert_true(has(names[0]) && has(names[1]));
  assert_false(has(names[2]));
  sf_cache_use_end(&use);
  open_and_close("s3://b/newer", NULL);
  assert_false(has(names[0]) || has(names[1]));
  sf_cache_users_free(users);
}

static void an_identity_that_does_not_hold_is_anothers(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "{",
                                      "[]",
                                      "{\"db_url\": 7, \"checkpoint_id\": \"c\"}",
                                      "{\"checkpoint_id\": \"c\"}",
                                      "{\"db_url\": \"s3://b/p\", \"checkpoint_id\": \"c\"} more",
                                      "{\"db_url\": \"s3://b/p\\u0000\", \"checkpoint_id\": \"c\"}"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    put_text("cache/shard_00003/shard.identity.json", texts[i]);
    put_text("cache/shard_00003/shard.db", "old");
    if (matches("s3://b/p", "c"))
      fail_msg("%s matches", texts[i]);
    open_and_close("s3://b/p", "c");
    assert_false(has("shard.db"));
    assert_true(matches("s3://b/p", "c"));
  }
}

static void leftovers_of_a_killed_writer_are_overwritten(void **state) {
  (void)state;
  put_text("cache/shard_00003/shard.identity.json.tmp",
           "a longer text than what is going to be written into this file, "
           "of which nothing must be left at its end, whatever it says");
  put_text("cache/shard_00003/shard.identity.json", "{");
  open_and_close("s3://b/p", "c");
  assert_true(matches("s3://b/p", "c"));
  assert_false(has("shard.identity.json.tmp"));
}

static void a_folder_is_locked_until_it_is_closed(void **state) {
  (void)state;
  sf_cache_folder folder;
  char path[PATH_SIZE];
  assert_int_equal(take("s3://b/p", "c", NULL, &folder), SF_OK);
  int other = open(path_of(path, "cache/shard_00003/shard.lock"), O_RDWR);
  assert_int_not_equal(flock(other, LOCK_EX | LOCK_NB), 0);
  sf_cache_folder_close(&folder);
  assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
  close(other);
}

static void a_cancelled_locking_gives_the_lock_back(void **state) {
  (void)state;
  sf_cancellation cancellation = {0};
  sf_cache_folder folder;
  sf_cancellation_request(&cancellation);
  assert_int_equal(take("s3://b/p", "c", &cancellation, &folder), SF_CANCELLED_ERROR);
  sf_cache_folder_close(&folder);
  open_and_close("s3://b/p", "c");
}

static void a_folder_that_cannot_be_made_is_named(void **state) {
  (void)state;
  sf_cache_folder folder;
  sf_error error;
  bool found;
  char path[PATH_SIZE];
  put_text("file", "");
  path_of(path, "file/shard_00000");
  assert_int_equal(sf_cache_folder_open(path, true, &found, &folder, &error), SF_ERROR);
  assert_non_null(strstr(error.message, "local cache: "));
  assert_non_null(strstr(error.message, path_of(path, "file")));
}

static void expect_refused(const char *path, sf_code code, const char *reason) {
  sf_cache_folder folder;
  sf_error error;
  bool found;
  assert_int_equal(sf_cache_folder_open(path, true, &found, &folder, &error), code);
  assert_non_null(strstr(error.message, reason));
  assert_int_equal(folder.folder.descriptor, -1);
}

static void a_link_in_place_of_a_shards_folder_is_refused_and_its_target_stays(void **state) {
  (void)state;
  char path[PATH_SIZE];
  char target[PATH_SIZE];
  put_text("elsewhere/precious", "kept");
  put_text("cache/file", "");
  assert_int_equal(symlink(path_of(target, "elsewhere"), path_of(path, "cache/shard_00009")), 0);
  expect_refused(path, SF_ERROR, "shard_00009: expected a folder, found a symbolic link");
  assert_int_equal(access(path_of(target, "elsewhere/precious"), F_OK), 0);
  assert_int_not_equal(access(path_of(target, "elsewhere/shard.lock"), F_OK), 0);
  unlink(path);
}

static void the_root_of_the_cache_may_be_a_link_of_ones_own(void **state) {
  (void)state;
  char path[PATH_SIZE];
  char target[PATH_SIZE];
  sf_cache_folder folder;
  bool found;
  put_text("cache/file", "");
  assert_int_equal(symlink(path_of(target, "cache"), path_of(path, "linked")), 0);
  assert_int_equal(sf_cache_folder_open(path_of(path, "linked/shard_00004"), true, &found, &folder, NULL), SF_OK);
  assert_int_equal(sf_cache_folder_lock(&folder, "s3://b/p", NULL, NULL, NULL), SF_OK);
  sf_cache_folder_close(&folder);
  assert_int_equal(access(path_of(path, "cache/shard_00004/shard.identity.json"), F_OK), 0);
}

static void links_in_place_of_the_folders_files_are_replaced(void **state) {
  (void)state;
  static const char *const names[] = {"shard.identity.json", "shard.identity.json.tmp", "shard.lock", "shard.use"};
  char name[64];
  char path[PATH_SIZE];
  char target[PATH_SIZE];
  open_and_close("s3://b/p", "c");
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    snprintf(name, sizeof(name), "cache/shard_00003/%s", names[i]);
    path_of(path, name);
    put_text("target", "{\"db_url\":\"s3://b/q\",\"checkpoint_id\":null}");
    unlink(path);
    assert_int_equal(symlink(path_of(target, "target"), path), 0);
    assert_false(matches("s3://b/q", NULL));
    open_and_close("s3://b/q", NULL);
    assert_true(matches("s3://b/q", NULL));
    open_and_close("s3://b/p", "c");
    sf_buffer text = read_whole_file(target);
    assert_string_equal((const char *)text.data, "{\"db_url\":\"s3://b/q\",\"checkpoint_id\":null}");
    sf_buffer_free(&text);
  }
}

/* What needs another user's folders is for root to try. */
static void a_folder_that_another_user_could_have_filled_is_refused(void **state) {
  (void)state;
  enum { OTHER = 65534 };
  char root[PATH_SIZE];
  char path[PATH_SIZE];
  if (geteuid() != 0)
    skip();
  put_text("owned/file", "");
  path_of(root, "owned");
  path_of(path, "owned/shard_00000");
  assert_int_equal(chown(root, OTHER, OTHER), 0);
  assert_int_equal(chmod(root, 0777), 0);
  expect_refused(path, SF_CONFIG_VALIDATION_ERROR, "others may write to it");
  assert_non_null(strstr(root, "owned"));
  assert_int_equal(chmod(root, 0775), 0);
  expect_refused(path, SF_CONFIG_VALIDATION_ERROR, "others may write to it");
  assert_int_equal(chmod(root, 0755), 0); /* whose it is alone, in a folder that is ours */
  sf_cache_folder folder;
  bool found;
  assert_int_equal(sf_cache_folder_open(path, true, &found, &folder, NULL), SF_OK);
  sf_cache_folder_close(&folder);
  assert_int_equal(chmod(use_temporary_folder(), 01777), 0); /* as /tmp is */
  expect_refused(path, SF_CONFIG_VALIDATION_ERROR, "lies where anybody may make one");
  assert_int_equal(chown(root, 0, 0), 0);
  assert_int_equal(chown(path, OTHER, OTHER), 0);
  assert_int_equal(chmod(path, 0777), 0);
  expect_refused(path, SF_CONFIG_VALIDATION_ERROR, "others may write to it");
  assert_int_equal(chmod(use_temporary_folder(), 0700), 0);
}

static void a_file_of_another_users_is_not_trusted(void **state) {
  (void)state;
  char path[PATH_SIZE];
  if (geteuid() != 0)
    skip();
  open_and_close("s3://b/p", "c");
  assert_true(matches("s3://b/p", "c"));
  assert_int_equal(chown(path_of(path, "cache/shard_00003/shard.identity.json"), 65534, 65534), 0);
  assert_false(matches("s3://b/p", "c"));
  open_and_close("s3://b/p", "c");
  assert_true(matches("s3://b/p", "c"));
}

static void what_is_made_is_for_its_owner_alone_to_write(void **state) {
  (void)state;
  struct stat status;
  mode_t before = umask(0);
  remove_files(path_of((char[PATH_SIZE]){0}, "cache"));
  open_and_close("s3://b/p", "c");
  umask(before);
  static const char *const names[] = {"cache/shard_00003", "cache/shard_00003/shard.lock",
                                      "cache/shard_00003/shard.identity.json"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char path[PATH_SIZE];
    assert_int_equal(stat(path_of(path, names[i]), &status), 0);
    assert_int_equal(status.st_mode & 0022, 0);
  }
}

static void no_descriptors_left_is_not_anothers_folder(void **state) {
  (void)state;
  sf_cache_folder folder;
  sf_error error;
  bool matching;
  bool found;
  struct rlimit before;
  open_and_close("s3://b/p", "c");
  assert_int_equal(sf_cache_folder_open(folder_path(), false, &found, &folder, NULL), SF_OK);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max});
  sf_code code = sf_cache_folder_matches(&folder, "s3://b/p", "c", &matching, &error);
  sf_code locked = sf_cache_folder_lock(&folder, "s3://b/q", "c", NULL, &error);
  setrlimit(RLIMIT_NOFILE, &before);
  assert_int_equal(code, SF_POOL_EXHAUSTED_ERROR);
  assert_int_equal(locked, SF_POOL_EXHAUSTED_ERROR);
  sf_cache_folder_close(&folder);
  assert_true(matches("s3://b/p", "c"));
}

/* Opens the shard in `root` with the given cache, and says whether its vectors are there. */
static bool opens_shard(const char *root, const char *cache_dir) {
  sf_storage *storage;
  sf_shard_resources *resources;
  sf_shard *shard = NULL;
  if (sf_storage_open(root, NULL, &storage, NULL) != SF_OK || sf_shard_resources_create(&resources, NULL) != SF_OK)
    return false;
  const sf_shard_params params = {.storage = storage,
                                  .resources = resources,
                                  .db_url = "s3://b/shard",
                                  .key = "shard",
                                  .cache_dir = cache_dir,
                                  .dim = 2,
                                  .metric = SF_METRIC_L2};
  bool opened = sf_shard_open(&params, NULL, &shard, NULL) == SF_OK && shard->num_rows == 3000 &&
                shard->segments[0].vectors[2999 * 2] == 2999;
  sf_shard_close(shard);
  sf_shard_resources_free(resources);
  sf_storage_close(storage);
  return opened;
}

static void put_large_shard(void) {
  static int64_t row_ids[3000];
  static float vectors[3000 * 2];
  for (int i = 0; i < 3000; i++) {
    row_ids[i] = i + 1;
    vectors[i * 2] = (float)i;
  }
  const shard_file file = {.dim = 2,
                           .chunk_size = 1024,
                           .page_size = 4096,
                           .declaration = DECLARE("embedding float[2] distance_metric=l2"),
                           .row_ids = row_ids,
                           .vectors = vectors,
                           .num_rows = 3000};
  sf_buffer bytes = shard_of(&file);
  put_file("root/shard/shard.db", bytes.data, bytes.length);
  sf_buffer_free(&bytes);
}

/* The processes wait for a pipe to close, so that they begin together. */
static void processes_that_make_the_same_file_at_once_all_succeed(void **state) {
  (void)state;
  enum { NUM_PROCESSES = 4, NUM_ROUNDS = 5 };
  char root[PATH_SIZE];
  char cache_dir[PATH_SIZE];
  path_of(root, "root");
  path_of(cache_dir, "shared/shard_00000");
  put_large_shard();
  for (int round = 0; round < NUM_ROUNDS; round++) {
    remove_files(cache_dir);
    int start[2];
    pid_t processes[NUM_PROCESSES];
    assert_int_equal(pipe(start), 0);
    for (int i = 0; i < NUM_PROCESSES; i++) {
      processes[i] = fork();
      assert_true(processes[i] >= 0);
      if (processes[i] == 0) {
        char byte;
        close(start[1]);
        ssize_t got = read(start[0], &byte, 1);
        _exit(got == 0 && opens_shard(root, cache_dir) ? 0 : 1);
      }
    }
    close(start[0]);
    close(start[1]);
    for (int i = 0; i < NUM_PROCESSES; i++) {
      int status = -1;
      assert_int_equal(waitpid(processes[i], &status, 0), processes[i]);
      assert_int_equal(status, 0);
    }
    assert_true(opens_shard(root, cache_dir));
  }
}

static void scratch_folders_of_the_dead_go_when_another_is_made(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_scratch_folder living = {.path = NULL};
  sf_scratch_folder other = {.path = NULL};
  put_text("cache/shard_00003.scratch-dead/shard.db", "rest");
  put_text("cache/shard_00007.scratch-file", "rest");
  assert_int_equal(sf_scratch_folder_make(folder_path(), &living, NULL), SF_OK);
  assert_int_not_equal(access(path_of(path, "cache/shard_00003.scratch-dead"), F_OK), 0);
  assert_int_not_equal(access(path_of(path, "cache/shard_00007.scratch-file"), F_OK), 0);
  assert_int_equal(sf_scratch_folder_make(folder_path(), &other, NULL), SF_OK);
  assert_string_not_equal(living.path, other.path);
  assert_int_equal(access(living.path, F_OK), 0);
  char *left = sf_strdup(living.path);
  sf_scratch_folder_remove(&living);
  assert_int_not_equal(access(left, F_OK), 0);
  assert_int_equal(access(other.path, F_OK), 0);
  sf_scratch_folder_remove(&other);
  sf_scratch_folder_remove(&other);
  free(left);
}

static void links_beside_the_cache_are_not_followed_when_rests_are_removed(void **state) {
  (void)state;
  char path[PATH_SIZE];
  char target[PATH_SIZE];
  put_text("elsewhere/precious", "kept");
  put_text("cache/shard_00003.scratch-dead/file", "rest");
  assert_int_equal(symlink(path_of(target, "elsewhere"), path_of(path, "cache/shard_00005.scratch-link")), 0);
  assert_int_equal(symlink(target, path_of(path, "cache/shard_00003.scratch-dead/link")), 0);
  sf_scratch_remove_leftovers(folder_path());
  assert_int_not_equal(access(path_of(path, "cache/shard_00003.scratch-dead"), F_OK), 0);
  struct stat status;
  assert_int_not_equal(lstat(path_of(path, "cache/shard_00005.scratch-link"), &status), 0);
  assert_int_equal(access(path_of(path, "elsewhere/precious"), F_OK), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_says_whose_it_is),
      cmocka_unit_test(the_identity_is_as_the_format_has_it),
      cmocka_unit_test(another_identity_removes_what_was_there),
      cmocka_unit_test(a_download_that_is_held_stays_until_it_is_let_go),
      cmocka_unit_test(an_identity_that_does_not_hold_is_anothers),
      cmocka_unit_test(leftovers_of_a_killed_writer_are_overwritten),
      cmocka_unit_test(a_folder_is_locked_until_it_is_closed),
      cmocka_unit_test(a_cancelled_locking_gives_the_lock_back),
      cmocka_unit_test(a_folder_that_cannot_be_made_is_named),
      cmocka_unit_test(a_link_in_place_of_a_shards_folder_is_refused_and_its_target_stays),
      cmocka_unit_test(the_root_of_the_cache_may_be_a_link_of_ones_own),
      cmocka_unit_test(links_in_place_of_the_folders_files_are_replaced),
      cmocka_unit_test(a_folder_that_another_user_could_have_filled_is_refused),
      cmocka_unit_test(a_file_of_another_users_is_not_trusted),
      cmocka_unit_test(what_is_made_is_for_its_owner_alone_to_write),
      cmocka_unit_test(no_descriptors_left_is_not_anothers_folder),
      cmocka_unit_test(links_beside_the_cache_are_not_followed_when_rests_are_removed),
      cmocka_unit_test(processes_that_make_the_same_file_at_once_all_succeed),
      cmocka_unit_test(scratch_folders_of_the_dead_go_when_another_is_made),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
