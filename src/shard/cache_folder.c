#include "shard/cache_folder.h"

#include "base/json.h"
#include "base/json_writer.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDENTITY_NAME "shard.identity.json"
#define IDENTITY_MAX_BYTES 65536

static bool member_is(const json_t *identity, const char *name, const char *expected) {
  const char *found = NULL;
  if (sf_json_string(identity, name, false, IDENTITY_NAME, SF_ERROR, &found, NULL) != SF_OK)
    return false;
  if (found == NULL || expected == NULL)
    return found == NULL && expected == NULL;
  return strcmp(found, expected) == 0;
}

bool sf_cache_folder_matches(const char *path, const char *db_url, const char *checkpoint_id) {
  char *identity_path = sf_format("%s/" IDENTITY_NAME, path);
  FILE *file = identity_path == NULL ? NULL : fopen(identity_path, "rbe");
  free(identity_path);
  if (file == NULL)
    return false;
  char text[IDENTITY_MAX_BYTES];
  size_t length = fread(text, 1, sizeof(text) - 1, file);
  bool readable = !ferror(file);
  fclose(file);
  text[length] = '\0';
  sf_json identity = {0};
  bool matches =
      readable &&
      sf_json_parse_object(text, length, SF_JSON_STRICT, IDENTITY_NAME, SF_ERROR, &identity, NULL) == SF_OK &&
      member_is(identity.root, "db_url", db_url) && member_is(identity.root, "checkpoint_id", checkpoint_id);
  sf_json_free(&identity);
  return matches;
}

/* Files that are being written or read hold a lock of flock's: such a file is left alone. */
static bool is_in_use(const char *path) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return false;
  bool in_use = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(descriptor);
  return in_use;
}

/* Removes the files of a shard that was here before. Subfolders go too, one level deep and empty: nothing makes others. */
static void remove_contents(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL)
    return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (strcmp(entry->d_name, SF_CACHE_LOCK_NAME) == 0 || strcmp(entry->d_name, SF_CACHE_USE_NAME) == 0 ||
        strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    char *child = sf_format("%s/%s", path, entry->d_name);
    if (child != NULL && !is_in_use(child))
      remove(child);
    free(child);
  }
  closedir(folder);
}

static void remove_file(const char *folder, const char *name) {
  char *path = sf_format("%s/%s", folder, name);
  if (path != NULL)
    unlink(path);
  free(path);
}

void sf_remove_folder(const char *path) {
  remove_file(path, IDENTITY_NAME);
  remove_contents(path);
  remove_file(path, SF_CACHE_LOCK_NAME);
  remove_file(path, SF_CACHE_USE_NAME);
  rmdir(path);
}

static sf_code make_identity(const char *db_url, const char *checkpoint_id, sf_buffer *text, sf_error *error) {
  sf_json_writer writer;
  sf_json_writer_begin(&writer);
  sf_json_write_text(&writer, "db_url", db_url);
  sf_json_write_text(&writer, "checkpoint_id", checkpoint_id);
  return sf_json_writer_end(&writer, IDENTITY_NAME, text, error);
}

static sf_code write_identity(const char *path, const char *db_url, const char *checkpoint_id, sf_error *error) {
  sf_buffer text = {0};
  char *final_path = sf_format("%s/" IDENTITY_NAME, path);
  char *temporary_path = sf_format("%s/" IDENTITY_NAME ".tmp", path);
  sf_code code = make_identity(db_url, checkpoint_id, &text, error);
  int descriptor = -1;
  if (code == SF_OK && (final_path == NULL || temporary_path == NULL))
    code = sf_fail_memory(error, IDENTITY_NAME);
  else if (code == SF_OK && (descriptor = open(temporary_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
    code = sf_fail_errno(error, "make", temporary_path, errno);
  if (code == SF_OK)
    code = sf_write_at(descriptor, temporary_path, text.data, text.length, 0, error);
  if (code == SF_OK)
    code = sf_publish_file(descriptor, temporary_path, final_path, error);
  if (descriptor >= 0)
    close(descriptor);
  free(temporary_path);
  free(final_path);
  sf_buffer_free(&text);
  return code;
}

static sf_code take_lock(const char *path, int *lock, sf_error *error) {
  char *lock_path = sf_format("%s/" SF_CACHE_LOCK_NAME, path);
  if (lock_path == NULL)
    return sf_fail_memory(error, SF_CACHE_LOCK_NAME);
  sf_code code = SF_OK;
  int descriptor = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0)
    code = sf_fail_errno(error, "make", lock_path, errno);
  while (code == SF_OK && flock(descriptor, LOCK_EX) != 0)
    if (errno != EINTR)
      code = sf_fail_errno(error, "lock", lock_path, errno);
  if (code == SF_OK)
    *lock = descriptor;
  else if (descriptor >= 0)
    close(descriptor);
  free(lock_path);
  return code;
}

sf_code sf_cache_file_hold(const char *path, int *descriptor, bool *held, sf_error *error) {
  struct stat status;
  *held = false;
  int opened = open(path, O_RDONLY | O_CLOEXEC);
  if (opened < 0)
    return errno == ENOENT ? SF_OK : sf_fail_errno(error, "open", path, errno);
  while (flock(opened, LOCK_SH) != 0) {
    if (errno == EINTR)
      continue;
    sf_code code = sf_fail_errno(error, "lock", path, errno);
    close(opened);
    return code;
  }
  /* Whoever had the lock before us may have removed the file. */
  *held = fstat(opened, &status) == 0 && status.st_nlink > 0;
  if (*held)
    *descriptor = opened;
  else
    close(opened);
  return SF_OK;
}

/* Unlocked by name, for closing gives the lock back only with the last copy of the descriptor: a child that was forked in
 * between has one. */
static void give_lock_back(int lock) {
  flock(lock, LOCK_UN);
  close(lock);
}

/* Says that it is about the cache: nobody knows its files by their names. */
static sf_code explain(sf_code code, sf_error *error) {
  return code == SF_ERROR ? sf_error_prefix(error, "local cache") : code;
}

sf_code sf_cache_folder_open(const char *path, const char *db_url, const char *checkpoint_id,
                             const sf_cancellation *cancellation, sf_cache_folder *folder, sf_error *error) {
  sf_code code = sf_make_folders(path, error);
  if (code == SF_OK)
    code = take_lock(path, &folder->lock, error);
  if (code != SF_OK)
    return explain(code, error);
  code = sf_cancellation_check(cancellation, error);
  if (code == SF_OK && !sf_cache_folder_matches(path, db_url, checkpoint_id)) {
    remove_contents(path);
    code = write_identity(path, db_url, checkpoint_id, error);
  }
  folder->path = code == SF_OK ? sf_strdup(path) : NULL;
  if (code == SF_OK && folder->path == NULL)
    code = sf_fail_memory(error, "path of the cache");
  if (code != SF_OK)
    give_lock_back(folder->lock);
  return explain(code, error);
}

void sf_cache_folder_close(sf_cache_folder *folder) {
  free(folder->path);
  give_lock_back(folder->lock);
}
