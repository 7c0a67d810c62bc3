/*
 * Writing objects in a directory: to a file beside, which is synced and then renamed or linked to its name, so that a
 * reader sees all of an object or nothing, also after a power cut. The writer that renames a file holds a lock of its
 * folder meanwhile (flock, on the folder itself: nothing is left behind): the conditions of several writers can't all
 * hold, unless others write who know nothing of it.
 */
#include "base/files.h"
#include "base/time.h"
#include "storage/file.h"
#include "storage/waiter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES ((size_t)1 << 20)
#define MAX_TRIES 100

/* A file on its way to its name. */
typedef struct written_file {
  const sf_storage *storage;
  char *path;
  char *folder;
  char *temporary_path;
  int descriptor;
} written_file;

static void release(written_file *file) {
  if (file->descriptor >= 0)
    close(file->descriptor);
  if (file->temporary_path != NULL)
    unlink(file->temporary_path);
  free(file->temporary_path);
  free(file->folder);
  free(file->path);
}

/* Makes a file of a name that is not in use: folders are shared by threads, processes and machines. */
static sf_code make_temporary(written_file *file, sf_error *error) {
  int failure = EEXIST;
  for (unsigned i = 0; i < MAX_TRIES && (failure == EEXIST || failure == ENOENT); i++) {
    /* Before the folder: an empty one below `manifests/` would be listed as a run. */
    char *path = sf_format("%s/.put-%lld-%llu", file->folder, (long long)getpid(),
                           (unsigned long long)sf_monotonic_nanoseconds());
    if (path == NULL)
      return sf_fail_memory(error, "path of an object");
    /* Another process that removes empty folders can remove this one before anything is in it. */
    sf_code code = sf_make_folders(file->folder, error);
    if (code != SF_OK) {
      free(path);
      return code;
    }
    file->descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->descriptor >= 0) {
      file->temporary_path = path;
      return SF_OK;
    }
    failure = errno;
    free(path);
  }
  return sf_fail_errno(error, "make a file in", file->folder, failure);
}

static sf_code begin(written_file *file, const sf_storage *storage, const char *key, sf_error *error) {
  *file = (written_file){.storage = storage, .descriptor = -1};
  SF_TRY(sf_file_path_of_key(storage, key, &file->path, error));
  size_t length = strlen(key);
  sf_code code = SF_OK;
  if (length == 0 || key[length - 1] == '/')
    code = sf_fail(error, SF_ERROR, "%s: '%s' is not the name of an object", storage->root, key);
  if (code == SF_OK && (file->folder = sf_folder_of(file->path)) == NULL)
    code = sf_fail_memory(error, "path of an object");
  if (code == SF_OK)
    code = make_temporary(file, error);
  if (code != SF_OK)
    release(file);
  return code;
}

/* The folders up to the root may be new too. Cuts their names off one by one: `folder` is not the same afterwards. */
static void sync_folders(char *folder, size_t root_length) {
  while (strlen(folder) >= root_length) {
    sf_sync_folder(folder);
    char *slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder)
      return;
    *slash = '\0';
  }
}

/* --------------------------------------------------------------------------------------------------------- Conditions */

static sf_code hash_contents(int descriptor, const char *path, const sf_cancellation *cancellation,
                             XXH128_hash_t *result, sf_error *error) {
  XXH3_state_t *hash = XXH3_createState();
  uint8_t *bytes = malloc(COPY_BYTES);
  sf_code code = hash == NULL || bytes == NULL ? sf_fail_memory(error, path) : SF_OK;
  if (code == SF_OK)
    XXH3_128bits_reset(hash);
  for (ssize_t got = 1; code == SF_OK && got != 0;) {
    got = read(descriptor, bytes, COPY_BYTES);
    if (got > 0)
      XXH3_128bits_update(hash, bytes, (size_t)got);
    else if (got < 0 && errno != EINTR)
      code = sf_fail_errno(error, "read", path, errno);
    if (code == SF_OK)
      code = sf_cancellation_check(cancellation, error);
  }
  if (code == SF_OK)
    *result = XXH3_128bits_digest(hash);
  XXH3_freeState(hash);
  free(bytes);
  return code;
}

static sf_code matches_etag(const char *path, const char *etag, const sf_cancellation *cancellation, bool *matches,
                            sf_error *error) {
  *matches = false;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return sf_file_means_missing(errno) ? SF_OK : sf_fail_errno(error, "open", path, errno);
  XXH128_hash_t hash;
  sf_code code = hash_contents(descriptor, path, cancellation, &hash, error);
  close(descriptor);
  if (code != SF_OK)
    return code;
  sf_object_info info;
  sf_file_describe(&info, 0, hash);
  *matches = strcmp(info.etag, etag) == 0;
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------------------- Naming */

static sf_code rename_to_its_name(written_file *file, sf_error *error) {
  if (rename(file->temporary_path, file->path) != 0)
    return sf_fail_errno(error, "rename to", file->path, errno);
  free(file->temporary_path);
  file->temporary_path = NULL;
  return SF_OK;
}

/* A link is made only where nothing of the name is. Where there are no links, the lock has to do. */
static sf_code link_to_its_name(written_file *file, bool *stored, sf_error *error) {
  struct stat status;
  *stored = link(file->temporary_path, file->path) == 0;
  if (*stored || errno == EEXIST)
    return SF_OK;
  if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
    return sf_fail_errno(error, "link", file->path, errno);
  if (lstat(file->path, &status) == 0)
    return SF_OK;
  *stored = true;
  return rename_to_its_name(file, error);
}

static sf_code name_under_lock(written_file *file, const sf_put_condition *condition,
                               const sf_cancellation *cancellation, bool *stored, sf_error *error) {
  *stored = true;
  if (condition != NULL && condition->if_match != NULL)
    SF_TRY(matches_etag(file->path, condition->if_match, cancellation, stored, error));
  if (!*stored)
    return SF_OK;
  if (condition != NULL && condition->if_none_match)
    return link_to_its_name(file, stored, error);
  return rename_to_its_name(file, error);
}

/* Syncs the file and gives it its name, under the lock of its folder. A file system without such locks (NFS locks only what
 * is open for writing) can still tell whether a name is taken, but not whether an object is the one that it was. */
static sf_code publish(written_file *file, const sf_put_condition *condition, const sf_cancellation *cancellation,
                       bool *stored, sf_error *error) {
  if (fsync(file->descriptor) != 0)
    return sf_fail_errno(error, "sync", file->temporary_path, errno);
  int lock = open(file->folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (lock < 0)
    return sf_fail_errno(error, "open", file->folder, errno);
  bool needs_lock = condition != NULL && condition->if_match != NULL;
  sf_code code = sf_wait_for_lock(lock, file->folder, cancellation, error);
  bool is_locked = code == SF_OK;
  if (is_locked || (code == SF_ERROR && !needs_lock))
    code = name_under_lock(file, condition, cancellation, stored, error);
  if (is_locked)
    flock(lock, LOCK_UN);
  close(lock);
  if (code == SF_OK && *stored)
    sync_folders(file->folder, strlen(file->storage->root));
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ Writing */

sf_code sf_file_put(sf_storage *storage, const char *key, const void *bytes, size_t length,
                    const sf_put_condition *condition, const sf_cancellation *cancellation, bool *stored,
                    sf_error *error) {
  written_file file;
  SF_TRY(sf_cancellation_check(cancellation, error));
  SF_TRY(begin(&file, storage, key, error));
  sf_code code = sf_write_at(file.descriptor, file.temporary_path, bytes, length, 0, error);
  if (code == SF_OK)
    code = publish(&file, condition, cancellation, stored, error);
  release(&file);
  return code;
}

static sf_code copy_contents(int source, const char *source_path, const written_file *file,
                             const sf_cancellation *cancellation, sf_error *error) {
  uint8_t *bytes = malloc(COPY_BYTES);
  if (bytes == NULL)
    return sf_fail_memory(error, source_path);
  sf_code code = SF_OK;
  uint64_t offset = 0;
  for (ssize_t got = 1; code == SF_OK && got != 0;) {
    got = read(source, bytes, COPY_BYTES);
    if (got > 0)
      code = sf_write_at(file->descriptor, file->temporary_path, bytes, (size_t)got, offset, error);
    else if (got < 0 && errno != EINTR)
      code = sf_fail_errno(error, "read", source_path, errno);
    offset += got > 0 ? (uint64_t)got : 0;
    if (code == SF_OK)
      code = sf_cancellation_check(cancellation, error);
  }
  free(bytes);
  return code;
}

sf_code sf_file_put_file(sf_storage *storage, const char *key, const char *path, const sf_cancellation *cancellation,
                         sf_error *error) {
  written_file file;
  bool stored;
  SF_TRY(sf_cancellation_check(cancellation, error));
  int source = open(path, O_RDONLY | O_CLOEXEC);
  if (source < 0)
    return sf_fail_errno(error, "open", path, errno);
  sf_code code = begin(&file, storage, key, error);
  if (code == SF_OK) {
    code = copy_contents(source, path, &file, cancellation, error);
    if (code == SF_OK)
      code = publish(&file, NULL, cancellation, &stored, error);
    release(&file);
  }
  close(source);
  return code;
}

/* ----------------------------------------------------------------------------------------------------------- Removing */

/* `path` without its slash: a link to a folder goes, not the folder behind it; a folder goes when it is empty. */
static sf_code remove_folder(char *path, sf_error *error) {
  struct stat status;
  path[strlen(path) - 1] = '\0';
  if (lstat(path, &status) != 0)
    return sf_file_means_missing(errno) ? SF_OK : sf_fail_errno(error, "look at", path, errno);
  bool is_link = S_ISLNK(status.st_mode);
  int failure = (is_link ? unlink(path) : rmdir(path)) == 0 ? 0 : errno;
  bool may_stay = failure == 0 || failure == ENOTEMPTY || failure == EEXIST || sf_file_means_missing(failure);
  return may_stay ? SF_OK : sf_fail_errno(error, "remove", path, failure);
}

sf_code sf_file_remove(sf_storage *storage, const char *key, const sf_cancellation *cancellation, sf_error *error) {
  char *path;
  SF_TRY(sf_cancellation_check(cancellation, error));
  SF_TRY(sf_file_path_of_key(storage, key, &path, error));
  sf_code code = SF_OK;
  if (key[0] == '\0')
    code = sf_fail(error, SF_ERROR, "%s: '' is not the name of an object", storage->root);
  else if (path[strlen(path) - 1] == '/')
    code = remove_folder(path, error);
  else if (unlink(path) != 0 && errno != EISDIR && !sf_file_means_missing(errno)) /* a folder is no object */
    code = sf_fail_errno(error, "remove", path, errno);
  free(path);
  return code;
}
