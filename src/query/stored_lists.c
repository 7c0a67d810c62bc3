#include "query/stored_lists.h"

#include "snapshot/reference.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const sf_code refused = SF_DB_ADAPTER_ERROR;

/* What the callbacks of a cached block know. */
typedef struct stored_file {
  const sf_stored_lists_params *params;
  sf_lists *lists;
} stored_file;

static const sf_stored_lists *named(const sf_stored_lists_params *params) {
  return &params->manifest->lists.shards[params->db_id];
}

static sf_code check_bytes(const sf_stored_lists_params *params, const void *bytes, size_t length, sf_lists *lists,
                           sf_error *error) {
  const sf_stored_lists *stored = named(params);
  const sf_manifest_shard *shard = &params->manifest->shards[params->db_id];
  const sf_lists_identity identity = {.db_url = shard->db_url, .checkpoint_id = shard->checkpoint_id};
  if (length != stored->size)
    return sf_fail(error, refused, "expected %llu bytes, as the manifest has it, found %zu",
                   (unsigned long long)stored->size, length);
  uint64_t checksum = XXH3_64bits(bytes, (size_t)stored->head_size);
  if (checksum != stored->head_checksum)
    return sf_fail(error, refused, "expected a head with the checksum %016llx, as the manifest has it, found %016llx",
                   (unsigned long long)stored->head_checksum, (unsigned long long)checksum);
  SF_TRY(sf_lists_read(bytes, length, &identity, lists, error));
  if (lists->dim != params->manifest->dim || lists->metric != params->manifest->metric)
    return sf_fail(error, refused, "expected lists of %u components and metric %d, found %u and %d",
                   (unsigned)params->manifest->dim, (int)params->manifest->metric, (unsigned)lists->dim,
                   (int)lists->metric);
  return SF_OK;
}

/* Failures that are not the object's own keep their message. */
static sf_code name_object(const sf_stored_lists_params *params, sf_code code, sf_error *error) {
  if (code == SF_OK || code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR || sf_code_retryable(code))
    return code;
  sf_error_prefix(error, "lists of shard %u (%s)", (unsigned)params->db_id, named(params)->ref);
  return code;
}

static sf_code fetch_bytes(const sf_stored_lists_params *params, const sf_cancellation *cancellation, void **bytes,
                           sf_error *error) {
  const sf_stored_lists *stored = named(params);
  char *key;
  bool found = false;
  SF_TRY(
      sf_reference_key(stored->ref, params->manifest->s3_prefix, params->storage->root, "lists", refused, &key, error));
  sf_object_info info = {0};
  sf_code code = sf_storage_head(params->storage, key, cancellation, &found, &info, error);
  if (code == SF_OK && !found)
    code = sf_fail(error, refused, "expected an object, found none");
  else if (code == SF_OK && info.size != stored->size) /* before so much memory is asked for */
    code = sf_fail(error, refused, "expected %llu bytes, as the manifest has it, found %llu",
                   (unsigned long long)stored->size, (unsigned long long)info.size);
  if (code == SF_OK && stored->size > SIZE_MAX / 2)
    code = sf_fail_memory(error, "lists");
  if (code == SF_OK && (*bytes = sf_block_allocate((size_t)stored->size)) == NULL)
    code = sf_fail_memory(error, "lists");
  if (code == SF_OK)
    code = sf_storage_get_range(params->storage, key, 0, (size_t)stored->size, cancellation, &found, *bytes, error);
  if (code == SF_OK && !found)
    code = sf_fail(error, refused, "expected an object, found none");
  free(key);
  return code;
}

sf_code sf_stored_lists_fetch(const sf_stored_lists_params *params, const sf_cancellation *cancellation, void **bytes,
                              size_t *length, sf_lists *lists, sf_error *error) {
  *bytes = NULL;
  *length = (size_t)named(params)->size;
  sf_code code = fetch_bytes(params, cancellation, bytes, error);
  if (code == SF_OK)
    code = check_bytes(params, *bytes, *length, lists, error);
  if (code == SF_OK)
    return SF_OK;
  free(*bytes);
  *bytes = NULL;
  return name_object(params, code, error);
}

static bool read_file(void *context, const void *bytes, size_t length) {
  const stored_file *file = context;
  return check_bytes(file->params, bytes, length, file->lists, NULL) == SF_OK;
}

static sf_code make_file(void *context, const sf_cancellation *cancellation, void **bytes, size_t *length,
                         sf_error *error) {
  const stored_file *file = context;
  return sf_stored_lists_fetch(file->params, cancellation, bytes, length, file->lists, error);
}

/* Its name is room for that of the file. */
static sf_block_file block_file(stored_file *file, const sf_cache_place *place, char name[32]) {
  enum { MAX_FILES = 2 }; /* of an indexed snapshot, and of the one that it was before it was indexed anew */
  snprintf(name, 32, "%016llx.lists", (unsigned long long)named(file->params)->head_checksum);
  return (sf_block_file){.place = *place,
                         .name = name,
                         .suffix = ".lists",
                         .max_files = MAX_FILES,
                         .context = file,
                         .read = read_file,
                         .make = make_file};
}

sf_code sf_stored_lists_open(const sf_stored_lists_params *params, const sf_cache_place *place,
                             const sf_cancellation *cancellation, sf_cached_block *block, sf_lists *lists,
                             sf_error *error) {
  stored_file file = {.params = params, .lists = lists};
  char name[32];
  const sf_block_file kept = block_file(&file, place, name);
  return sf_cached_block_open(&kept, cancellation, block, error);
}

sf_code sf_stored_lists_keep(const sf_stored_lists_params *params, const sf_cache_place *place, void *bytes,
                             size_t length, const sf_cancellation *cancellation, sf_cached_block *block,
                             sf_lists *lists, sf_error *error) {
  stored_file file = {.params = params, .lists = lists};
  char name[32];
  const sf_block_file kept = block_file(&file, place, name);
  return sf_cached_block_keep(&kept, bytes, length, cancellation, block, error);
}

static bool has_row(const sf_shard *shard, uint64_t row) {
  size_t first = 0;
  for (size_t count = shard->num_segments; count > 1;) { /* the last segment that begins at the row or before */
    size_t half = count / 2;
    bool is_behind = shard->segments[first + half].first_row <= row;
    first += is_behind ? half : 0;
    count = is_behind ? count - half : half;
  }
  const sf_vector_segment *segment = &shard->segments[first];
  return row >= segment->first_row && row - segment->first_row < segment->num_rows;
}

sf_code sf_lists_check_shard(const sf_lists *lists, const sf_shard *shard, sf_metric metric, sf_error *error) {
  if (lists->dim != shard->dim || lists->metric != metric || shard->num_segments == 0)
    return sf_fail(error, refused, "expected lists of this shard's dimension and metric, found others");
  for (uint32_t list = 0; list < lists->num_lists; list++) {
    sf_list of = sf_lists_at(lists, list);
    for (uint32_t i = 0; i < of.num_rows; i++)
      if (!has_row(shard, of.rows[i]))
        return sf_fail(error, refused, "list %u: expected rows of the shard, found %u, which it doesn't have",
                       (unsigned)list, (unsigned)of.rows[i]);
  }
  return SF_OK;
}
