#include "formats/lance/mirror.h"

#include "base/files.h"
#include "cache/scratch_folder.h"
#include "formats/formats.h"
#include "formats/lance/data_file.h"
#include "formats/lance/fetch_ranges.h"

#include <errno.h>
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

/* The ranges of a mapped file of `length` bytes, for the caller to free; NULL where it is no whole mirror of an object
 * of `size` bytes. */
static sf_code check_mirror(const uint8_t *bytes, size_t length, uint64_t size, sf_lance_range **checked,
                            sf_error *error) {
  mirror_trailer trailer;
  uint64_t offset = ranges_offset(size);
  *checked = NULL;
  if (size > INT64_MAX || length < sizeof(trailer) || length - sizeof(trailer) < offset)
    return SF_OK;
  memcpy(&trailer, bytes + length - sizeof(trailer), sizeof(trailer));
  size_t ranges_length = length - sizeof(trailer) - (size_t)offset;
  if (memcmp(trailer.magic, MIRROR_MAGIC, sizeof(trailer.magic)) != 0 || trailer.size != size ||
      ranges_length % sizeof(sf_lance_range) != 0 || trailer.num_ranges != ranges_length / sizeof(sf_lance_range))
    return SF_OK;
  sf_lance_range *ranges = sf_calloc((size_t)trailer.num_ranges, sizeof(*ranges));
  if (ranges == NULL)
    return sf_fail_memory(error, "ranges of a file");
  memcpy(ranges, bytes + offset, ranges_length);
  if (ranges_fit(ranges, trailer.num_ranges, size) && checksum_mirror(bytes, ranges, &trailer) == trailer.checksum)
    *checked = ranges;
  else
    free(ranges);
  return SF_OK;
}

/* *usable says whether the file is a whole mirror; where it is not, nothing stays mapped. */
static sf_code map_mirror(int descriptor, uint64_t file_size, uint64_t size, bool *usable,
                          sf_lance_mirror_mapping *mirror, sf_error *error) {
  *usable = false;
  if (file_size == 0 || file_size > SIZE_MAX)
    return SF_OK;
  size_t length = (size_t)file_size;
  void *mapping = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED)
    return errno == ENOMEM ? sf_fail_memory(error, "a mirror") : SF_OK;
  *mirror = (sf_lance_mirror_mapping){.mapping = mapping, .length = length};
  sf_code code = check_mirror(mapping, length, size, &mirror->ranges, error);
  *usable = mirror->ranges != NULL;
  if (*usable)
    mirror->num_ranges = (size_t)((length - sizeof(mirror_trailer) - ranges_offset(size)) / sizeof(sf_lance_range));
  else
    sf_lance_mirror_unmap(mirror);
  return code;
}

/* A mirror in the cache: its object, and the ranges to fetch where it has to be made. */
typedef struct cached_mirror {
  const char *name;
  uint64_t size;
  const sf_lance_object *object;
  const range_list *list;
  sf_lance_mirror_mapping *mapping;
} cached_mirror;

static sf_code map_cached(void *context, const sf_folder *folder, bool *usable, sf_error *error) {
  const cached_mirror *mirror = context;
  int descriptor;
  struct stat status;
  *usable = false;
  SF_TRY(sf_folder_open_file(folder, mirror->name, &descriptor, &status, error));
  if (descriptor < 0)
    return SF_OK;
  sf_code code = map_mirror(descriptor, (uint64_t)status.st_size, mirror->size, usable, mirror->mapping, error);
  close(descriptor);
  return code;
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

/* The ranges to fetch. */
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

static uint64_t count_bytes(const range_list *list) {
  uint64_t bytes = list->count * sizeof(*list->ranges) + sizeof(mirror_trailer);
  for (size_t i = 0; i < list->count; i++)
    bytes += list->ranges[i].length;
  return bytes;
}

/* Takes the disk space of every range before the first is fetched. */
static sf_code reserve_ranges(int descriptor, const char *path, uint64_t size, const range_list *list,
                              sf_error *error) {
  const uint64_t needed = count_bytes(list);
  for (size_t i = 0; i < list->count; i++)
    SF_TRY(sf_reserve(descriptor, path, list->ranges[i].offset, list->ranges[i].length, needed, error));
  return sf_reserve(descriptor, path, ranges_offset(size), list->count * sizeof(*list->ranges) + sizeof(mirror_trailer),
                    needed, error);
}

static sf_code fill_mirror(int descriptor, const char *path, const sf_lance_object *object, const range_list *list,
                           const sf_cancellation *cancellation, sf_error *error) {
  SF_TRY(reserve_ranges(descriptor, path, sf_lance_object_size(object), list, error));
  SF_TRY(sf_lance_fetch_ranges(object, list->ranges, list->count, descriptor, path, cancellation, error));
  return write_trailer(descriptor, path, sf_lance_object_size(object), list, error);
}

static sf_code make_cached(void *context, const sf_folder *folder, const sf_cancellation *cancellation,
                           sf_error *error) {
  const cached_mirror *mirror = context;
  sf_new_file file;
  sf_code code = sf_new_file_make(folder, mirror->name, &file, error);
  if (code == SF_OK) {
    code = fill_mirror(file.descriptor, file.path, mirror->object, mirror->list, cancellation, error);
    if (code == SF_OK)
      code = sf_new_file_publish(&file, error);
    sf_new_file_end(&file);
  }
  return code == SF_ERROR ? sf_error_prefix(error, "local cache") : code;
}

static sf_cached_file cached_file_of(const sf_shard_params *params, cached_mirror *mirror) {
  return (sf_cached_file){.place = sf_shard_cache_place(params),
                          .name = mirror->name,
                          .num_bytes = mirror->list == NULL ? 0 : count_bytes(mirror->list),
                          .context = mirror,
                          .map = map_cached,
                          .make = make_cached};
}

static sf_code make_cached_mirror(const sf_shard_params *params, const char *name, const sf_lance_object *object,
                                  const range_list *list, const sf_cancellation *cancellation,
                                  sf_lance_mirror_mapping *mapping, sf_error *error) {
  cached_mirror mirror = {
      .name = name, .size = sf_lance_object_size(object), .object = object, .list = list, .mapping = mapping};
  const sf_cached_file file = cached_file_of(params, &mirror);
  return sf_cached_file_make(&file, cancellation, error);
}

/* A mirror that is there already, without the folder's lock. */
static sf_code map_cached_mirror(const sf_shard_params *params, const char *name, uint64_t size, bool *usable,
                                 sf_lance_mirror_mapping *mapping, sf_error *error) {
  cached_mirror mirror = {.name = name, .size = size, .mapping = mapping};
  const sf_cached_file file = cached_file_of(params, &mirror);
  *usable = false;
  return params->verify_only || size == 0 ? SF_OK : sf_cached_file_map(&file, usable, error);
}

/* A mirror in a nameless file beside the cache's folder, which is removed when it is closed. */
static sf_code make_nameless_mirror(const sf_shard_params *params, const sf_lance_object *object,
                                    const range_list *list, const sf_cancellation *cancellation,
                                    sf_lance_mirror_mapping *mirror, sf_error *error) {
  int descriptor = -1;
  struct stat status;
  bool usable = false;
  sf_scratch_remove_leftovers(params->cache_dir);
  SF_TRY(sf_scratch_file_open(params->cache_dir, &descriptor, error));
  sf_code code = fill_mirror(descriptor, params->cache_dir, object, list, cancellation, error);
  if (code == SF_OK && fstat(descriptor, &status) == 0)
    code = map_mirror(descriptor, (uint64_t)status.st_size, sf_lance_object_size(object), &usable, mirror, error);
  if (code == SF_OK && !usable)
    code = sf_fail(error, SF_ERROR, "local cache: a file beside %s does not hold what was just written to it",
                   params->cache_dir);
  close(descriptor);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- Opening */

/* Reads the file's tables from the storage, and mirrors the ranges that a search reads. */
static sf_code mirror_file(const sf_shard_params *params, const sf_lance_manifest *manifest,
                           const Sf__Lance__DataFile *message, sf_lance_object *object, const char *name,
                           const sf_cancellation *cancellation, sf_lance_mirror_mapping *mirror, sf_error *error) {
  sf_lance_data_file file;
  range_list list = {0};
  SF_TRY(sf_lance_data_file_open(object, cancellation, &file, error));
  sf_code code = choose_ranges(&file, manifest, message, params->verify_only, cancellation, &list, error);
  if (code == SF_OK && params->verify_only)
    code = make_nameless_mirror(params, object, &list, cancellation, mirror, error);
  else if (code == SF_OK)
    code = make_cached_mirror(params, name, object, &list, cancellation, mirror, error);
  free(list.ranges);
  sf_lance_data_file_close(&file);
  return code;
}

sf_code sf_lance_mirror_open(const sf_shard_params *params, const sf_lance_manifest *manifest,
                             const Sf__Lance__DataFile *file, const char *key, const char *name,
                             const sf_cancellation *cancellation, sf_lance_object **object, sf_error *error) {
  char cached_name[SF_LANCE_CACHE_NAME_SIZE];
  sf_lance_mirror_mapping mirror = {0};
  uint64_t size = file->file_size_bytes;
  bool usable;
  sf_lance_cache_name(name, "mirror", cached_name);
  SF_TRY(map_cached_mirror(params, cached_name, size, &usable, &mirror, error));
  if (!usable) {
    sf_lance_object *remote;
    SF_TRY(sf_lance_object_open(params->storage, key, name, size, cancellation, &remote, error));
    size = sf_lance_object_size(remote);
    SF_TRY(mirror_file(params, manifest, file, remote, cached_name, cancellation, &mirror, error));
  }
  return sf_lance_object_open_mirrored(params->storage, key, name, size, &mirror, object, error);
}
