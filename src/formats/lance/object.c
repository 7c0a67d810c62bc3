#include "formats/lance/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

struct sf_lance_object {
  char *name;
  uint64_t size;
  const uint8_t *bytes; /* the whole object in memory, borrowed; or NULL */
  sf_lance_mirror_mapping mirror;
  sf_storage *storage; /* where it is not mapped; borrowed */
  char *key;
  uint8_t *tail; /* the last tail_length bytes */
  uint64_t tail_length;
};

void sf_lance_slice_release(sf_lance_slice *slice) {
  free(slice->owned);
  *slice = (sf_lance_slice){0};
}

bool sf_lance_storage_is_local(const sf_storage *storage) {
  return !storage->vtable->is_remote;
}

static sf_lance_object *object_new(const char *name, sf_error *error) {
  sf_lance_object *object = sf_calloc(1, sizeof(*object));
  if (object != NULL && (object->name = sf_strdup(name)) == NULL) {
    free(object);
    object = NULL;
  }
  if (object == NULL)
    sf_fail_memory(error, name);
  return object;
}

static sf_code check_size(const sf_lance_object *object, uint64_t expected, sf_error *error) {
  if (expected == 0 || object->size == expected)
    return SF_OK;
  return SF_LANCE_BAD(error, "%s: expected %llu bytes, found %llu", object->name, (unsigned long long)expected,
                      (unsigned long long)object->size);
}

static sf_code map_file(sf_lance_object *object, const char *path, uint64_t expected_size, sf_error *error) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return sf_fail(error, sf_errno_code(errno, SF_DB_ADAPTER_ERROR), "%s: can't open %s: %s", object->name, path,
                   strerror(errno));
  struct stat status;
  sf_code code = SF_OK;
  if (fstat(descriptor, &status) != 0) {
    code = sf_fail(error, sf_errno_code(errno, SF_DB_ADAPTER_ERROR), "%s: can't look at %s: %s", object->name, path,
                   strerror(errno));
    goto done;
  }
  object->size = (uint64_t)status.st_size;
  code = check_size(object, expected_size, error);
  if (code != SF_OK || object->size == 0)
    goto done;
  void *mapping = mmap(NULL, (size_t)object->size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED) {
    code = sf_fail(error, sf_errno_code(errno, SF_DB_ADAPTER_ERROR), "%s: can't map %s: %s", object->name, path,
                   strerror(errno));
    goto done;
  }
  object->mirror = (sf_lance_mirror_mapping){.mapping = mapping, .length = (size_t)object->size};
  object->bytes = mapping;
done:
  close(descriptor);
  return code;
}

void sf_lance_mirror_unmap(sf_lance_mirror_mapping *mirror) {
  if (mirror->mapping != NULL)
    munmap(mirror->mapping, mirror->length);
  free(mirror->ranges);
  *mirror = (sf_lance_mirror_mapping){0};
}

sf_code sf_lance_object_open_bytes(sf_lance_bytes bytes, const char *name, sf_lance_object **opened, sf_error *error) {
  sf_lance_object *object = object_new(name, error);
  if (object == NULL)
    return SF_OUT_OF_MEMORY_ERROR;
  object->bytes = bytes.data;
  object->size = bytes.length;
  *opened = object;
  return SF_OK;
}

sf_code sf_lance_object_open_mirrored(sf_storage *storage, const char *key, const char *name, uint64_t size,
                                      const sf_lance_mirror_mapping *mirror, sf_lance_object **opened,
                                      sf_error *error) {
  sf_lance_mirror_mapping taken = *mirror;
  sf_lance_object *object = object_new(name, error);
  if (object == NULL || (object->key = sf_strdup(key)) == NULL) {
    sf_lance_mirror_unmap(&taken);
    sf_lance_object_close(object);
    return sf_fail_memory(error, name);
  }
  object->storage = storage;
  object->size = size;
  object->mirror = taken;
  *opened = object;
  return SF_OK;
}

static sf_code fail_missing(const char *name, sf_error *error) {
  return SF_LANCE_BAD(error, "%s is missing", name);
}

static sf_code check_range(const sf_lance_object *object, uint64_t offset, uint64_t length, sf_error *error) {
  if (offset <= object->size && length <= object->size - offset)
    return SF_OK;
  return SF_LANCE_BAD(error, "%s: %llu bytes at offset %llu lie outside its %llu bytes", object->name,
                      (unsigned long long)length, (unsigned long long)offset, (unsigned long long)object->size);
}

/* A range that can't be read because the object is shorter than it should be is the shard's failure, not the
 * storage's. */
static sf_code fetch(const sf_lance_object *object, uint64_t offset, size_t length, const sf_cancellation *cancellation,
                     void *bytes, sf_error *error) {
  bool found = true;
  sf_code code = sf_storage_get_range(object->storage, object->key, offset, length, cancellation, &found, bytes, error);
  if (code == SF_OK)
    return found ? SF_OK : fail_missing(object->name, error);
  sf_object_info info;
  if (code == SF_ERROR && sf_storage_head(object->storage, object->key, cancellation, &found, &info, NULL) == SF_OK &&
      (!found || info.size != object->size))
    return found ? SF_LANCE_BAD(error, "%s: expected %llu bytes, found %llu", object->name,
                                (unsigned long long)object->size, (unsigned long long)info.size)
                 : fail_missing(object->name, error);
  return code;
}

static sf_code open_local(sf_lance_object *object, uint64_t expected_size, const sf_cancellation *cancellation,
                          sf_error *error) {
  bool found;
  char *path = NULL;
  SF_TRY(sf_storage_local_file(object->storage, object->key, NULL, cancellation, &found, &path, error));
  if (!found)
    return fail_missing(object->name, error);
  sf_code code = map_file(object, path, expected_size, error);
  free(path);
  return code;
}

static sf_code open_remote(sf_lance_object *object, uint64_t expected_size, const sf_cancellation *cancellation,
                           sf_error *error) {
  bool found = true;
  sf_object_info info = {.size = expected_size};
  if (expected_size == 0)
    SF_TRY(sf_storage_head(object->storage, object->key, cancellation, &found, &info, error));
  if (!found)
    return fail_missing(object->name, error);
  object->size = info.size;
  uint64_t length = object->size < SF_LANCE_TAIL_LENGTH ? object->size : SF_LANCE_TAIL_LENGTH;
  object->tail = sf_calloc(1, (size_t)length);
  if (object->tail == NULL)
    return sf_fail_memory(error, object->name);
  SF_TRY(fetch(object, object->size - length, (size_t)length, cancellation, object->tail, error));
  object->tail_length = length;
  return SF_OK;
}

sf_code sf_lance_object_open(sf_storage *storage, const char *key, const char *name, uint64_t expected_size,
                             const sf_cancellation *cancellation, sf_lance_object **opened, sf_error *error) {
  sf_lance_object *object = object_new(name, error);
  if (object == NULL)
    return SF_OUT_OF_MEMORY_ERROR;
  object->storage = storage;
  object->key = sf_strdup(key);
  sf_code code;
  if (object->key == NULL)
    code = sf_fail_memory(error, name);
  else if (sf_lance_storage_is_local(storage))
    code = open_local(object, expected_size, cancellation, error);
  else
    code = open_remote(object, expected_size, cancellation, error);
  if (code == SF_OK)
    *opened = object;
  else
    sf_lance_object_close(object);
  return code;
}

void sf_lance_object_close(sf_lance_object *object) {
  if (object == NULL)
    return;
  sf_lance_mirror_unmap(&object->mirror);
  free(object->tail);
  free(object->key);
  free(object->name);
  free(object);
}

const char *sf_lance_object_name(const sf_lance_object *object) {
  return object->name;
}

uint64_t sf_lance_object_size(const sf_lance_object *object) {
  return object->size;
}

const uint8_t *sf_lance_object_mapped(const sf_lance_object *object, uint64_t offset, uint64_t length) {
  if (offset > object->size || length > object->size - offset)
    return NULL;
  if (object->bytes != NULL)
    return object->bytes + offset;
  for (size_t i = 0; i < object->mirror.num_ranges; i++) {
    sf_lance_range range = object->mirror.ranges[i];
    if (offset >= range.offset && offset - range.offset <= range.length &&
        length <= range.length - (offset - range.offset))
      return (const uint8_t *)object->mirror.mapping + offset;
  }
  return NULL;
}

sf_code sf_lance_object_copy(const sf_lance_object *object, uint64_t offset, uint64_t length,
                             const sf_cancellation *cancellation, void *bytes, sf_error *error) {
  SF_TRY(check_range(object, offset, length, error));
  if (length == 0)
    return SF_OK;
  uint64_t tail_offset = object->size - object->tail_length;
  const uint8_t *mapped = sf_lance_object_mapped(object, offset, length);
  if (mapped != NULL) {
    memcpy(bytes, mapped, (size_t)length);
    return SF_OK;
  }
  if (object->tail_length > 0 && offset >= tail_offset) {
    memcpy(bytes, object->tail + (offset - tail_offset), (size_t)length);
    return SF_OK;
  }
  bool found;
  SF_TRY(
      sf_storage_get_range(object->storage, object->key, offset, (size_t)length, cancellation, &found, bytes, error));
  return found ? SF_OK : fail_missing(object->name, error);
}

sf_code sf_lance_object_read(const sf_lance_object *object, uint64_t offset, uint64_t length,
                             const sf_cancellation *cancellation, sf_lance_slice *slice, sf_error *error) {
  static const uint8_t nothing[1] = {0};
  SF_TRY(check_range(object, offset, length, error));
  slice->bytes = (sf_lance_bytes){nothing, (size_t)length};
  if (length == 0)
    return SF_OK;
  const uint8_t *mapped = sf_lance_object_mapped(object, offset, length);
  if (mapped != NULL) {
    slice->bytes.data = mapped;
    return SF_OK;
  }
  slice->owned = sf_calloc(1, (size_t)length);
  if (slice->owned == NULL)
    return sf_fail_memory(error, object->name);
  slice->bytes.data = slice->owned;
  return sf_lance_object_copy(object, offset, length, cancellation, slice->owned, error);
}

void sf_lance_cache_name(const char *name, const char *kind, char cache_name[SF_LANCE_CACHE_NAME_SIZE]) {
  XXH128_hash_t hash = XXH3_128bits(name, strlen(name));
  snprintf(cache_name, SF_LANCE_CACHE_NAME_SIZE, "lance-%016llx%016llx.%s", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64, kind);
}
