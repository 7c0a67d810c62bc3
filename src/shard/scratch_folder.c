#include "shard/scratch_folder.h"

#include "base/memory.h"
#include "shard/cache_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TRIES 100

/* A folder that nobody holds is locked while it is removed: whoever has just made it then finds it gone. A file is one that
 * somebody was about to unlink. */
static void remove_rest(const char *path) {
  struct stat status;
  if (lstat(path, &status) != 0)
    return;
  if (!S_ISDIR(status.st_mode)) {
    unlink(path);
    return;
  }
  int lock = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
  if (lock < 0)
    return;
  if (flock(lock, LOCK_EX | LOCK_NB) == 0)
    sf_remove_folder(path);
  close(lock);
}

void sf_scratch_remove_rests(const char *cache_dir) {
  char *root = sf_folder_of(cache_dir);
  DIR *entries = root == NULL ? NULL : opendir(root);
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    char *path = strstr(entry->d_name, SF_SCRATCH_INFIX) == NULL ? NULL : sf_format("%s/%s", root, entry->d_name);
    if (path != NULL)
      remove_rest(path);
    free(path);
  }
  if (entries != NULL)
    closedir(entries);
  free(root);
}

/* Whether the locked folder is still the one at its path. */
static bool is_there(const sf_scratch_folder *folder) {
  struct stat held;
  struct stat found;
  return fstat(folder->lock, &held) == 0 && stat(folder->path, &found) == 0 && held.st_ino == found.st_ino &&
         held.st_dev == found.st_dev;
}

/* One try; *held is false when another process took the new folder for a rest before it was locked. */
static sf_code make_locked(const char *cache_dir, sf_scratch_folder *folder, bool *held, sf_error *error) {
  *held = false;
  *folder = (sf_scratch_folder){.path = sf_format("%s" SF_SCRATCH_INFIX "XXXXXX", cache_dir), .lock = -1};
  if (folder->path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_code code = SF_OK;
  if (mkdtemp(folder->path) == NULL)
    code = sf_fail_errno(error, "make a folder beside", cache_dir, errno);
  else if ((folder->lock = open(folder->path, O_RDONLY | O_CLOEXEC | O_DIRECTORY)) >= 0)
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
  char *root = sf_folder_of(cache_dir);
  sf_code code = root == NULL ? sf_fail_memory(error, "path of the cache") : sf_make_folders(root, error);
  bool held = false;
  sf_scratch_remove_rests(cache_dir);
  for (unsigned i = 0; i < MAX_TRIES && code == SF_OK && !held; i++)
    code = make_locked(cache_dir, folder, &held, error);
  if (code == SF_OK && !held)
    code = sf_fail(error, SF_ERROR, "local cache: folders beside %s are removed as soon as they are there", cache_dir);
  free(root);
  return code;
}

void sf_scratch_folder_remove(sf_scratch_folder *folder) {
  if (folder->path == NULL)
    return;
  sf_remove_folder(folder->path);
  flock(folder->lock, LOCK_UN);
  close(folder->lock);
  free(folder->path);
  folder->path = NULL;
}
