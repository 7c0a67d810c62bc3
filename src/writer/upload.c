#include "writer/upload.h"

#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Called with each file below a folder: its path, and its name below the folder that the walk began in. */
typedef sf_code (*file_callback)(const char *path, const char *name, uint64_t size, void *user_data, sf_error *error);

typedef struct walk {
  file_callback callback;
  void *user_data;
} walk;

static sf_code walk_folder(const walk *walking, const char *path, const char *prefix, sf_error *error);

static sf_code walk_entry(const walk *walking, const char *folder, const char *prefix, const char *entry,
                          sf_error *error) {
  char *path = sf_format("%s/%s", folder, entry);
  char *name = sf_format("%s%s", prefix, entry);
  char *below = sf_format("%s%s/", prefix, entry);
  struct stat status;
  sf_code code = SF_OK;
  if (path == NULL || name == NULL || below == NULL)
    code = sf_fail_memory(error, "path of a file");
  else if (lstat(path, &status) != 0)
    code = sf_fail_errno(error, "look at", path, errno);
  else if (S_ISDIR(status.st_mode))
    code = walk_folder(walking, path, below, error);
  else if (S_ISREG(status.st_mode))
    code = walking->callback(path, name, (uint64_t)status.st_size, walking->user_data, error);
  free(path);
  free(name);
  free(below);
  return code;
}

static sf_code walk_folder(const walk *walking, const char *path, const char *prefix, sf_error *error) {
  DIR *folder = opendir(path);
  if (folder == NULL)
    return sf_fail_errno(error, "list", path, errno);
  sf_code code = SF_OK;
  for (const struct dirent *entry; code == SF_OK && (entry = readdir(folder)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      code = walk_entry(walking, path, prefix, entry->d_name, error);
  closedir(folder);
  return code;
}

static sf_code add_size(const char *path, const char *name, uint64_t size, void *user_data, sf_error *error) {
  (void)path, (void)name, (void)error;
  uint64_t *bytes = user_data;
  *bytes += size;
  return SF_OK;
}

sf_code sf_folder_size(const char *directory, uint64_t *bytes, sf_error *error) {
  *bytes = 0;
  const walk walking = {.callback = add_size, .user_data = bytes};
  return walk_folder(&walking, directory, "", error);
}

typedef struct upload {
  sf_storage *storage;
  const char *key;
  const sf_cancellation *cancellation;
} upload;

static sf_code put_file(const char *path, const char *name, uint64_t size, void *user_data, sf_error *error) {
  (void)size;
  const upload *to = user_data;
  char *key = sf_format("%s/%s", to->key, name);
  sf_code code = key == NULL ? sf_fail_memory(error, "key of an object")
                             : sf_storage_put_file(to->storage, key, path, to->cancellation, error);
  free(key);
  return code;
}

sf_code sf_upload_folder(sf_storage *storage, const char *key, const char *directory,
                         const sf_cancellation *cancellation, sf_error *error) {
  upload to = {.storage = storage, .key = key, .cancellation = cancellation};
  const walk walking = {.callback = put_file, .user_data = &to};
  return walk_folder(&walking, directory, "", error);
}

void sf_remove_tree(const char *directory) {
  DIR *folder = opendir(directory);
  for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    char *path = sf_format("%s/%s", directory, entry->d_name);
    struct stat status;
    if (path != NULL && lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
      sf_remove_tree(path);
    else if (path != NULL)
      unlink(path);
    free(path);
  }
  if (folder != NULL)
    closedir(folder);
  rmdir(directory);
}
