#include "cmocka_includes.h"
#include "storage/storage.h"
#include "temporary_folder.h"

#include <pthread.h>
#include <stdlib.h>

static sf_storage *open_root(void) {
  char root[PATH_SIZE];
  sf_storage *storage = NULL;
  put_text("root/_CURRENT", "pointer");
  assert_int_equal(sf_storage_open(path_of(root, "root"), NULL, &storage, NULL), SF_OK);
  return storage;
}

static void assert_root(const char *root, const char *expected) {
  sf_storage *storage = NULL;
  sf_error error = {0};
  if (sf_storage_open(root, NULL, &storage, &error) != SF_OK)
    fail_msg("%s: %s", root, error.message);
  assert_string_equal(storage->root, expected);
  sf_storage_close(storage);
}

static void a_root_is_a_path_or_a_url(void **state) {
  (void)state;
  assert_root("/data/a%20b/", "/data/a%20b");
  assert_root("relative//", "relative");
  assert_root("/", "/");
  assert_root("file:///data/a%20b%3D/", "/data/a b=");
  assert_root("file://localhost/data", "/data");
  assert_root("file:///", "/");
}

static void a_tilde_is_the_home_folder(void **state) {
  (void)state;
  sf_storage *storage = NULL;
  sf_error error;
  assert_int_equal(setenv("HOME", "/home/me", 1), 0);
  assert_root("~", "/home/me");
  assert_root("~/a b/", "/home/me/a b");
  assert_root("~someone/data", "~someone/data");
  assert_root("a/~/b", "a/~/b");
  assert_root("file:///~/data", "/~/data");
  assert_int_equal(sf_storage_open("file://~/data", NULL, &storage, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(setenv("HOME", "here", 1), 0);
  assert_int_equal(sf_storage_open("~/data", NULL, &storage, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, "snapshot root ~/data: expected HOME to name the home folder, found here");
  assert_int_equal(unsetenv("HOME"), 0);
  assert_int_equal(sf_storage_open("~", NULL, &storage, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_null(storage);
}

static void a_root_that_names_nothing_is_refused(void **state) {
  (void)state;
  static const char *const roots[] = {NULL,           "",           "file://",     "file://host/data",
                                      "file:///a%2",  "file:///%0", "file:///%00", "file:///a%zz",
                                      "gopher://data"};
  for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
    sf_storage *storage = NULL;
    sf_error error;
    assert_int_equal(sf_storage_open(roots[i], NULL, &storage, &error), SF_CONFIG_VALIDATION_ERROR);
    assert_int_equal(strncmp(error.message, "snapshot root", 13), 0);
    assert_int_equal(sf_storage_open(roots[i], NULL, &storage, NULL), SF_CONFIG_VALIDATION_ERROR);
    assert_null(storage);
  }
  sf_storage_close(NULL);
}

static void an_object_is_appended_whole(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  sf_buffer contents = {0};
  bool found = false;
  assert_true(sf_buffer_append_text(&contents, "before "));
  assert_int_equal(sf_storage_get(storage, "_CURRENT", 7, NULL, &found, &contents, NULL), SF_OK);
  assert_true(found);
  assert_string_equal((const char *)contents.data, "before pointer");
  sf_error error;
  assert_int_equal(sf_storage_get(storage, "_CURRENT", 6, NULL, &found, &contents, &error), SF_ERROR);
  assert_non_null(strstr(error.message, "root/_CURRENT: expected at most 6 bytes, found 7"));
  sf_buffer_free(&contents);
  sf_storage_close(storage);
}

static void an_empty_object_is_found(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  sf_buffer contents = {0};
  bool found = false;
  put_text("root/empty", "");
  assert_int_equal(sf_storage_get(storage, "empty", 0, NULL, &found, &contents, NULL), SF_OK);
  assert_true(found);
  assert_int_equal(contents.length, 0);
  assert_string_equal((const char *)contents.data, "");
  sf_buffer_free(&contents);
  sf_storage_close(storage);
}

static void a_range_is_read_exactly(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  char bytes[8] = {0};
  bool found = false;
  sf_error error;
  assert_int_equal(sf_storage_get_range(storage, "_CURRENT", 2, 3, NULL, &found, bytes, NULL), SF_OK);
  assert_true(found);
  assert_string_equal(bytes, "int");
  assert_int_equal(sf_storage_get_range(storage, "_CURRENT", 7, 0, NULL, &found, bytes, NULL), SF_OK);
  static const uint64_t offsets[] = {5, 8, 1 << 20, (uint64_t)INT64_MAX - 2};
  for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
    assert_int_equal(sf_storage_get_range(storage, "_CURRENT", offsets[i], 3, NULL, &found, bytes, &error), SF_ERROR);
    assert_non_null(strstr(error.message, "root/_CURRENT"));
  }
  assert_int_equal(sf_storage_get_range(storage, "_CURRENT", UINT64_MAX, 3, NULL, &found, bytes, &error), SF_ERROR);
  sf_storage_close(storage);
}

static void what_is_not_there_is_no_failure(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  char long_name[5000];
  memset(long_name, 'x', sizeof(long_name) - 1);
  long_name[sizeof(long_name) - 1] = '\0';
  const char *const keys[] = {"missing", "missing/too", "_CURRENT/below", long_name};
  for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
    sf_buffer contents = {0};
    sf_object_info info;
    char byte;
    char *path = NULL;
    bool found = true;
    assert_int_equal(sf_storage_get(storage, keys[i], 100, NULL, &found, &contents, NULL), SF_OK);
    assert_false(found);
    found = true;
    assert_int_equal(sf_storage_get_range(storage, keys[i], 0, 1, NULL, &found, &byte, NULL), SF_OK);
    assert_false(found);
    found = true;
    assert_int_equal(sf_storage_head(storage, keys[i], NULL, &found, &info, NULL), SF_OK);
    assert_false(found);
    found = true;
    assert_int_equal(sf_storage_local_file(storage, keys[i], "/nowhere", NULL, &found, &path, NULL), SF_OK);
    assert_false(found);
    assert_null(path);
    sf_buffer_free(&contents);
  }
  sf_storage_close(storage);
}

static void what_is_no_regular_file_cannot_be_read(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  char path[PATH_SIZE];
  mkdir(path_of(path, "root/folder"), 0777);
  assert_int_equal(mkfifo(path_of(path, "root/pipe"), 0666), 0); /* and nobody waits for a writer */
  static const char *const keys[] = {"folder", "pipe"};
  for (size_t i = 0; i < 2; i++) {
    sf_buffer contents = {0};
    sf_object_info info;
    sf_error error;
    bool found = true;
    assert_int_equal(sf_storage_get(storage, keys[i], 100, NULL, &found, &contents, &error), SF_ERROR);
    assert_non_null(strstr(error.message, "is not a regular file"));
    assert_int_equal(sf_storage_head(storage, keys[i], NULL, &found, &info, NULL), SF_OK);
    assert_false(found);
  }
  sf_storage_close(storage);
}

static void a_key_must_not_lead_out_of_the_root(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  put_text("secret", "secret");
  static const char *const keys[] = {"../secret", "a/../../secret", "/etc/passwd", "..", "a/.."};
  for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
    sf_buffer contents = {0};
    sf_error error;
    bool found = false;
    assert_int_equal(sf_storage_get(storage, keys[i], 100, NULL, &found, &contents, &error), SF_ERROR);
    assert_non_null(strstr(error.message, "leads out of the snapshot"));
    assert_false(found);
  }
  sf_storage_close(storage);
}

static void keys_are_names_as_they_stand(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  static const char key[] = "run_id=a:b/d b=1%20?#\\é/..x";
  char *name = sf_format("root/%s", key);
  sf_object_info info;
  bool found = false;
  put_text(name, "12345");
  assert_int_equal(sf_storage_head(storage, key, NULL, &found, &info, NULL), SF_OK);
  assert_true(found);
  assert_int_equal(info.size, 5);
  char *path = NULL;
  assert_int_equal(sf_storage_local_file(storage, key, "/nowhere", NULL, &found, &path, NULL), SF_OK);
  assert_true(found);
  assert_int_equal(access(path, R_OK), 0);
  free(path);
  free(name);
  sf_storage_close(storage);
}

typedef struct listing {
  char text[256];
  int most;
} listing;

static bool add_name(const char *name, void *user_data) {
  listing *list = user_data;
  size_t length = strlen(list->text);
  snprintf(list->text + length, sizeof(list->text) - length, "%s ", name);
  return --list->most > 0;
}

static void a_listing_is_in_order_and_marks_folders(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  put_text("root/list/b/x", "");
  put_text("root/list/a", "");
  put_text("root/list/B", "");
  put_text("root/list/.hidden", "");
  char path[PATH_SIZE];
  assert_int_equal(symlink("b", path_of(path, "root/list/link")), 0);
  listing all = {.most = 100};
  assert_int_equal(sf_storage_list(storage, "list/", NULL, add_name, &all, NULL), SF_OK);
  assert_string_equal(all.text, ".hidden B a b/ link/ ");
  listing two = {.most = 2};
  assert_int_equal(sf_storage_list(storage, "list/", NULL, add_name, &two, NULL), SF_OK);
  assert_string_equal(two.text, ".hidden B ");
  listing none = {.most = 100};
  assert_int_equal(sf_storage_list(storage, "missing/", NULL, add_name, &none, NULL), SF_OK);
  assert_string_equal(none.text, "");
  sf_storage_close(storage);
}

static void a_cancelled_read_stops(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  sf_cancellation cancellation = {0};
  sf_buffer contents = {0};
  listing list = {.most = 1};
  bool found;
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_storage_get(storage, "_CURRENT", 100, &cancellation, &found, &contents, NULL),
                   SF_CANCELLED_ERROR);
  assert_int_equal(contents.length, 0);
  assert_int_equal(sf_storage_list(storage, "", &cancellation, add_name, &list, NULL), SF_CANCELLED_ERROR);
  sf_buffer_free(&contents);
  sf_storage_close(storage);
}

/* ------------------------------------------------------------------------------------------------------------ Writing */

static bool put(sf_storage *storage, const char *key, const char *text, const sf_put_condition *condition) {
  bool stored = false;
  sf_error error;
  if (sf_storage_put(storage, key, text, strlen(text), condition, NULL, &stored, &error) != SF_OK)
    fail_msg("%s: %s", key, error.message);
  return stored;
}

static void assert_object(sf_storage *storage, const char *key, const char *expected, sf_object_info *info) {
  sf_buffer contents = {0};
  bool found = false;
  assert_int_equal(sf_storage_get_with_info(storage, key, 1 << 20, NULL, &found, &contents, info, NULL), SF_OK);
  assert_int_equal(found, expected != NULL);
  if (found)
    assert_string_equal((const char *)contents.data, expected);
  sf_buffer_free(&contents);
}

static void assert_listing(sf_storage *storage, const char *prefix, const char *expected) {
  listing all = {.most = 100};
  assert_int_equal(sf_storage_list(storage, prefix, NULL, add_name, &all, NULL), SF_OK);
  assert_string_equal(all.text, expected);
}

static void an_object_is_put_whole_and_nothing_beside_it(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  sf_object_info info;
  assert_true(put(storage, "put/a=b:c/d e/object", "first", NULL));
  assert_object(storage, "put/a=b:c/d e/object", "first", &info);
  assert_int_equal(info.size, 5);
  assert_true(put(storage, "put/a=b:c/d e/object", "", NULL));
  assert_object(storage, "put/a=b:c/d e/object", "", NULL);
  assert_listing(storage, "put/a=b:c/d e/", "object ");
  assert_int_equal(sf_storage_put(storage, "put/object", "x", 1, NULL, NULL, NULL, NULL), SF_OK);
  assert_listing(storage, "put/", "a=b:c/ object ");
  sf_storage_close(storage);
}

static void what_has_no_name_is_not_put(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  put_text("root/no/file", "");
  const char *const keys[] = {"", "no/", "../x", "no", "no/file/below"};
  for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
    sf_error error;
    assert_int_equal(sf_storage_put(storage, keys[i], "x", 1, NULL, NULL, NULL, &error), SF_ERROR);
    assert_int_not_equal(strlen(error.message), 0);
  }
  assert_listing(storage, "no/", "file ");
  sf_storage_close(storage);
}

static void an_object_is_put_only_where_there_is_none(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  const sf_put_condition absent = {.if_none_match = true};
  assert_true(put(storage, "absent/object", "one", &absent));
  assert_false(put(storage, "absent/object", "two", &absent));
  assert_object(storage, "absent/object", "one", NULL);
  assert_listing(storage, "absent/", "object ");
  sf_storage_close(storage);
}

static void an_object_is_replaced_only_while_it_is_the_one_that_was_read(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  sf_object_info info;
  sf_put_condition same = {.if_match = info.etag};
  strcpy(info.etag, "\"anything\"");
  assert_false(put(storage, "match/object", "x", &same));
  put_text("root/match/object", "one");
  assert_object(storage, "match/object", "one", &info);
  assert_true(put(storage, "match/object", "two", &same));
  assert_false(put(storage, "match/object", "three", &same));
  assert_object(storage, "match/object", "two", NULL);
  assert_listing(storage, "match/", "object ");
  sf_storage_close(storage);
}

#define WRITERS 8

typedef struct writer {
  sf_storage *storage;
  sf_put_condition condition;
  bool stored;
} writer;

static void *write_once(void *argument) {
  writer *one = argument;
  char text[32];
  snprintf(text, sizeof(text), "writer %p", argument);
  one->stored = put(one->storage, "race/object", text, &one->condition);
  return NULL;
}

static unsigned race(sf_storage *storage, sf_put_condition condition) {
  pthread_t threads[WRITERS];
  writer writers[WRITERS];
  unsigned winners = 0;
  for (size_t i = 0; i < WRITERS; i++) {
    writers[i] = (writer){.storage = storage, .condition = condition};
    assert_int_equal(pthread_create(&threads[i], NULL, write_once, &writers[i]), 0);
  }
  for (size_t i = 0; i < WRITERS; i++) {
    pthread_join(threads[i], NULL);
    winners += writers[i].stored;
  }
  return winners;
}

static void of_several_writers_with_one_condition_one_stores(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  sf_object_info info;
  sf_buffer contents = {0};
  bool found;
  assert_int_equal(race(storage, (sf_put_condition){.if_none_match = true}), 1);
  for (int i = 0; i < 20; i++) {
    contents.length = 0;
    assert_int_equal(sf_storage_get_with_info(storage, "race/object", 100, NULL, &found, &contents, &info, NULL),
                     SF_OK);
    assert_true(put(storage, "race/object", "before", NULL));
    assert_int_equal(race(storage, (sf_put_condition){.if_match = info.etag}), 0);
    assert_object(storage, "race/object", "before", &info);
    assert_int_equal(race(storage, (sf_put_condition){.if_match = info.etag}), 1);
  }
  assert_listing(storage, "race/", "object ");
  sf_buffer_free(&contents);
  sf_storage_close(storage);
}

static void a_file_is_put(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  char path[PATH_SIZE];
  size_t length = (size_t)3 << 20;
  uint8_t *bytes = sf_calloc(length, 1);
  for (size_t i = 0; i < length; i++)
    bytes[i] = (uint8_t)(i * 2654435761U >> 13);
  put_file("source", bytes, length);
  assert_int_equal(sf_storage_put_file(storage, "from/file", path_of(path, "source"), NULL, NULL), SF_OK);
  sf_buffer copy = read_whole_file(path_of(path, "root/from/file"));
  assert_int_equal(copy.length, length);
  assert_memory_equal(copy.data, bytes, length);
  sf_buffer_free(&copy);
  free(bytes);
  sf_cancellation cancellation = {0};
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_storage_put_file(storage, "from/cancelled", path_of(path, "source"), &cancellation, NULL),
                   SF_CANCELLED_ERROR);
  assert_int_equal(sf_storage_put_file(storage, "from/missing", path_of(path, "no source"), NULL, NULL), SF_ERROR);
  assert_int_equal(sf_storage_put_file(storage, "from/folder", path_of(path, "root"), NULL, NULL), SF_ERROR);
  assert_listing(storage, "from/", "file ");
  sf_storage_close(storage);
}

static void an_object_is_removed_and_may_be_missing(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  put_text("root/remove/a", "");
  put_text("root/remove/b", "");
  assert_int_equal(sf_storage_remove(storage, "remove/a", NULL, NULL), SF_OK);
  assert_int_equal(sf_storage_remove(storage, "remove/a", NULL, NULL), SF_OK);
  assert_int_equal(sf_storage_remove(storage, "nowhere/a", NULL, NULL), SF_OK);
  assert_int_equal(sf_storage_remove(storage, "remove", NULL, NULL), SF_OK);
  assert_int_equal(sf_storage_remove(storage, "remove/", NULL, NULL), SF_OK);
  assert_listing(storage, "remove/", "b ");
  assert_int_equal(sf_storage_remove(storage, "remove/b", NULL, NULL), SF_OK);
  assert_int_equal(sf_storage_remove(storage, "remove/", NULL, NULL), SF_OK);
  char path[PATH_SIZE];
  assert_int_not_equal(access(path_of(path, "root/remove"), F_OK), 0);
  assert_int_equal(sf_storage_remove(storage, "", NULL, NULL), SF_ERROR);
  assert_int_equal(sf_storage_remove(storage, "../x", NULL, NULL), SF_ERROR);
  sf_storage_close(storage);
}

static void a_folder_is_removed_with_all_below_it_but_not_what_links_lead_to(void **state) {
  (void)state;
  sf_storage *storage = open_root();
  char path[PATH_SIZE];
  put_text("root/tree/a/b/c", "");
  put_text("root/tree/a/d", "");
  put_text("root/tree/e", "");
  put_text("root/treetop", "stays");
  put_text("elsewhere/file", "stays");
  assert_int_equal(symlink("../../elsewhere", path_of(path, "root/tree/link")), 0);
  assert_int_equal(sf_storage_remove_all(storage, "tree", NULL, NULL), SF_ERROR);
  assert_int_equal(sf_storage_remove_all(storage, "tree/", NULL, NULL), SF_OK);
  assert_int_not_equal(access(path_of(path, "root/tree"), F_OK), 0);
  assert_int_equal(access(path_of(path, "elsewhere/file"), F_OK), 0);
  assert_object(storage, "treetop", "stays", NULL);
  assert_int_equal(sf_storage_remove_all(storage, "tree/", NULL, NULL), SF_OK);
  sf_storage_close(storage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_root_is_a_path_or_a_url),
      cmocka_unit_test(a_tilde_is_the_home_folder),
      cmocka_unit_test(a_root_that_names_nothing_is_refused),
      cmocka_unit_test(an_object_is_appended_whole),
      cmocka_unit_test(an_empty_object_is_found),
      cmocka_unit_test(a_range_is_read_exactly),
      cmocka_unit_test(what_is_not_there_is_no_failure),
      cmocka_unit_test(what_is_no_regular_file_cannot_be_read),
      cmocka_unit_test(a_key_must_not_lead_out_of_the_root),
      cmocka_unit_test(keys_are_names_as_they_stand),
      cmocka_unit_test(a_listing_is_in_order_and_marks_folders),
      cmocka_unit_test(a_cancelled_read_stops),
      cmocka_unit_test(an_object_is_put_whole_and_nothing_beside_it),
      cmocka_unit_test(what_has_no_name_is_not_put),
      cmocka_unit_test(an_object_is_put_only_where_there_is_none),
      cmocka_unit_test(an_object_is_replaced_only_while_it_is_the_one_that_was_read),
      cmocka_unit_test(of_several_writers_with_one_condition_one_stores),
      cmocka_unit_test(a_file_is_put),
      cmocka_unit_test(an_object_is_removed_and_may_be_missing),
      cmocka_unit_test(a_folder_is_removed_with_all_below_it_but_not_what_links_lead_to),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
