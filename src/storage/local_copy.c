#include "storage/local_copy.h"

#include "base/files.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/time.h"
#include "storage/waiter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

static sf_code make_folder_of(const char *path, sf_error *error) {
  char *folder = sf_folder_of(path);
  if (folder == NULL)
    return sf_fail_memory(error, "path of a local copy");
  sf_code code = sf_make_folders(folder, error);
  free(folder);
  return code;
}

static void sync_folder_of(const char *path) {
  char *folder = sf_folder_of(path);
  if (folder != NULL)
    sf_sync_folder(folder);
  free(folder);
}

/* ------------------------------------------------------------------------------------------------------------ Locking */

sf_code sf_local_copy_lock(const char *path, const sf_cancellation *cancellation, int *lock, sf_error *error) {
  SF_TRY(make_folder_of(path, error));
  char *lock_path = sf_format("%s" LOCK_SUFFIX, path);
  if (lock_path == NULL)
    return sf_fail_memory(error, "path of a lock");
  sf_code code = SF_OK;
  int descriptor = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0)
    code = sf_fail_errno(error, "make", lock_path, errno);
  if (code == SF_OK)
    code = sf_wait_for_lock(descriptor, lock_path, cancellation, error);
  if (code == SF_OK)
    *lock = descriptor;
  else if (descriptor >= 0)
    close(descriptor);
  free(lock_path);
  return code;
}

/* By name, for closing gives it back only with the last copy of the descriptor: a child that was forked meanwhile has one. */
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

static bool read_members(const json_t *object, record *found) {
  const char *url = NULL;
  const char *xxh3 = NULL;
  int64_t size = 0;
  if (sf_json_string(object, "url", true, "record", SF_ERROR, &url, NULL) != SF_OK ||
      sf_json_integer(object, "size", true, 0, INT64_MAX, "record", SF_ERROR, &size, NULL) != SF_OK ||
      sf_json_string(object, "xxh3", true, "record", SF_ERROR, &xxh3, NULL) != SF_OK ||
      strlen(xxh3) != sizeof(found->xxh3) - 1)
    return false;
  found->size = (uint64_t)size;
  memcpy(found->xxh3, xxh3, sizeof(found->xxh3));
  found->url = sf_strdup(url);
  return found->url != NULL;
}

/* False when there is no record that makes sense. */
static bool read_record(const char *path, record *found) {
  *found = (record){0};
  char *record_path = sf_format("%s" RECORD_SUFFIX, path);
  FILE *file = record_path == NULL ? NULL : fopen(record_path, "rbe");
  free(record_path);
  if (file == NULL)
    return false;
  char text[RECORD_MAX_BYTES];
  size_t length = fread(text, 1, sizeof(text) - 1, file);
  fclose(file);
  text[length] = '\0';
  sf_json json = {0};
  bool readable = sf_json_parse_object(text, length, SF_JSON_STRICT, "record", SF_ERROR, &json, NULL) == SF_OK &&
                  read_members(json.root, found);
  sf_json_free(&json);
  return readable;
}

static void hash_to_text(const XXH3_state_t *hash, char text[17]) {
  snprintf(text, 17, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(hash));
}

static sf_code check_contents(const char *path, const record *expected, const sf_cancellation *cancellation,
                              bool *holds, sf_error *error) {
  struct stat status;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return SF_OK;
  sf_code code = SF_OK;
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size == expected->size) {
    XXH3_state_t *hash = XXH3_createState();
    char text[17] = "";
    code = hash == NULL ? sf_fail_memory(error, "checksum") : SF_OK;
    if (code == SF_OK) {
      XXH3_64bits_reset(hash);
      code = hash_file(descriptor, path, 0, expected->size, hash, NULL, NULL, cancellation, error);
      hash_to_text(hash, text);
    }
    *holds = code == SF_OK && strcmp(text, expected->xxh3) == 0;
    /* A file that can't be read, a broken disk for one, is a copy that does not hold. */
    if (code == SF_ERROR)
      code = SF_OK;
    XXH3_freeState(hash);
  }
  close(descriptor);
  return code;
}

sf_code sf_local_copy_check(const char *path, const char *url, const sf_cancellation *cancellation, bool *holds,
                            sf_error *error) {
  record expected;
  *holds = false;
  sf_code code = SF_OK;
  if (read_record(path, &expected) && strcmp(expected.url, url) == 0)
    code = check_contents(path, &expected, cancellation, holds, error);
  free(expected.url);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------- Writing */

static bool ends_with(const char *text, const char *suffix) {
  size_t length = strlen(text);
  size_t suffix_length = strlen(suffix);
  return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

/* Whoever holds the lock is the only one to write: every partial file of this copy is a left-over. */
static void remove_leftovers(const char *path) {
  char *folder = sf_folder_of(path);
  const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
  DIR *entries = folder == NULL ? NULL : opendir(folder);
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    if (strncmp(entry->d_name, name, strlen(name)) != 0 || entry->d_name[strlen(name)] != '.' ||
        !ends_with(entry->d_name, PARTIAL_SUFFIX))
      continue;
    char *leftover = sf_format("%s/%s", folder, entry->d_name);
    if (leftover != NULL)
      unlink(leftover);
    free(leftover);
  }
  if (entries != NULL)
    closedir(entries);
  free(folder);
}

sf_code sf_local_copy_begin(sf_local_copy *copy, const char *path, sf_error *error) {
  *copy = (sf_local_copy){.path = path, .descriptor = -1};
  remove_leftovers(path);
  copy->temporary_path = sf_format("%s.%lld" PARTIAL_SUFFIX, path, (long long)getpid());
  copy->hash = XXH3_createState();
  if (copy->temporary_path == NULL || copy->hash == NULL) {
    sf_local_copy_end(copy);
    return sf_fail_memory(error, "local copy");
  }
  XXH3_64bits_reset(copy->hash);
  copy->descriptor = open(copy->temporary_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (copy->descriptor < 0) {
    sf_code code = sf_fail_errno(error, "make", copy->temporary_path, errno);
    sf_local_copy_end(copy);
    return code;
  }
  /* Whoever clears the folder leaves locked files alone. Where there are no such locks, nobody clears by them either. */
  (void)flock(copy->descriptor, LOCK_EX | LOCK_NB);
  return SF_OK;
}

sf_code sf_local_copy_write(sf_local_copy *copy, uint64_t offset, const uint8_t *bytes, size_t length,
                            sf_error *error) {
  return sf_write_at(copy->descriptor, copy->temporary_path, bytes, length, offset, error);
}

sf_code sf_local_copy_hash(sf_local_copy *copy, uint64_t length, sf_local_copy_callback callback, void *user_data,
                           const sf_cancellation *cancellation, sf_error *error) {
  if (length == 0) {
    XXH3_64bits_reset(copy->hash);
    copy->hashed = 0;
    return SF_OK;
  }
  SF_TRY(hash_file(copy->descriptor, copy->temporary_path, copy->hashed, length, copy->hash, callback, user_data,
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
  char *path = sf_format("%s" RECORD_SUFFIX, copy->path);
  char *temporary_path = sf_format("%s" RECORD_SUFFIX PARTIAL_SUFFIX, copy->path);
  sf_code code = make_record(copy, url, &text, error);
  int descriptor = -1;
  if (code == SF_OK && (path == NULL || temporary_path == NULL))
    code = sf_fail_memory(error, "record of a local copy");
  else if (code == SF_OK && (descriptor = open(temporary_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
    code = sf_fail_errno(error, "make", temporary_path, errno);
  if (code == SF_OK)
    code = sf_write_at(descriptor, temporary_path, text.data, text.length, 0, error);
  if (code == SF_OK)
    code = sf_publish_file(descriptor, temporary_path, path, error);
  if (descriptor >= 0)
    close(descriptor);
  free(temporary_path);
  free(path);
  sf_buffer_free(&text);
  return code;
}

sf_code sf_local_copy_publish(sf_local_copy *copy, const char *url, sf_error *error) {
  /* Parts that were fetched of a longer version before it was replaced. */
  if (ftruncate(copy->descriptor, (off_t)copy->hashed) != 0)
    return sf_fail_errno(error, "cut", copy->temporary_path, errno);
  if (fsync(copy->descriptor) != 0)
    return sf_fail_errno(error, "sync", copy->temporary_path, errno);
  SF_TRY(write_record(copy, url, error));
  if (rename(copy->temporary_path, copy->path) != 0)
    return sf_fail_errno(error, "put in place", copy->path, errno);
  free(copy->temporary_path);
  copy->temporary_path = NULL;
  sync_folder_of(copy->path);
  return SF_OK;
}

void sf_local_copy_end(sf_local_copy *copy) {
  if (copy->descriptor >= 0)
    sf_local_copy_unlock(copy->descriptor);
  if (copy->temporary_path != NULL)
    unlink(copy->temporary_path);
  free(copy->temporary_path);
  XXH3_freeState(copy->hash);
  *copy = (sf_local_copy){.descriptor = -1};
}
