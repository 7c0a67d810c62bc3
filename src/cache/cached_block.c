#include "cache/cached_block.h"

#include "base/files.h"
#include "base/memory.h"
#include "cache/cache_limit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A block as an sf_cached_file sees it. */
typedef struct block_access {
  const sf_block_file *file;
  sf_cached_block *block;
  void *bytes; /* to write; NULL: to be made */
  size_t length;
  bool has_failed_to_make; /* then that is the failure, and not the cache's */
} block_access;

void *sf_block_allocate(size_t length) {
  void *block = NULL;
  if (posix_memalign(&block, SF_BLOCK_ALIGNMENT, length > 0 ? length : 1) != 0)
    return NULL;
  return memset(block, 0, length);
}

static sf_code map_descriptor(const block_access *access, int descriptor, size_t length, const sf_folder *folder,
                              bool *usable, sf_error *error) {
  void *mapping = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "local cache: can't map %s/%s: %s", folder->path,
                   access->file->name, strerror(errno));
  *usable = access->file->read(access->file->context, mapping, length);
  if (*usable)
    *access->block = (sf_cached_block){.bytes = mapping, .length = length, .is_mapped = true};
  else
    munmap(mapping, length);
  return SF_OK;
}

static sf_code map_file(void *context, const sf_folder *folder, bool *usable, sf_error *error) {
  const block_access *access = context;
  struct stat status;
  int descriptor;
  *usable = false;
  SF_TRY(sf_folder_open_file(folder, access->file->name, &descriptor, &status, error));
  if (descriptor < 0)
    return SF_OK;
  sf_code code = SF_OK;
  if (status.st_size > 0 && (uint64_t)status.st_size <= SIZE_MAX)
    code = map_descriptor(access, descriptor, (size_t)status.st_size, folder, usable, error);
  close(descriptor);
  return code;
}

static sf_code make_bytes(block_access *access, const sf_cancellation *cancellation, sf_error *error) {
  if (access->bytes != NULL)
    return SF_OK;
  sf_code code = access->file->make(access->file->context, cancellation, &access->bytes, &access->length, error);
  access->has_failed_to_make = code != SF_OK;
  return code;
}

static sf_code write_file(void *context, const sf_folder *folder, const sf_cancellation *cancellation,
                          sf_error *error) {
  block_access *access = context;
  const sf_cache_place *place = &access->file->place;
  sf_new_file written = SF_NEW_FILE_NONE;
  SF_TRY(sf_cancellation_check(cancellation, error));
  if (access->bytes == NULL) { /* its length is known only now */
    SF_TRY(make_bytes(access, cancellation, error));
    sf_cache_make_room(place->cache_dir, place->max_cache_bytes, access->length);
  }
  SF_TRY(sf_new_file_make(folder, access->file->name, &written, error));
  sf_code code = sf_reserve(written.descriptor, written.path, 0, access->length, access->length, error);
  if (code == SF_OK)
    code = sf_write_at(written.descriptor, written.path, access->bytes, access->length, 0, error);
  if (code == SF_OK)
    code = sf_new_file_publish(&written, error);
  sf_new_file_end(&written);
  return code;
}

static sf_cached_file cached_file(block_access *access) {
  return (sf_cached_file){.place = access->file->place,
                          .name = access->file->name,
                          .suffix = access->file->suffix,
                          .max_files = access->file->max_files,
                          .num_bytes = access->length,
                          .context = access,
                          .map = map_file,
                          .make = write_file};
}

sf_code sf_cached_block_map(const sf_block_file *file, sf_cached_block *block, sf_error *error) {
  block_access access = {.file = file, .block = block};
  const sf_cached_file cached = cached_file(&access);
  bool usable;
  sf_error failure;
  sf_code code = file->place.cache_dir == NULL ? SF_OK : sf_cached_file_map(&cached, &usable, &failure);
  if (code == SF_OK || code == SF_ERROR) /* a folder that can't be opened has no block either */
    return SF_OK;
  if (error != NULL)
    *error = failure;
  return code;
}

static sf_code use_in_memory(const sf_block_file *file, void *bytes, size_t length, sf_cached_block *block,
                             sf_error *error) {
  *block = (sf_cached_block){.bytes = bytes, .length = length};
  return file->read(file->context, bytes, length)
             ? SF_OK
             : sf_fail(error, SF_ERROR, "%s does not hold what was just written to it", file->name);
}

/* Writes the file, or where the cache can't be written to, uses what was made or is made now. */
static sf_code keep(block_access *access, const sf_cancellation *cancellation, sf_error *error) {
  const sf_block_file *file = access->file;
  const sf_cached_file cached = cached_file(access);
  sf_error failure;
  sf_code code = file->place.cache_dir == NULL ? SF_ERROR : sf_cached_file_make(&cached, cancellation, &failure);
  bool is_of_cache = code != SF_OK && code != SF_CANCELLED_ERROR && code != SF_OUT_OF_MEMORY_ERROR;
  if (is_of_cache && !access->has_failed_to_make) {
    code = make_bytes(access, cancellation, &failure);
    if (code == SF_OK)
      return use_in_memory(file, access->bytes, access->length, access->block, error);
  }
  free(access->bytes);
  if (code != SF_OK && error != NULL)
    *error = failure;
  return code;
}

sf_code sf_cached_block_keep(const sf_block_file *file, void *bytes, size_t length, const sf_cancellation *cancellation,
                             sf_cached_block *block, sf_error *error) {
  block_access access = {.file = file, .block = block, .bytes = bytes, .length = length};
  return keep(&access, cancellation, error);
}

sf_code sf_cached_block_open(const sf_block_file *file, const sf_cancellation *cancellation, sf_cached_block *block,
                             sf_error *error) {
  block_access access = {.file = file, .block = block};
  SF_TRY(sf_cached_block_map(file, block, error));
  return block->bytes != NULL ? SF_OK : keep(&access, cancellation, error);
}

void sf_cached_block_free(sf_cached_block *block) {
  if (block->is_mapped)
    munmap(block->bytes, block->length);
  else
    free(block->bytes);
  *block = (sf_cached_block){0};
}
