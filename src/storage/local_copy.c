#include "storage/local_copy.h"

#include "base/files.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/time.h"
#include "storage/waiter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define RECORD_SUFFIX ".record"
#define LOCK_SUFFIX ".lock"
#define PARTIAL_SUFFIX ".partial"
#define RECORD_MAX_BYTES 16384
#define READ_BYTES ((size_t)1 << 20)

/* ------------------------------------------------------------------------------------------------------------ Folders */

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

/* The folder that a copy lies in. It is no symbolic link, and nor is what is opened in it: only who owns the folders above
 * says where it is. */
static sf_code open_folder_of(const char *path, bool make, bool *found, sf_folder *folder, sf_error *error) {
  char *folder_path = sf_folder_of(path);
  if (folder_path == NULL)
    return sf_fail_memory(error, "path of a local copy");
  sf_code code = make ? sf_folder_make(folder_path, error) : SF_OK;
  if (code == SF_OK)
    code = sf_folder_open(folder_path, false, found, folder, error);
  if (code == SF_OK && make && !*found)
    code = sf_fail(error, SF_ERROR, "%s was removed as soon as it was there", folder_path);
  free(folder_path);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ Locking */

static sf_code lock_in(const sf_folder *folder, const char *path, const sf_cancellation *cancellation, int *lock,
                       sf_error *error) {
  char *lock_name = sf_format("%s" LOCK_SUFFIX, name_of(path));
  int descriptor = -1;
  sf_code code = lock_name == NULL ? sf_fail_memory(error, "name of a lock")
                                   : sf_folder_open_lock(folder, lock_name, &descriptor, error);
  if (code == SF_OK)
    code = sf_wait_for_lock(descriptor, path, cancellation, error);
  if (code == SF_OK)
    *lock = descriptor;
  else if (descriptor >= 0)
    close(descriptor);
  free(lock_name);
  return code;
}

sf_code sf_local_copy_lock(const char *path, const sf_cancellation *cancellation, int *lock, sf_error *error) {
  sf_folder folder;
  bool found;
  SF_TRY(open_folder_of(path, true, &found, &folder, error));
  sf_code code = lock_in(&folder, path, cancellation, lock, error);
  sf_folder_close(&folder);
  return code;
}

/* Unlocks explicitly: closing would release the lock only with the last copy of the descriptor, and a forked child has one. */
void sf_local_copy_unlock(int lock) {
  flock(lock, LOCK_UN);
  close(lock);
}

/* ------------------------------------------------------------------------------------------------------------- Reading */

/* Hashes bytes [from, to) of a file. Fewer than that are an error. */
static sf_code hash_file(int descriptor, const char *path, uint64_t from, uint64_t to, XXH3_state_t *hash,
                         sf_local_copy_callback callback, void *user_data, const sf_cancellation *cancellation,
                         sf_error *error) {
  uint8_t *bytes = malloc(READ_BYTES);
  if (bytes == NULL)
    return sf_fail_memory(error, "reading a local copy");
  sf_code code = SF_OK;
  while (from < to && code == SF_OK) {
    size_t wanted = to - from < READ_BYTES ? (size_t)(to - from) : READ_BYTES;
    ssize_t got = pread(descriptor, bytes, wanted, (off_t)from);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      code = got < 0 ? sf_fail_errno(error, "read", path, errno)
                     : sf_fail(error, SF_ERROR, "local copy %s: shorter than what was written", path);
      break;
    }
    XXH3_64bits_update(hash, bytes, (size_t)got);
    if (callback != NULL)
      callback(bytes, (size_t)got, user_data);
    from += (uint64_t)got;
    code = sf_cancellation_check(cancellation, error);
  }
  free(bytes);
  return code;
}

typedef struct record {
  char *url;
  uint64_t size;
  char xxh3[17]; /* XXH3-64 in hexadecimal */
} record;

/* The URL is borrowed. */
static bool read_members(const json_t *object, const char **url, record *found) {
  const char *xxh3 = NULL;
  int64_t size = 0;
  if (sf_json_string(object, "url", true, "record", SF_ERROR, url, NULL) != SF_OK ||
      sf_json_integer(object, "size", true, 0, INT64_MAX, "record", SF_ERROR, &size, NULL) != SF_OK ||
      sf_json_string(object, "xxh3", true, "record", SF_ERROR, &xxh3, NULL) != SF_OK ||
      strlen(xxh3) != sizeof(found->xxh3) - 1)
    return false;
  found->size = (uint64_t)size;
  memcpy(found->xxh3, xxh3, sizeof(found->xxh3));
  return true;
}

/* *found is false when there is no record that makes sense. */
static sf_code read_record(const sf_folder *folder, const char *path, record *read, bool *found, sf_error *error) {
  char text[RECORD_MAX_BYTES];
  size_t length;
  *read = (record){0};
  char *name = sf_format("%s" RECORD_SUFFIX, name_of(path));
  sf_code code = name == NULL ? sf_fail_memory(error, "name of a record")
                              : sf_folder_get_text(folder, name, text, sizeof(text), &length, found, error);
  free(name);
  if (code != SF_OK || !*found)
    return code;
  sf_json json = {0};
  code = sf_json_parse_object(text, length, SF_JSON_STRICT, "record", SF_ERROR, &json, error);
  const char *url = NULL;
  *found = code == SF_OK && read_members(json.root, &url, read);
  read->url = *found ? sf_strdup(url) : NULL;
  if (*found && read->url == NULL)
    code = sf_fail_memory(error, "record");
  sf_json_free(&json);
  return code == SF_OUT_OF_MEMORY_ERROR ? code : SF_OK;
}

static void hash_to_text(const XXH3_state_t *hash, char text[17]) {
  snprintf(text, 17, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(hash));
}

static sf_code check_contents(int descriptor, const char *path, const record *expected,
                              const sf_cancellation *cancellation, bool *holds, sf_error *error) {
  XXH3_state_t *hash = XXH3_createState();
  char text[17] = "";
  if (hash == NULL)
    return sf_fail_memory(error, "checksum");
  XXH3_64bits_reset(hash);
  sf_code code = hash_file(descriptor, path, 0, expected->size, hash, NULL, NULL, cancellation, error);
  hash_to_text(hash, text);
  *holds = code == SF_OK && strcmp(text, expected->xxh3) == 0;
  XXH3_freeState(hash);
  return code == SF_ERROR ? SF_OK : code; /* what can't be read, on a broken disk for one, does not hold */
}

static sf_code check_in(const sf_folder *folder, const char *path, const record *expected,
                        const sf_cancellation *cancellation, bool *holds, sf_error *error) {
  int descriptor;
  struct stat status;
  SF_TRY(sf_folder_open_file(folder, name_of(path), &descriptor, &status, error));
  if (descriptor < 0)
    return SF_OK;
  sf_code code = (uint64_t)status.st_size == expected->size
                     ? check_contents(descriptor, path, expected, cancellation, holds, error)
                     : SF_OK;
  close(descriptor);
  return code;
}

sf_code sf_local_copy_check(const char *path, const char *url, const sf_cancellation *cancellation, bool *holds,
                            sf_error *error) {
  sf_folder folder;
  record expected = {0};
  bool found = false;
  *holds = false;
  SF_TRY(open_folder_of(path, false, &found, &folder, error));
  if (!found)
    return SF_OK;
  sf_code code = read_record(&folder, path, &expected, &found, error);
  if (code == SF_OK && found && strcmp(expected.url, url) == 0)
    code = check_in(&folder, path, &expected, cancellation, holds, error);
  free(expected.url);
  sf_folder_close(&folder);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------- Writing */

static bool ends_with(const char *text, const char *suffix) {
  size_t length = strlen(text);
  size_t suffix_length = strlen(suffix);
  return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

/* The holder of the lock is the only writer: every partial file of this copy is left over. */
static bool remove_leftover(const sf_folder *folder, const char *entry, void *user_data) {
  const char *name = user_data;
  size_t length = strlen(name);
  if (strncmp(entry, name, length) == 0 && entry[length] == '.' && ends_with(entry, PARTIAL_SUFFIX))
    sf_folder_remove(folder, entry);
  return true;
}

static sf_code make_partial_file(sf_local_copy *copy, sf_error *error) {
  const char *name = name_of(copy->path);
  char *partial = sf_format("%s.%lld" PARTIAL_SUFFIX, name, (long long)getpid());
  if (partial == NULL)
    return sf_fail_memory(error, "local copy");
  sf_code code = sf_folder_list(&copy->folder, remove_leftover, (void *)(uintptr_t)name, error);
  if (code == SF_OK)
    code = sf_new_file_make_as(&copy->folder, name, partial, &copy->file, error);
  free(partial);
  return code;
}

sf_code sf_local_copy_begin(sf_local_copy *copy, const char *path, sf_error *error) {
  bool found;
  *copy = (sf_local_copy){.path = path, .folder = SF_FOLDER_NONE, .file = SF_NEW_FILE_NONE};
  copy->hash = XXH3_createState();
  sf_code code = copy->hash == NULL ? sf_fail_memory(error, "local copy")
                                    : open_folder_of(path, true, &found, &copy->folder, error);
  if (code == SF_OK)
    code = make_partial_file(copy, error);
  if (code != SF_OK) {
    sf_local_copy_end(copy);
    return code;
  }
  XXH3_64bits_reset(copy->hash);
  /* Clearing the folder leaves locked files alone. Where there are no such locks, clearing does not rely on them. */
  (void)flock(copy->file.descriptor, LOCK_EX | LOCK_NB);
  return SF_OK;
}

sf_code sf_local_copy_expect(sf_local_copy *copy, uint64_t size, sf_error *error) {
  if (size == copy->expected)
    return SF_OK;
  copy->expected = size;
  return sf_reserve(copy->file.descriptor, copy->file.path, 0, size, size, error);
}

sf_code sf_local_copy_write(sf_local_copy *copy, uint64_t offset, const uint8_t *bytes, size_t length,
                            sf_error *error) {
  return sf_write_at(copy->file.descriptor, copy->file.path, bytes, length, offset, error);
}

sf_code sf_local_copy_hash(sf_local_copy *copy, uint64_t length, sf_local_copy_callback callback, void *user_data,
                           const sf_cancellation *cancellation, sf_error *error) {
  if (length == 0) {
    XXH3_64bits_reset(copy->hash);
    copy->hashed = 0;
    return SF_OK;
  }
  SF_TRY(hash_file(copy->file.descriptor, copy->file.path, copy->hashed, length, copy->hash, callback, user_data,
                   cancellation, error));
  copy->hashed = length;
  return SF_OK;
}

static sf_code make_record(const sf_local_copy *copy, const char *url, sf_buffer *text, sf_error *error) {
  char xxh3[17];
  hash_to_text(copy->hash, xxh3);
  sf_json_writer writer;
  sf_json_writer_begin(&writer);
  sf_json_write_text(&writer, "url", url);
  sf_json_write_integer(&writer, "size", (int64_t)copy->hashed);
  sf_json_write_text(&writer, "xxh3", xxh3);
  return sf_json_writer_end(&writer, "record of a local copy", text, error);
}

static sf_code write_record(const sf_local_copy *copy, const char *url, sf_error *error) {
  sf_buffer text = {0};
  char *name = sf_format("%s" RECORD_SUFFIX, name_of(copy->path));
  sf_code code = name == NULL ? sf_fail_memory(error, "record of a local copy") : make_record(copy, url, &text, error);
  if (code == SF_OK)
    code = sf_folder_put_text(&copy->folder, name, (const char *)text.data, error);
  free(name);
  sf_buffer_free(&text);
  return code;
}

sf_code sf_local_copy_publish(sf_local_copy *copy, const char *url, sf_error *error) {
  /* Parts that were fetched of a longer version before it was replaced. */
  if (ftruncate(copy->file.descriptor, (off_t)copy->hashed) != 0)
    return sf_fail_errno(error, "cut", copy->file.path, errno);
  if (fsync(copy->file.descriptor) != 0)
    return sf_fail_errno(error, "sync", copy->file.path, errno);
  SF_TRY(write_record(copy, url, error));
  SF_TRY(sf_new_file_publish(&copy->file, error));
  (void)fsync(copy->folder.descriptor); /* where folders can't be synced, the file system sees to it */
  return SF_OK;
}

void sf_local_copy_end(sf_local_copy *copy) {
  if (copy->file.descriptor >= 0)
    flock(copy->file.descriptor, LOCK_UN); /* by name, as above */
  sf_new_file_end(&copy->file);
  sf_folder_close(&copy->folder);
  XXH3_freeState(copy->hash);
  *copy = (sf_local_copy){.folder = SF_FOLDER_NONE, .file = SF_NEW_FILE_NONE};
}
