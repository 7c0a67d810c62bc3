/* Snapshots in a directory: a plain path, or a file:// URL. */
#include "storage/file.h"

#include "base/files.h"
#include "base/hexadecimal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* Decodes %XX (RFC 3986, section 2.1) in place; false when an escape is broken, or is a NUL. */
static bool percent_decode(char *text) {
  size_t length = 0;
  for (const char *next = text; *next != '\0'; next++) {
    if (*next != '%') {
      text[length++] = *next;
      continue;
    }
    int high = sf_hexadecimal_digit(next[1]);
    int low = high < 0 ? -1 : sf_hexadecimal_digit(next[2]);
    if (low < 0 || (high == 0 && low == 0))
      return false;
    text[length++] = (char)(high * 16 + low);
    next += 2;
  }
  text[length] = '\0';
  return true;
}

/* A path without the slashes at its end, of which a root that is nothing else keeps one. */
static void trim_slashes(char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/')
    path[--length] = '\0';
}

/* The directory that a root names: file://[localhost]/path is decoded; of a path, ~ is the home folder. */
static sf_code directory_of_root(const char *root, char **directory, sf_error *error) {
  static const char scheme[] = "file://";
  bool is_url = strncmp(root, scheme, sizeof(scheme) - 1) == 0;
  const char *path = is_url ? root + sizeof(scheme) - 1 : root;
  if (is_url && strncmp(path, "localhost/", 10) == 0)
    path += 9;
  if (is_url && path[0] != '/')
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "snapshot root %s: expected file:///absolute/path", root);
  char *copy = NULL;
  SF_TRY(sf_expand_home("snapshot root", path, &copy, error)); /* a URL's path begins with a slash */
  if (is_url && !percent_decode(copy)) {
    free(copy);
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "snapshot root %s: broken percent-encoding", root);
  }
  trim_slashes(copy);
  *directory = copy;
  return SF_OK;
}

static void file_close(sf_storage *storage) {
  free(storage->root);
  free(storage);
}

static sf_code file_open(const char *root, const sf_storage_options *options, sf_storage **opened, sf_error *error) {
  (void)options;
  char *directory = NULL;
  SF_TRY(directory_of_root(root, &directory, error));
  sf_storage *storage = sf_calloc(1, sizeof(*storage));
  if (storage == NULL) {
    free(directory);
    return sf_fail_memory(error, "storage");
  }
  storage->vtable = &sf_file_storage;
  storage->root = directory;
  *opened = storage;
  return SF_OK;
}

/* A key comes from files: it must not lead out of the root. */
static bool key_is_safe(const char *key) {
  if (key[0] == '/')
    return false;
  for (const char *segment = key;;) {
    size_t length = strcspn(segment, "/");
    if (length == 2 && segment[0] == '.' && segment[1] == '.')
      return false;
    if (segment[length] == '\0')
      return true;
    segment += length + 1;
  }
}

sf_code sf_file_path_of_key(const sf_storage *storage, const char *key, char **path, sf_error *error) {
  if (!key_is_safe(key))
    return sf_fail(error, SF_ERROR, "%s: the key '%s' leads out of the snapshot", storage->root, key);
  *path = sf_format("%s/%s", storage->root, key);
  return *path != NULL ? SF_OK : sf_fail_memory(error, "path of an object");
}

bool sf_file_means_missing(int error_number) {
  /* No object has a name that is too long for one. */
  return error_number == ENOENT || error_number == ENOTDIR || error_number == ENAMETOOLONG;
}

/* Opens a regular file. A missing one is *found = false with SF_OK. O_NONBLOCK: a FIFO must not hold us up. */
static sf_code open_regular_file(const char *path, bool *found, int *descriptor, struct stat *status, sf_error *error) {
  *found = false;
  int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (opened < 0)
    return sf_file_means_missing(errno) ? SF_OK : sf_fail_errno(error, "open", path, errno);
  if (fstat(opened, status) != 0) {
    sf_code code = sf_fail_errno(error, "look at", path, errno);
    close(opened);
    return code;
  }
  if (!S_ISREG(status->st_mode)) {
    close(opened);
    return sf_fail(error, SF_ERROR, "can't read %s: it is not a regular file", path);
  }
  *found = true;
  *descriptor = opened;
  return SF_OK;
}

/* Reads exactly `length` bytes from `offset`, in pieces, so that a cancellation is noticed between them. */
static sf_code read_exactly(int descriptor, const char *path, uint64_t offset, uint8_t *bytes, size_t length,
                            const sf_cancellation *cancellation, sf_error *error) {
  const size_t piece = (size_t)8 << 20;
  for (size_t done = 0; done < length;) {
    SF_TRY(sf_cancellation_check(cancellation, error));
    size_t wanted = length - done < piece ? length - done : piece;
    ssize_t got = pread(descriptor, bytes + done, wanted, (off_t)(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return sf_fail_errno(error, "read", path, errno);
    if (got == 0)
      return sf_fail(error, SF_ERROR, "can't read %s: expected %zu bytes at offset %llu, found %zu", path, length,
                     (unsigned long long)offset, done);
    done += (size_t)got;
  }
  return SF_OK;
}

void sf_file_describe(sf_object_info *info, uint64_t size, XXH128_hash_t hash) {
  info->size = size;
  snprintf(info->etag, sizeof(info->etag), "\"%016" PRIx64 "%016" PRIx64 "\"", (uint64_t)hash.high64,
           (uint64_t)hash.low64);
}

static sf_code file_get(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                        bool *found, sf_buffer *contents, sf_object_info *info, sf_error *error) {
  char *path;
  SF_TRY(sf_file_path_of_key(storage, key, &path, error));
  int descriptor = -1;
  struct stat status;
  sf_code code = open_regular_file(path, found, &descriptor, &status, error);
  if (code != SF_OK || !*found)
    goto done;
  if ((uint64_t)status.st_size > max_bytes) {
    code = sf_fail(error, SF_ERROR, "can't read %s: expected at most %zu bytes, found %lld", path, max_bytes,
                   (long long)status.st_size);
    goto done;
  }
  size_t length = (size_t)status.st_size;
  if (!sf_buffer_reserve(contents, length)) {
    code = sf_fail_memory(error, path);
    goto done;
  }
  code = read_exactly(descriptor, path, 0, contents->data + contents->length, length, cancellation, error);
  if (code == SF_OK) {
    if (info != NULL)
      sf_file_describe(info, length, XXH3_128bits(contents->data + contents->length, length));
    contents->length += length;
    contents->data[contents->length] = '\0';
  }
done:
  if (descriptor >= 0)
    close(descriptor);
  free(path);
  return code;
}

static sf_code file_get_range(sf_storage *storage, const char *key, uint64_t offset, size_t length,
                              const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error) {
  char *path;
  SF_TRY(sf_file_path_of_key(storage, key, &path, error));
  int descriptor = -1;
  struct stat status;
  sf_code code = open_regular_file(path, found, &descriptor, &status, error);
  if (code == SF_OK && *found)
    code = read_exactly(descriptor, path, offset, bytes, length, cancellation, error);
  if (descriptor >= 0)
    close(descriptor);
  free(path);
  return code;
}

static sf_code file_head(sf_storage *storage, const char *key, const sf_cancellation *cancellation, bool *found,
                         sf_object_info *info, sf_error *error) {
  (void)cancellation;
  char *path;
  SF_TRY(sf_file_path_of_key(storage, key, &path, error));
  struct stat status;
  sf_code code = SF_OK;
  *found = false;
  if (stat(path, &status) != 0)
    code = sf_file_means_missing(errno) ? SF_OK : sf_fail_errno(error, "look at", path, errno);
  else if (S_ISREG(status.st_mode)) {
    *found = true;
    *info = (sf_object_info){.size = (uint64_t)status.st_size};
  }
  free(path);
  return code;
}

/* The name as a listing shows it: folders end in a slash. NULL when memory is out. */
static char *listed_name(const char *directory, const struct dirent *entry) {
  bool is_folder = entry->d_type == DT_DIR;
  if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
    char *path = sf_format("%s/%s", directory, entry->d_name);
    if (path == NULL)
      return NULL;
    struct stat status;
    is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    free(path);
  }
  return sf_format("%s%s", entry->d_name, is_folder ? "/" : "");
}

static int compare_entries(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static sf_code list_directory(const char *path, const char *after, sf_storage_list_callback callback, void *user_data,
                              sf_error *error) {
  struct dirent **entries = NULL;
  int count = scandir(path, &entries, NULL, compare_entries);
  if (count < 0)
    return sf_file_means_missing(errno) ? SF_OK : sf_fail_errno(error, "list", path, errno);
  sf_code code = SF_OK;
  bool go_on = true;
  for (int i = 0; i < count; i++) {
    const char *name = entries[i]->d_name;
    if (go_on && code == SF_OK && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
      char *shown = listed_name(path, entries[i]);
      if (shown == NULL)
        code = sf_fail_memory(error, path);
      else if (strcmp(shown, after) > 0)
        go_on = callback(shown, user_data);
      free(shown);
    }
    free(entries[i]);
  }
  free(entries);
  return code;
}

static sf_code file_list(sf_storage *storage, const char *prefix, const char *after,
                         const sf_cancellation *cancellation, sf_storage_list_callback callback, void *user_data,
                         sf_error *error) {
  SF_TRY(sf_cancellation_check(cancellation, error));
  char *path;
  SF_TRY(sf_file_path_of_key(storage, prefix, &path, error));
  sf_code code = list_directory(path, after, callback, user_data, error);
  free(path);
  return code;
}

static sf_code file_local_file(sf_storage *storage, const char *key, const char *download_path,
                               const sf_cancellation *cancellation, bool *found, char **path, sf_error *error) {
  (void)download_path;
  (void)cancellation;
  char *object_path;
  SF_TRY(sf_file_path_of_key(storage, key, &object_path, error));
  int descriptor = -1;
  struct stat status;
  sf_code code = open_regular_file(object_path, found, &descriptor, &status, error);
  if (descriptor >= 0)
    close(descriptor);
  if (code == SF_OK && *found)
    *path = object_path;
  else
    free(object_path);
  return code;
}

const sf_storage_vtable sf_file_storage = {
    .scheme = "file",
    .open = file_open,
    .close = file_close,
    .get = file_get,
    .get_range = file_get_range,
    .head = file_head,
    .list = file_list,
    .local_file = file_local_file,
    .put = sf_file_put,
    .put_file = sf_file_put_file,
    .remove = sf_file_remove,
};
