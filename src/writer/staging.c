#include "writer/staging.h"

#include "base/files.h"
#include "base/memory.h"
#include "writer/upload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_PREFIX "shardyfusion-build-"

/* Opens a folder of ours and locks it; -1 where it is another user's, or locked. */
static int take_lock(const char *folder) {
  struct stat status;
  int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (lock >= 0 && (fstat(lock, &status) != 0 || status.st_uid != geteuid() || flock(lock, LOCK_EX | LOCK_NB) != 0)) {
    close(lock);
    lock = -1;
  }
  return lock;
}

/* Whether what is locked is what the path names: before it was locked, another build may have removed it. */
static bool is_still_there(const char *folder, int lock) {
  struct stat locked;
  struct stat named;
  return fstat(lock, &locked) == 0 && lstat(folder, &named) == 0 && locked.st_dev == named.st_dev &&
         locked.st_ino == named.st_ino;
}

static void remove_if_left(const char *base, const char *name, const sf_log *log) {
  char *path = sf_format("%s/%s", base, name);
  int lock = path != NULL ? take_lock(path) : -1;
  if (lock >= 0) {
    sf_log_message(log, SF_LOG_INFO, "removing %s, which a build that was killed left", path);
    sf_remove_tree(path);
    close(lock);
  }
  free(path);
}

static void remove_left_ones(const char *base, const sf_log *log) {
  DIR *folder = opendir(base);
  for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
    if (strncmp(entry->d_name, NAME_PREFIX, sizeof(NAME_PREFIX) - 1) == 0)
      remove_if_left(base, entry->d_name, log);
  if (folder != NULL)
    closedir(folder);
}

static const char *choose_base(const char *given) {
  const char *temporary = getenv("TMPDIR");
  if (given != NULL && given[0] != '\0')
    return given;
  return temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp";
}

/* Makes the folder and locks it. Another build can remove `base` as long as it is empty. */
static sf_code make_folder(const char *base, const char *path, int *lock, sf_error *error) {
  enum { MAX_TRIES = 100 };
  for (int i = 0; i < MAX_TRIES; i++) {
    SF_TRY(sf_make_folders(base, error));
    bool is_made = mkdir(path, 0700) == 0;
    if (!is_made && errno == ENOENT && i + 1 < MAX_TRIES)
      continue;
    if (!is_made)
      return sf_fail_errno(error, "make the folder", path, errno);
    *lock = take_lock(path);
    if (*lock >= 0 && is_still_there(path, *lock))
      return SF_OK;
    if (*lock >= 0)
      close(*lock);
    rmdir(path);
  }
  return sf_fail(error, SF_ERROR, "can't lock the folder %s", path);
}

sf_code sf_staging_open(const char *given, const char *run_id, const sf_log *log, sf_staging *staging,
                        sf_error *error) {
  char *base = NULL;
  *staging = (sf_staging){.lock = -1};
  SF_TRY(sf_expand_home("staging_dir", choose_base(given), &base, error));
  remove_left_ones(base, log);
  char *path = sf_format("%s/" NAME_PREFIX "%s", base, run_id);
  sf_code code = path == NULL ? sf_fail_memory(error, "path of the staging folder")
                              : sf_new_folders_note(&staging->new_folders, base, error);
  if (code == SF_OK)
    code = make_folder(base, path, &staging->lock, error);
  free(base);
  if (code == SF_OK) {
    staging->path = path;
    return SF_OK;
  }
  sf_new_folders_remove(&staging->new_folders);
  sf_new_folders_free(&staging->new_folders);
  free(path);
  return code;
}

void sf_staging_close(sf_staging *staging) {
  if (staging->path == NULL)
    return;
  sf_remove_tree(staging->path);
  if (staging->lock >= 0)
    close(staging->lock);
  sf_new_folders_remove(&staging->new_folders);
  sf_new_folders_free(&staging->new_folders);
  free(staging->path);
  *staging = (sf_staging){.lock = -1};
}
