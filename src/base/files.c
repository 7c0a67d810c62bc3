#include "base/files.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

sf_code sf_fail_errno(sf_error *error, const char *action, const char *path, int error_number) {
  struct rlimit limit;
  sf_code code = sf_errno_code(error_number, SF_ERROR);
  if (code == SF_OUT_OF_MEMORY_ERROR)
    return sf_fail(error, code, "out of memory: can't %s %s", action, path);
  if (error_number == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
    return sf_fail(error, code, "can't %s %s: %s: this process may have %llu (ulimit -n)", action, path,
                   strerror(error_number), (unsigned long long)limit.rlim_cur);
  return sf_fail(error, code, "can't %s %s: %s", action, path, strerror(error_number));
}

bool sf_errno_is_exhaustion(int error_number) {
  return sf_errno_code(error_number, SF_OK) != SF_OK;
}

bool sf_lock_file(int descriptor, int operation) {
  while (flock(descriptor, operation) != 0)
    if (errno != EINTR)
      return false;
  return true;
}

sf_code sf_expand_home(const char *what, const char *path, char **expanded, sf_error *error) {
  bool is_below_home = path[0] == '~' && (path[1] == '/' || path[1] == '\0');
  const char *home = is_below_home ? getenv("HOME") : NULL;
  if (is_below_home && (home == NULL || home[0] != '/'))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s %.200s: expected HOME to name the home folder, found %.200s",
                   what, path, home == NULL ? "none" : home);
  *expanded = is_below_home ? sf_format("%s%s", home, path + 1) : sf_strdup(path);
  return *expanded != NULL ? SF_OK : sf_fail_memory(error, what);
}

int sf_open_named_file(const char *path) {
  char *expanded = NULL;
  sf_code code = sf_expand_home("file", path, &expanded, NULL);
  if (code != SF_OK) {
    errno = code == SF_OUT_OF_MEMORY_ERROR ? ENOMEM : ENOENT;
    return -1;
  }
  int descriptor = open(expanded, O_RDONLY | O_CLOEXEC);
  int error_number = errno;
  free(expanded);
  errno = error_number;
  return descriptor;
}

char *sf_folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL)
    return sf_strdup(".");
  return sf_memdup_string(path, slash == path ? 1 : (size_t)(slash - path));
}

sf_code sf_make_folders(const char *path, sf_error *error) {
  return sf_make_folders_as(path, 0777, error);
}

sf_code sf_make_folders_as(const char *path, unsigned mode, sf_error *error) {
  char *partial = sf_strdup(path);
  if (partial == NULL)
    return sf_fail_memory(error, "path of a folder");
  sf_code code = SF_OK;
  size_t length = strlen(partial);
  for (size_t i = 1; i <= length && code == SF_OK; i++) {
    if (partial[i] != '/' && partial[i] != '\0')
      continue;
    char saved = partial[i];
    partial[i] = '\0';
    if (mkdir(partial, (mode_t)mode) != 0 && errno != EEXIST)
      code = sf_fail_errno(error, "make the folder", partial, errno);
    partial[i] = saved;
  }
  free(partial);
  return code;
}

sf_code sf_open_nameless(const char *prefix, int *descriptor, sf_error *error) {
  char *path = sf_format("%sXXXXXX", prefix);
  if (path == NULL)
    return sf_fail_memory(error, "temporary file");
  *descriptor = mkstemp(path);
  sf_code code = *descriptor < 0 ? sf_fail_errno(error, "make", path, errno) : SF_OK;
  if (code == SF_OK) {
    unlink(path);
    (void)fcntl(*descriptor, F_SETFD, FD_CLOEXEC);
  }
  free(path);
  return code;
}

void sf_advise_scan(const void *bytes, size_t length) {
#if defined(MADV_HUGEPAGE)
  const size_t large_page = (size_t)2 << 20; /* for less, splitting the mapping costs more */
  uintptr_t in_page = (uintptr_t)bytes % (uintptr_t)sysconf(_SC_PAGESIZE);
  if (length >= large_page)
    (void)madvise((void *)((uintptr_t)bytes - in_page), length + in_page, MADV_HUGEPAGE);
#else
  (void)bytes, (void)length;
#endif
}

void sf_sync_folder(const char *path) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (descriptor < 0)
    return;
  (void)fsync(descriptor);
  close(descriptor);
}

sf_code sf_publish_file(int descriptor, const char *temporary_path, const char *path, sf_error *error) {
  sf_code code = SF_OK;
  if (fsync(descriptor) != 0)
    code = sf_fail_errno(error, "sync", temporary_path, errno);
  else if (rename(temporary_path, path) != 0)
    code = sf_fail_errno(error, "rename to", path, errno);
  if (code != SF_OK)
    unlink(temporary_path);
  return code;
}
