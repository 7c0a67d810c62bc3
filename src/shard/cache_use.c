#include "shard/cache_use.h"

#include "base/memory.h"
#include "shard/cache_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TRIES 100

static bool is_still_at(int descriptor, const char *path) {
  struct stat held;
  struct stat found;
  return fstat(descriptor, &held) == 0 && stat(path, &found) == 0 && held.st_ino == found.st_ino &&
         held.st_dev == found.st_dev;
}

static bool take_lock(int descriptor, int operation) {
  while (flock(descriptor, operation) != 0)
    if (errno != EINTR)
      return false;
  return true;
}

/* One try; *gone is set when the folder was evicted meanwhile. */
static void hold(const char *use_path, sf_cache_use *use, bool *gone) {
  *gone = false;
  int descriptor = open(use_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    *gone = errno == ENOENT;
    return;
  }
  bool is_locked = take_lock(descriptor, LOCK_SH);
  *gone = is_locked && !is_still_at(descriptor, use_path);
  if (!is_locked || *gone) {
    close(descriptor);
    return;
  }
  (void)futimens(descriptor, NULL);
  *use = (sf_cache_use){.is_held = true, .descriptor = descriptor};
}

sf_code sf_cache_use_begin(const char *path, sf_cache_use *use, sf_error *error) {
  char *use_path = sf_format("%s/" SF_CACHE_USE_NAME, path);
  if (use_path == NULL)
    return sf_fail_memory(error, "path of the cache");
  bool gone = true;
  for (unsigned i = 0; i < MAX_TRIES && gone; i++) {
    if (sf_make_folders(path, NULL) != SF_OK) /* whoever needs it will say why */
      break;
    hold(use_path, use, &gone);
  }
  free(use_path);
  return SF_OK;
}

void sf_cache_use_end(sf_cache_use *use) {
  if (!use->is_held)
    return;
  (void)futimens(use->descriptor, NULL);
  flock(use->descriptor, LOCK_UN); /* by name: a child that was forked meanwhile has a copy of the descriptor */
  close(use->descriptor);
  use->is_held = false;
}

bool sf_cache_last_used(const char *path, struct timespec *when) {
  struct stat status;
  char *use_path = sf_format("%s/" SF_CACHE_USE_NAME, path);
  /* A folder whose maker was killed before it used it was last used when it was made. */
  bool found = (use_path != NULL && stat(use_path, &status) == 0) || stat(path, &status) == 0;
  free(use_path);
  if (!found)
    return false;
#if defined(__APPLE__)
  *when = status.st_mtimespec;
#else
  *when = status.st_mtim;
#endif
  return true;
}

/* A file of the folder, locked for this process alone; -1 when another one has it. */
static int lock_alone(const char *path, const char *name) {
  char *file_path = sf_format("%s/%s", path, name);
  int descriptor = file_path == NULL ? -1 : open(file_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  free(file_path);
  if (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor);
    return -1;
  }
  return descriptor;
}

static void unlock(int descriptor) {
  flock(descriptor, LOCK_UN);
  close(descriptor);
}

bool sf_cache_evict(const char *path) {
  int use = lock_alone(path, SF_CACHE_USE_NAME);
  if (use < 0)
    return false;
  int lock = lock_alone(path, SF_CACHE_LOCK_NAME);
  if (lock >= 0) {
    sf_remove_folder(path);
    unlock(lock);
  }
  unlock(use);
  return lock >= 0;
}
