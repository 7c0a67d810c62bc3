#include "cache/scratch_folder.h"

#include "base/files.h"
#include "base/memory.h"
#include "cache/cache_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MAX_TRIES 100

/* Opens the root of `cache_dir`. */
static sf_code open_root(const char *cache_dir, bool make, bool *found, sf_folder *root, sf_error *error) {
  char *path = sf_folder_of(cache_dir);
  if (path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_code code = sf_cache_root_open(path, make, found, root, error);
  free(path);
  return code;
}

/* A folder is locked while it is removed, so that a process that has just made it does not use it. A file is one whose
 * process was killed before it unlinked it. */
static bool remove_leftover(const sf_folder *root, const char *name, void *unused) {
  struct stat status;
  (void)unused;
  if (strstr(name, SF_SCRATCH_INFIX) == NULL || fstatat(root->descriptor, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return true;
  if (!S_ISDIR(status.st_mode)) {
    sf_folder_remove(root, name);
    return true;
  }
  int lock = openat(root->descriptor, name, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
  if (lock < 0)
    return true;
  if (flock(lock, LOCK_EX | LOCK_NB) == 0)
    sf_cache_folder_remove(root, name);
  close(lock);
  return true;
}

void sf_scratch_remove_leftovers(const char *cache_dir) {
  sf_folder root;
  bool found;
  if (open_root(cache_dir, false, &found, &root, NULL) != SF_OK || !found)
    return;
  (void)sf_folder_list(&root, remove_leftover, NULL, NULL);
  sf_folder_close(&root);
}

/* Whether the locked folder is still the one at its path. */
static bool is_there(const sf_scratch_folder *folder) {
  struct stat held;
  struct stat found;
  return fstat(folder->lock, &held) == 0 && lstat(folder->path, &found) == 0 && held.st_ino == found.st_ino &&
         held.st_dev == found.st_dev;
}

/* One try; *held is false when another process removed the new folder before it was locked. */
static sf_code make_and_lock(const char *cache_dir, sf_scratch_folder *folder, bool *held, sf_error *error) {
  *held = false;
  *folder = (sf_scratch_folder){.path = sf_format("%s" SF_SCRATCH_INFIX "XXXXXX", cache_dir), .lock = -1};
  if (folder->path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_code code = SF_OK;
  if (mkdtemp(folder->path) == NULL)
    code = sf_fail_errno(error, "make a folder beside", cache_dir, errno);
  else if ((folder->lock = open(folder->path, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW)) >= 0)
    *held = flock(folder->lock, LOCK_EX | LOCK_NB) == 0 && is_there(folder);
  else if (errno != ENOENT)
    code = sf_fail_errno(error, "open", folder->path, errno);
  if (*held)
    return SF_OK;
  if (folder->lock >= 0)
    close(folder->lock);
  free(folder->path);
  folder->path = NULL;
  return code;
}

sf_code sf_scratch_folder_make(const char *cache_dir, sf_scratch_folder *folder, sf_error *error) {
  sf_folder root;
  bool found;
  bool held = false;
  sf_scratch_remove_leftovers(cache_dir);
  sf_code code = open_root(cache_dir, true, &found, &root, error);
  if (code != SF_OK)
    return code;
  sf_folder_close(&root);
  for (unsigned i = 0; i < MAX_TRIES && code == SF_OK && !held; i++)
    code = make_and_lock(cache_dir, folder, &held, error);
  if (code == SF_OK && !held)
    code = sf_fail(error, SF_ERROR, "local cache: folders beside %s are removed as soon as they are there", cache_dir);
  return code;
}

void sf_scratch_folder_remove(sf_scratch_folder *folder) {
  sf_folder root;
  bool found;
  if (folder->path == NULL)
    return;
  if (open_root(folder->path, false, &found, &root, NULL) == SF_OK && found) {
    sf_cache_folder_remove(&root, strrchr(folder->path, '/') == NULL ? folder->path : strrchr(folder->path, '/') + 1);
    sf_folder_close(&root);
  }
  flock(folder->lock, LOCK_UN);
  close(folder->lock);
  free(folder->path);
  folder->path = NULL;
}

sf_code sf_scratch_file_open(const char *cache_dir, int *descriptor, sf_error *error) {
  sf_folder root;
  bool found;
  SF_TRY(open_root(cache_dir, true, &found, &root, error));
  sf_folder_close(&root);
  char *prefix = sf_format("%s" SF_SCRATCH_INFIX, cache_dir);
  sf_code code =
      prefix == NULL ? sf_fail_memory(error, "path of the cache") : sf_open_nameless(prefix, descriptor, error);
  if (code == SF_ERROR)
    sf_error_prefix(error, "local cache");
  free(prefix);
  return code;
}
