#include "filter/column_set.h"

#include "base/files.h"
#include "cache/cached_file.h"
#include "filter/column_builder.h"
#include "filter/payload_value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

/* An id that is the text of an integer is one in some snapshots: then the column of ids differs. */
#define INTEGER_IDS "id as an integer"

enum { NAME_SIZE = 48 };

/* One column of a set, as a file of the cache. */
typedef struct column_file {
  sf_column_set *set;
  size_t index;
  sf_column_identity identity;
  char name[NAME_SIZE];
  const void *block; /* to write */
  size_t num_bytes;
} column_file;

static sf_column_identity identity_of(const sf_filter_path *path, const sf_filter_params *params) {
  bool is_id = path->num_members == 0;
  return (sf_column_identity){.db_url = params->place.db_url,
                              .checkpoint_id = params->place.checkpoint_id,
                              .content = params->shard->content,
                              .path = is_id && params->has_integer_ids ? INTEGER_IDS : path->text};
}

static column_file file_of(sf_column_set *set, size_t index, const sf_filter_paths *paths,
                           const sf_filter_params *params) {
  column_file file = {.set = set, .index = index, .identity = identity_of(&paths->paths[index], params)};
  XXH128_hash_t hash = XXH3_128bits(file.identity.path, strlen(file.identity.path));
  snprintf(file.name, sizeof(file.name), "%016llx%016llx.column", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  return file;
}

static sf_code map_descriptor(column_file *file, int descriptor, size_t length, const sf_folder *folder, bool *usable,
                              sf_error *error) {
  void *mapping = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "local cache: can't map %s/%s: %s", folder->path, file->name,
                   strerror(errno));
  *usable = sf_column_read(mapping, length, &file->identity, &file->set->columns[file->index]);
  if (*usable) {
    file->set->blocks[file->index] = mapping;
    file->set->mapped_lengths[file->index] = length;
  } else
    munmap(mapping, length);
  return SF_OK;
}

static sf_code map_column(void *context, const sf_folder *folder, bool *usable, sf_error *error) {
  column_file *file = context;
  struct stat status;
  int descriptor;
  *usable = false;
  SF_TRY(sf_folder_open_file(folder, file->name, &descriptor, &status, error));
  if (descriptor < 0)
    return SF_OK;
  sf_code code = SF_OK;
  if (status.st_size > 0 && (uint64_t)status.st_size <= SIZE_MAX)
    code = map_descriptor(file, descriptor, (size_t)status.st_size, folder, usable, error);
  close(descriptor);
  return code;
}

static sf_code write_column(void *context, const sf_folder *folder, const sf_cancellation *cancellation,
                            sf_error *error) {
  const column_file *file = context;
  sf_new_file written = SF_NEW_FILE_NONE;
  SF_TRY(sf_cancellation_check(cancellation, error));
  SF_TRY(sf_new_file_make(folder, file->name, &written, error));
  sf_code code = sf_reserve(written.descriptor, written.path, 0, file->num_bytes, file->num_bytes, error);
  if (code == SF_OK)
    code = sf_write_at(written.descriptor, written.path, file->block, file->num_bytes, 0, error);
  if (code == SF_OK)
    code = sf_new_file_publish(&written, error);
  sf_new_file_end(&written);
  return code;
}

static sf_cached_file cached(column_file *file, const sf_filter_params *params) {
  return (sf_cached_file){.place = params->place,
                          .name = file->name,
                          .num_bytes = file->num_bytes,
                          .context = file,
                          .map = map_column,
                          .make = write_column};
}

/* ------------------------------------------------------------------------------------------------------------ Making */

/* A pass over a shard's rows that makes the missing columns. */
typedef struct making {
  sf_row_visitor visitor; /* first: reading passes it back */
  const sf_filter_paths *paths;
  const sf_column_set *set;
  bool has_integer_ids;
  sf_payload_values payload;
  sf_column_builder builders[SF_MAX_FILTER_PATHS];
} making;

static bool set_id(sf_column_builder *builder, uint64_t row, const sf_row_text *text, bool has_integer_ids) {
  int64_t integer = text->id_integer;
  bool is_integer = text->id_type == SF_ID_INTEGER;
  if (!is_integer && has_integer_ids)
    is_integer = sf_json_text_to_int64((sf_json_text){text->id_string, text->id_length}, &integer);
  if (!is_integer)
    return sf_column_builder_set_string(builder, row, text->id_string, text->id_length);
  sf_column_builder_set_int(builder, row, integer);
  return true;
}

/* `object` is valid JSON; NULL: the row's payload has no value. */
static bool set_member(sf_column_builder *builder, uint64_t row, const sf_filter_path *path,
                       const sf_json_text *object) {
  sf_json_text found = object != NULL ? *object : (sf_json_text){"", 0};
  for (size_t i = 0; i < path->num_members; i++) {
    if (found.length == 0 || found.data[0] != '{') {
      sf_column_builder_set_tag(builder, row, SF_COLUMN_BROKEN);
      return true;
    }
    if (!sf_json_find_member(found.data, found.length, path->members[i], &found)) {
      sf_column_builder_set_tag(builder, row, i + 1 == path->num_members ? SF_COLUMN_MISSING : SF_COLUMN_BROKEN);
      return true;
    }
  }
  return sf_column_builder_set_json(builder, row, found);
}

static sf_code read_payload(making *made, const sf_row_text *text, sf_json_text *object, bool *is_valid,
                            sf_error *error) {
  *object = (sf_json_text){"{}", 2};
  *is_valid = true;
  if (text->payload == NULL)
    return SF_OK;
  SF_TRY(sf_payload_check(&made->payload, text->payload, text->payload_length, is_valid, error));
  const char *data = (const char *)made->payload.text.data;
  const char *opening = *is_valid ? sf_json_skip_blanks(data, data + text->payload_length) : data;
  *object = (sf_json_text){opening, text->payload_length - (size_t)(opening - data)};
  return SF_OK;
}

static sf_code visit(sf_row_visitor *visitor, uint64_t row, const sf_row_text *text, sf_error *error) {
  making *made = (making *)visitor;
  sf_json_text object = {0};
  bool is_valid = false;
  bool added = true;
  if (visitor->wants_payloads)
    SF_TRY(read_payload(made, text, &object, &is_valid, error));
  for (size_t i = 0; i < made->paths->num_paths && added; i++) {
    sf_column_builder *builder = &made->builders[i];
    if (builder->tags == NULL || row >= builder->num_rows)
      continue;
    if (made->paths->paths[i].num_members == 0)
      added = set_id(builder, row, text, made->has_integer_ids);
    else
      added = set_member(builder, row, &made->paths->paths[i], is_valid ? &object : NULL);
  }
  return added ? SF_OK : sf_fail_memory(error, "payload columns");
}

static bool begin_making(making *made, uint64_t num_rows) {
  for (size_t i = 0; i < made->paths->num_paths; i++) {
    if (made->set->blocks[i] != NULL)
      continue;
    bool is_id = made->paths->paths[i].num_members == 0;
    made->visitor.wants_ids = made->visitor.wants_ids || is_id;
    made->visitor.wants_payloads = made->visitor.wants_payloads || !is_id;
    if (!sf_column_builder_init(&made->builders[i], num_rows))
      return false;
  }
  return true;
}

static void end_making(making *made) {
  for (size_t i = 0; i < made->paths->num_paths; i++)
    sf_column_builder_free(&made->builders[i]);
  sf_payload_values_free(&made->payload);
  free(made);
}

/* Puts a block into the cache. Where that fails, it stays in memory: a cache that can't be written to is no reason for a search
 * to fail. */
static sf_code keep_block(column_file *file, const sf_filter_params *params, void *block,
                          const sf_cancellation *cancellation, sf_error *error) {
  sf_error failure;
  file->block = block;
  const sf_cached_file cache = cached(file, params);
  sf_code code = params->place.cache_dir == NULL ? SF_ERROR : sf_cached_file_make(&cache, cancellation, &failure);
  if (code == SF_OK) {
    free(block);
    return SF_OK;
  }
  file->set->blocks[file->index] = block;
  if (code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR)
    return sf_fail(error, code, "%s", failure.message);
  return sf_column_read(block, file->num_bytes, &file->identity, &file->set->columns[file->index])
             ? SF_OK
             : sf_fail(error, SF_ERROR, "a payload column does not hold what was just written to it");
}

static sf_code keep_columns(making *made, const sf_filter_params *params, const sf_cancellation *cancellation,
                            sf_column_set *set, sf_error *error) {
  for (size_t i = 0; i < set->count; i++) {
    if (made->builders[i].tags == NULL)
      continue;
    column_file file = file_of(set, i, made->paths, params);
    const sf_column column = sf_column_builder_column(&made->builders[i]);
    void *block = sf_column_write(&column, &file.identity, &file.num_bytes);
    if (block == NULL)
      return sf_fail_memory(error, "payload columns");
    SF_TRY(keep_block(&file, params, block, cancellation, error));
    sf_column_builder_free(&made->builders[i]);
    set->num_made++;
  }
  return SF_OK;
}

static sf_code make_missing(const sf_filter_paths *paths, const sf_filter_params *params,
                            const sf_cancellation *cancellation, sf_column_set *set, sf_error *error) {
  making *made = sf_calloc(1, sizeof(*made));
  if (made == NULL)
    return sf_fail_memory(error, "payload columns");
  made->visitor.visit = visit;
  made->paths = paths;
  made->set = set;
  made->has_integer_ids = params->has_integer_ids;
  sf_code code =
      begin_making(made, sf_shard_row_span(params->shard)) ? SF_OK : sf_fail_memory(error, "payload columns");
  if (code == SF_OK)
    code = sf_shard_read_rows(params->shard, &made->visitor, cancellation, error);
  if (code == SF_OK)
    code = keep_columns(made, params, cancellation, set, error);
  end_making(made);
  return code;
}

sf_code sf_column_set_open(const sf_filter_paths *paths, const sf_filter_params *params,
                           const sf_cancellation *cancellation, sf_column_set *set, sf_error *error) {
  size_t num_missing = 0;
  set->count = paths->num_paths;
  for (size_t i = 0; i < set->count; i++) {
    column_file file = file_of(set, i, paths, params);
    const sf_cached_file cache = cached(&file, params);
    bool usable = false;
    if (params->place.cache_dir != NULL)
      SF_TRY(sf_cached_file_map(&cache, &usable, error));
    if (usable && set->columns[i].num_rows != sf_shard_row_span(params->shard))
      return sf_fail(error, SF_ERROR, "local cache: %s has %llu rows, expected %llu", file.name,
                     (unsigned long long)set->columns[i].num_rows,
                     (unsigned long long)sf_shard_row_span(params->shard));
    num_missing += !usable;
  }
  return num_missing == 0 ? SF_OK : make_missing(paths, params, cancellation, set, error);
}

void sf_column_set_free(sf_column_set *set) {
  for (size_t i = 0; i < set->count; i++)
    if (set->mapped_lengths[i] > 0)
      munmap(set->blocks[i], set->mapped_lengths[i]);
    else
      free(set->blocks[i]);
  *set = (sf_column_set){0};
}
