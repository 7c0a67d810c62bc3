#include "cache/cached_file.h"

#include "cmocka_includes.h"
#include "temporary_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of one line, which is usable where it says what is wanted; notes what was asked of it. */
struct line {
  sf_cached_file file;
  const char *wanted;
  const char *made;
  size_t num_maps;
  size_t num_makes;
  const char *other_made; /* what another process makes while this one waits for the lock; NULL: nothing */
};

static sf_code map_line(void *context, const sf_folder *folder, bool *usable, sf_error *error) {
  struct line *line = context;
  char text[64];
  size_t length;
  bool found;
  if (++line->num_maps == 2 && line->other_made != NULL)
    assert_int_equal(sf_folder_put_text(folder, line->file.name, line->other_made, error), SF_OK);
  SF_TRY(sf_folder_get_text(folder, line->file.name, text, sizeof(text), &length, &found, error));
  *usable = found && length == strlen(line->wanted) && memcmp(text, line->wanted, length) == 0;
  return SF_OK;
}

static sf_code make_line(void *context, const sf_folder *folder, const sf_cancellation *cancellation, sf_error *error) {
  struct line *line = context;
  (void)cancellation;
  line->num_makes++;
  return sf_folder_put_text(folder, line->file.name, line->made, error);
}

static char cache_dir[PATH_SIZE];

/* Each test has a folder of its own, named by the text. */
static void set_line(struct line *line, const char *text) {
  char name[64];
  snprintf(name, sizeof(name), "%s/shard_00001", text);
  *line = (struct line){.file = {.place = {.cache_dir = path_of(cache_dir, name), .db_url = "s3://b/p"},
                                 .name = "line.txt",
                                 .context = line,
                                 .map = map_line,
                                 .make = make_line},
                        .wanted = text,
                        .made = text};
}

static sf_code open_line(struct line *line, sf_error *error) {
  line->num_maps = line->num_makes = 0;
  return sf_cached_file_open(&line->file, NULL, error);
}

static void a_file_is_made_once_and_mapped_from_then_on(void **state) {
  (void)state;
  struct line line;
  bool usable = true;
  set_line(&line, "one");
  assert_int_equal(sf_cached_file_map(&line.file, &usable, NULL), SF_OK);
  assert_false(usable);
  assert_int_equal(open_line(&line, NULL), SF_OK);
  assert_int_equal(line.num_makes, 1);
  assert_int_equal(open_line(&line, NULL), SF_OK);
  assert_int_equal(line.num_makes, 0);
  assert_int_equal(line.num_maps, 1);
  assert_int_equal(sf_cached_file_map(&line.file, &usable, NULL), SF_OK);
  assert_true(usable);
}

static void a_file_that_another_process_made_meanwhile_is_not_made_again(void **state) {
  (void)state;
  struct line line;
  set_line(&line, "two");
  assert_int_equal(open_line(&line, NULL), SF_OK); /* the folder is this shard's from here on */
  line.wanted = line.other_made = "three";
  assert_int_equal(open_line(&line, NULL), SF_OK);
  assert_int_equal(line.num_makes, 0);
  assert_int_equal(line.num_maps, 2);
}

static void a_file_of_another_shard_is_never_mapped(void **state) {
  (void)state;
  struct line line;
  set_line(&line, "four");
  assert_int_equal(open_line(&line, NULL), SF_OK);
  line.file.place.checkpoint_id = "newer";
  assert_int_equal(open_line(&line, NULL), SF_OK);
  assert_int_equal(line.num_makes, 1);
}

static void a_file_that_does_not_hold_what_was_written_is_a_failure(void **state) {
  (void)state;
  struct line line;
  sf_error error;
  set_line(&line, "five");
  line.made = "something else";
  assert_int_equal(open_line(&line, &error), SF_ERROR);
  assert_non_null(strstr(error.message, "line.txt does not hold what was just written to it"));
}

static void a_cancelled_caller_makes_nothing(void **state) {
  (void)state;
  struct line line;
  sf_cancellation cancellation = {0};
  sf_cancellation_request(&cancellation);
  set_line(&line, "six");
  assert_int_equal(sf_cached_file_open(&line.file, &cancellation, NULL), SF_CANCELLED_ERROR);
  assert_int_equal(line.num_makes, 0);
}

static bool has_file(const char *folder, const char *name) {
  char path[PATH_SIZE + 64];
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  return access(path, F_OK) == 0;
}

/* Whose time of modification is `seconds` after 1970. */
static void make_file(struct line *line, const char *name, time_t seconds) {
  char path[PATH_SIZE + 64];
  const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
  line->file.name = name;
  assert_int_equal(open_line(line, NULL), SF_OK);
  snprintf(path, sizeof(path), "%s/%s", cache_dir, name);
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void the_oldest_files_of_a_kind_make_room_for_another(void **state) {
  (void)state;
  struct line line;
  set_line(&line, "seven");
  make_file(&line, "1.other", 1);
  line.file.suffix = ".line";
  make_file(&line, "2.line", 20);
  make_file(&line, "3.line", 10);
  make_file(&line, "4.line", 40);
  make_file(&line, "5.line", 30);
  line.file.max_files = 3;
  make_file(&line, "6.line", 50);
  static const char *const names[] = {"1.other", "2.line", "3.line", "4.line", "5.line", "6.line"};
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(has_file(cache_dir, names[i]), i != 1 && i != 2);
  make_file(&line, "4.line", 60); /* is there */
  assert_true(has_file(cache_dir, "5.line"));
  make_file(&line, "7.line", 70);
  assert_false(has_file(cache_dir, "5.line"));
  assert_true(has_file(cache_dir, "4.line"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_is_made_once_and_mapped_from_then_on),
      cmocka_unit_test(a_file_that_another_process_made_meanwhile_is_not_made_again),
      cmocka_unit_test(a_file_of_another_shard_is_never_mapped),
      cmocka_unit_test(a_file_that_does_not_hold_what_was_written_is_a_failure),
      cmocka_unit_test(a_cancelled_caller_makes_nothing),
      cmocka_unit_test(the_oldest_files_of_a_kind_make_room_for_another),
  };
  return cmocka_run_group_tests_name("cached_file", tests, NULL, NULL);
}
