#include "build/staging.h"

#include "base/files.h"
#include "base/memory.h"
#include "build/upload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_PREFIX "shardyfusion-build-"

/* Opens and locks the lock of a folder; -1 where there is none, or somebody holds it. */
static int take_lock(const char *folder, int flags) {
  char *path = sf_format("%s/lock", folder);
  int lock = path == NULL ? -1 : open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  free(path);
  if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0) {
    close(lock);
    lock = -1;
  }
  return lock;
}

static bool is_mine(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

static void remove_if_left(const char *base, const char *name, const sf_log *log) {
  char *path = sf_format("%s/%s", base, name);
  int lock = path != NULL && is_mine(path) ? take_lock(path, O_RDWR) : -1;
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

sf_code sf_staging_open(const char *given, const char *run_id, const sf_log *log, sf_staging *staging,
                        sf_error *error) {
  const char *base = choose_base(given);
  *staging = (sf_staging){.lock = -1};
  remove_left_ones(base, log);
  char *path = sf_format("%s/" NAME_PREFIX "%s", base, run_id);
  if (path == NULL)
    return sf_fail_memory(error, "path of the staging folder");
  sf_code code = sf_make_folders(base, error);
  if (code == SF_OK && mkdir(path, 0700) != 0)
    code = sf_fail_errno(error, "make the folder", path, errno);
  if (code == SF_OK && (staging->lock = take_lock(path, O_RDWR | O_CREAT)) < 0)
    code = sf_fail(error, SF_ERROR, "can't lock the folder %s", path);
  if (code == SF_OK)
    staging->path = path;
  else
    free(path);
  return code;
}

void sf_staging_close(sf_staging *staging) {
  if (staging->path == NULL)
    return;
  sf_remove_tree(staging->path);
  if (staging->lock >= 0)
    close(staging->lock);
  free(staging->path);
  *staging = (sf_staging){.lock = -1};
}
