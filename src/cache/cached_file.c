#include "cache/cached_file.h"

#include "base/assert.h"
#include "cache/cache_folder.h"
#include "cache/cache_limit.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

sf_code sf_cached_file_map(const sf_cached_file *file, bool *usable, sf_error *error) {
  const sf_cache_place *place = &file->place;
  sf_cache_folder folder;
  bool found;
  bool matches;
  *usable = false;
  SF_TRY(sf_cache_folder_open(place->cache_dir, false, &found, &folder, error));
  if (!found)
    return SF_OK;
  sf_code code = sf_cache_folder_matches(&folder, place->db_url, place->checkpoint_id, &matches, error);
  if (code == SF_OK && matches)
    code = file->map(file->context, &folder.folder, usable, error);
  sf_cache_folder_close(&folder);
  return code;
}

/* Files of one kind in a folder. */
typedef struct file_count {
  const char *suffix;
  size_t count;
  char oldest[NAME_MAX + 1];
  struct timespec oldest_time;
} file_count;

static struct timespec time_modified(const struct stat *status) {
#if defined(__APPLE__)
  return status->st_mtimespec;
#else
  return status->st_mtim;
#endif
}

static bool count_file(const sf_folder *folder, const char *name, void *user_data) {
  file_count *counted = user_data;
  struct stat status;
  size_t length = strlen(name);
  size_t suffix_length = strlen(counted->suffix);
  if (length < suffix_length || length > NAME_MAX || strcmp(name + length - suffix_length, counted->suffix) != 0 ||
      fstatat(folder->descriptor, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return true;
  struct timespec time = time_modified(&status);
  const struct timespec *oldest = &counted->oldest_time;
  if (counted->count++ == 0 || time.tv_sec < oldest->tv_sec ||
      (time.tv_sec == oldest->tv_sec && time.tv_nsec < oldest->tv_nsec)) {
    counted->oldest_time = time;
    memcpy(counted->oldest, name, length + 1);
  }
  return true;
}

/* Those that are mapped stay as they are for who has mapped them. One that can't be removed ends this. */
static sf_code remove_oldest(const sf_cached_file *file, const sf_folder *folder, sf_error *error) {
  size_t before = SIZE_MAX;
  while (file->max_files > 0) {
    file_count counted = {.suffix = file->suffix};
    SF_TRY(sf_folder_list(folder, count_file, &counted, error));
    if (counted.count < file->max_files || counted.count >= before)
      break;
    before = counted.count;
    sf_folder_remove(folder, counted.oldest);
  }
  return SF_OK;
}

static sf_code make_in_locked_folder(const sf_cached_file *file, const sf_cache_folder *folder,
                                     const sf_cancellation *cancellation, sf_error *error) {
  bool usable = false;
  SF_ASSERT(folder->lock >= 0);
  SF_TRY(file->map(file->context, &folder->folder, &usable, error));
  if (usable)
    return SF_OK;
  SF_TRY(remove_oldest(file, &folder->folder, error));
  SF_TRY(file->make(file->context, &folder->folder, cancellation, error));
  SF_TRY(file->map(file->context, &folder->folder, &usable, error));
  return usable ? SF_OK
                : sf_fail(error, SF_ERROR, "local cache: %s/%s does not hold what was just written to it",
                          folder->folder.path, file->name);
}

sf_code sf_cached_file_make(const sf_cached_file *file, const sf_cancellation *cancellation, sf_error *error) {
  const sf_cache_place *place = &file->place;
  sf_cache_folder folder;
  bool found;
  if (file->num_bytes > 0)
    sf_cache_make_room(place->cache_dir, place->max_cache_bytes, file->num_bytes);
  SF_TRY(sf_cache_folder_open(place->cache_dir, true, &found, &folder, error));
  sf_code code = sf_cache_folder_lock(&folder, place->db_url, place->checkpoint_id, cancellation, error);
  if (code == SF_OK)
    code = make_in_locked_folder(file, &folder, cancellation, error);
  sf_cache_folder_close(&folder);
  return code;
}

sf_code sf_cached_file_open(const sf_cached_file *file, const sf_cancellation *cancellation, sf_error *error) {
  bool usable;
  SF_TRY(sf_cached_file_map(file, &usable, error));
  return usable ? SF_OK : sf_cached_file_make(file, cancellation, error);
}
