#include "shard/lance/mirror.h"

#include "shard/cache_folder.h"
#include "shard/lance/cache_names.h"
#include "shard/lance/data_file.h"
#include "shard/lance/fetch_ranges.h"
#include "shard/scratch_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define MIRROR_MAGIC "SFLANCE1"

typedef struct mirror_trailer {
  char magic[8];
  uint64_t size; /* of the object */
  uint64_t num_ranges;
  uint64_t checksum; /* XXH3-64 of the ranges' bytes, the ranges, and the two numbers before */
} mirror_trailer;

/* Ranges that grow. */
typedef struct range_list {
  sf_lance_range *ranges;
  size_t count;
} range_list;

static uint64_t ranges_offset(uint64_t size) {
  return (size + 7) / 8 * 8;
}

/* ------------------------------------------------------------------------------------------------- Mapping a mirror */

static uint64_t checksum_mirror(const uint8_t *bytes, const sf_lance_range *ranges, const mirror_trailer *trailer) {
  uint64_t numbers[2] = {trailer->size, trailer->num_ranges};
  uint64_t checksum = XXH3_64bits(numbers, sizeof(numbers));
  checksum = XXH3_64bits_withSeed(ranges, (size_t)trailer->num_ranges * sizeof(*ranges), checksum);
  for (uint64_t i = 0; i < trailer->num_ranges; i++)
    checksum = XXH3_64bits_withSeed(bytes + ranges[i].offset, (size_t)ranges[i].length, checksum);
  return checksum;
}

static bool ranges_fit(const sf_lance_range *ranges, uint64_t count, uint64_t size) {
  uint64_t end = 0;
  for (uint64_t i = 0; i < count; i++) {
    if (ranges[i].offset < end || ranges[i].offset > size || ranges[i].length > size - ranges[i].offset)
      return false;
    end = ranges[i].offset + ranges[i].length;
  }
  return true;
}

/* Whether a mapped file of `length` bytes is a whole mirror of an object of `size` bytes. */
static sf_lance_range *check_mirror(const uint8_t *bytes, size_t length, uint64_t size) {
  mirror_trailer trailer;
  uint64_t offset = ranges_offset(size);
  if (size > INT64_MAX || length < sizeof(trailer) || length - sizeof(trailer) < offset)
    return NULL;
  memcpy(&trailer, bytes + length - sizeof(trailer), sizeof(trailer));
  size_t ranges_length = length - sizeof(trailer) - (size_t)offset;
  if (memcmp(trailer.magic, MIRROR_MAGIC, sizeof(trailer.magic)) != 0 || trailer.size != size ||
      ranges_length % sizeof(sf_lance_range) != 0 || trailer.num_ranges != ranges_length / sizeof(sf_lance_range))
    return NULL;
  sf_lance_range *ranges = sf_calloc((size_t)trailer.num_ranges, sizeof(*ranges));
  if (ranges == NULL)
    return NULL;
  memcpy(ranges, bytes + offset, ranges_length);
  if (ranges_fit(ranges, trailer.num_ranges, size) && checksum_mirror(bytes, ranges, &trailer) == trailer.checksum)
    return ranges;
  free(ranges);
  return NULL;
}

static bool map_mirror(int descriptor, uint64_t size, sf_lance_mirror_mapping *mirror) {
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0)
    return false;
  size_t length = (size_t)status.st_size;
  void *mapping = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED)
    return false;
  *mirror = (sf_lance_mirror_mapping){.mapping = mapping, .length = length};
  mirror->ranges = check_mirror(mapping, length, size);
  if (mirror->ranges == NULL) {
    sf_lance_mirror_unmap(mirror);
    return false;
  }
  mirror->num_ranges = (size_t)((length - sizeof(mirror_trailer) - ranges_offset(size)) / sizeof(sf_lance_range));
  return true;
}

static bool map_mirror_at(const char *path, uint64_t size, sf_lance_mirror_mapping *mirror) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return false;
  bool usable = map_mirror(descriptor, size, mirror);
  close(descriptor);
  return usable;
}

/* ----------------------------------------------------------------------------------------------------- Which ranges */

static int compare_ranges(const void *left, const void *right) {
  const sf_lance_range *a = left;
  const sf_lance_range *b = right;
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static sf_code add_range(range_list *list, uint64_t offset, uint64_t length, sf_error *error) {
  sf_lance_range *ranges = sf_reallocarray(list->ranges, list->count + 1, sizeof(*ranges));
  if (ranges == NULL)
    return sf_fail_memory(error, "ranges of a file");
  list->ranges = ranges;
  list->ranges[list->count++] = (sf_lance_range){offset, length};
  return SF_OK;
}

/* Sorts, and makes one range of those that touch or overlap. */
static uint64_t merge_ranges(range_list *list) {
  uint64_t total = 0;
  size_t merged = 0;
  if (list->count > 0)
    qsort(list->ranges, list->count, sizeof(*list->ranges), compare_ranges);
  for (size_t i = 0; i < list->count; i++) {
    sf_lance_range next = list->ranges[i];
    sf_lance_range *last = merged > 0 ? &list->ranges[merged - 1] : NULL;
    if (last != NULL && next.offset <= last->offset + last->length) {
      uint64_t end = next.offset + next.length;
      if (end > last->offset + last->length)
        last->length = end - last->offset;
    } else {
      list->ranges[merged++] = next;
    }
  }
  list->count = merged;
  for (size_t i = 0; i < merged; i++)
    total += list->ranges[i].length;
  return total;
}

static sf_code add_vector_ranges(const sf_lance_data_file *file, uint32_t column_index,
                                 const sf_cancellation *cancellation, range_list *list, sf_error *error) {
  sf_lance_column column;
  SF_TRY(sf_lance_column_open(file, column_index, "vector", cancellation, &column, error));
  sf_code code = SF_OK;
  for (size_t page = 0; page < column.num_pages; page++)
    for (size_t i = 0; i < column.pages[page].num_buffers && code == SF_OK; i++)
      code = add_range(list, column.pages[page].buffer_offsets[i], column.pages[page].buffer_sizes[i], error);
  sf_lance_column_close(&column);
  return code;
}

/* What of the file is to be fetched. */
static sf_code choose_ranges(const sf_lance_data_file *file, const sf_lance_manifest *manifest,
                             const Sf__Lance__DataFile *message, bool everything, const sf_cancellation *cancellation,
                             range_list *list, sf_error *error) {
  uint64_t size = sf_lance_object_size(file->object);
  Sf__Lance__Fragment fragment = SF__LANCE__FRAGMENT__INIT;
  Sf__Lance__DataFile copy = *message;
  Sf__Lance__DataFile *files[1] = {&copy};
  uint32_t column_index;
  fragment.n_files = 1;
  fragment.files = files;
  uint64_t tail = size < SF_LANCE_TAIL_LENGTH ? size : SF_LANCE_TAIL_LENGTH;
  SF_TRY(add_range(list, size - tail, tail, error));
  if (sf_lance_fragment_file(&fragment, manifest->field_ids[SF_LANCE_VECTOR], &column_index) != NULL)
    SF_TRY(add_vector_ranges(file, column_index, cancellation, list, error));
  if (everything || size - merge_ranges(list) <= SF_LANCE_SMALL_REST) {
    list->count = 1;
    list->ranges[0] = (sf_lance_range){0, size};
  }
  return SF_OK;
}

/* -------------------------------------------------------------------------------------------------- Making a mirror */

static sf_code write_trailer(int descriptor, const char *path, uint64_t size, const range_list *list, sf_error *error) {
  mirror_trailer trailer = {.size = size, .num_ranges = list->count};
  memcpy(trailer.magic, MIRROR_MAGIC, sizeof(trailer.magic));
  uint64_t offset = ranges_offset(size);
  size_t ranges_length = list->count * sizeof(*list->ranges);
  SF_TRY(sf_write_at(descriptor, path, list->ranges, ranges_length, offset, error));
  void *mapping = mmap(NULL, (size_t)offset + ranges_length, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "local cache: can't map %s: %s", path, strerror(errno));
  trailer.checksum = checksum_mirror(mapping, list->ranges, &trailer);
  munmap(mapping, (size_t)offset + ranges_length);
  return sf_write_at(descriptor, path, &trailer, sizeof(trailer), offset + ranges_length, error);
}

static sf_code fill_mirror(int descriptor, const char *path, const sf_lance_object *object, const range_list *list,
                           const sf_cancellation *cancellation, sf_error *error) {
  SF_TRY(sf_lance_fetch_ranges(object, list->ranges, list->count, descriptor, path, cancellation, error));
  return write_trailer(descriptor, path, sf_lance_object_size(object), list, error);
}

/* Under the folder's lock: one name for all, and what a killed process left is overwritten. */
static sf_code make_mirror(const char *path, const sf_lance_object *object, const range_list *list,
                           const sf_cancellation *cancellation, sf_error *error) {
  char *temporary_path = sf_format("%s.tmp", path);
  if (temporary_path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_code code;
  int descriptor = open(temporary_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    code = sf_fail(error, sf_errno_code(errno, SF_ERROR), "local cache: can't make %s: %s", temporary_path,
                   strerror(errno));
  } else {
    code = fill_mirror(descriptor, temporary_path, object, list, cancellation, error);
    if (code == SF_OK)
      code = sf_publish_file(descriptor, temporary_path, path, error);
    else
      unlink(temporary_path);
    close(descriptor);
  }
  free(temporary_path);
  return code;
}

/* A mirror that goes when it is closed, beside the cache's folder. */
static sf_code make_nameless_mirror(const sf_shard_source *source, const sf_lance_object *object,
                                    const range_list *list, const sf_cancellation *cancellation,
                                    sf_lance_mirror_mapping *mirror, sf_error *error) {
  int descriptor = -1;
  sf_scratch_remove_rests(source->cache_dir);
  SF_TRY(sf_scratch_file_open(source->cache_dir, &descriptor, error));
  sf_code code = fill_mirror(descriptor, source->cache_dir, object, list, cancellation, error);
  if (code == SF_OK && !map_mirror(descriptor, sf_lance_object_size(object), mirror))
    code = sf_fail(error, SF_ERROR, "local cache: a file beside %s does not hold what was just written to it",
                   source->cache_dir);
  close(descriptor);
  return code;
}

static sf_code make_cached_mirror(const sf_shard_source *source, const char *path, const sf_lance_object *object,
                                  const range_list *list, const sf_cancellation *cancellation,
                                  sf_lance_mirror_mapping *mirror, sf_error *error) {
  sf_cache_folder folder;
  uint64_t size = sf_lance_object_size(object);
  SF_TRY(sf_cache_folder_open(source->cache_dir, source->db_url, source->checkpoint_id, cancellation, &folder, error));
  sf_code code = SF_OK;
  if (!map_mirror_at(path, size, mirror)) {
    code = make_mirror(path, object, list, cancellation, error);
    if (code == SF_OK && !map_mirror_at(path, size, mirror))
      code = sf_fail(error, SF_ERROR, "local cache: %s does not hold what was just written to it", path);
  }
  sf_cache_folder_close(&folder);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- Opening */

/* Looks at the file itself, and mirrors what is to be mirrored of it. */
static sf_code mirror_file(const sf_shard_source *source, const sf_lance_manifest *manifest,
                           const Sf__Lance__DataFile *message, sf_lance_object *object, const char *path,
                           const sf_cancellation *cancellation, sf_lance_mirror_mapping *mirror, sf_error *error) {
  sf_lance_data_file file;
  range_list list = {0};
  SF_TRY(sf_lance_data_file_open(object, cancellation, &file, error));
  sf_code code = choose_ranges(&file, manifest, message, source->verify_only, cancellation, &list, error);
  if (code == SF_OK && source->verify_only)
    code = make_nameless_mirror(source, object, &list, cancellation, mirror, error);
  else if (code == SF_OK)
    code = make_cached_mirror(source, path, object, &list, cancellation, mirror, error);
  free(list.ranges);
  sf_lance_data_file_close(&file);
  return code;
}

sf_code sf_lance_mirror_open(const sf_shard_source *source, const sf_lance_manifest *manifest,
                             const Sf__Lance__DataFile *file, const char *key, const char *name,
                             const sf_cancellation *cancellation, sf_lance_object **object, sf_error *error) {
  char *path = sf_lance_cache_path(source->cache_dir, name, "mirror");
  if (path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_lance_mirror_mapping mirror = {0};
  uint64_t size = file->file_size_bytes;
  sf_code code = SF_OK;
  bool usable = !source->verify_only && size > 0 &&
                sf_cache_folder_matches(source->cache_dir, source->db_url, source->checkpoint_id) &&
                map_mirror_at(path, size, &mirror);
  if (!usable) {
    sf_lance_object *remote;
    code = sf_lance_object_open(source->storage, key, name, size, cancellation, &remote, error);
    if (code == SF_OK) {
      size = sf_lance_object_size(remote);
      code = mirror_file(source, manifest, file, remote, path, cancellation, &mirror, error);
    }
  }
  if (code == SF_OK)
    code = sf_lance_object_open_mirrored(source->storage, key, name, size, &mirror, object, error);
  free(path);
  return code;
}
