#include "filter/column_set.h"

#include "filter/column_builder.h"
#include "filter/payload_value.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* An id that is the text of an integer is one in some snapshots: then the column of ids differs. */
#define INTEGER_IDS "id as an integer"

#define COLUMN_SUFFIX ".column"

enum { NAME_SIZE = 48 };

/* One column of a set, as a file of the cache. */
typedef struct column_file {
  sf_column_identity identity;
  uint64_t num_rows;
  sf_column *column;
  char name[NAME_SIZE];
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
  column_file file = {.identity = identity_of(&paths->paths[index], params),
                      .num_rows = params->shard->row_span,
                      .column = &set->columns[index]};
  XXH128_hash_t hash = XXH3_128bits(file.identity.path, strlen(file.identity.path));
  snprintf(file.name, sizeof(file.name), "%016llx%016llx" COLUMN_SUFFIX, (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  return file;
}

static bool read_column(void *context, const void *bytes, size_t length) {
  const column_file *file = context;
  return sf_column_read(bytes, length, &file->identity, file->column) && file->column->num_rows == file->num_rows;
}

static sf_block_file block_file(column_file *file, const sf_filter_params *params) {
  return (sf_block_file){.place = params->place,
                         .name = file->name,
                         .suffix = COLUMN_SUFFIX,
                         .max_files = SF_MAX_SHARD_COLUMNS,
                         .context = file,
                         .read = read_column};
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
    if (made->set->blocks[i].bytes != NULL)
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

static sf_code keep_columns(making *made, const sf_filter_params *params, const sf_cancellation *cancellation,
                            sf_column_set *set, sf_error *error) {
  for (size_t i = 0; i < set->count; i++) {
    if (made->builders[i].tags == NULL)
      continue;
    column_file file = file_of(set, i, made->paths, params);
    const sf_block_file kept = block_file(&file, params);
    const sf_column column = sf_column_builder_column(&made->builders[i]);
    size_t num_bytes;
    void *block = sf_column_write(&column, &file.identity, &num_bytes);
    if (block == NULL)
      return sf_fail_memory(error, "payload columns");
    SF_TRY(sf_cached_block_keep(&kept, block, num_bytes, cancellation, &set->blocks[i], error));
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
  sf_code code = begin_making(made, params->shard->row_span) ? SF_OK : sf_fail_memory(error, "payload columns");
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
    const sf_block_file kept = block_file(&file, params);
    SF_TRY(sf_cached_block_map(&kept, &set->blocks[i], error));
    num_missing += set->blocks[i].bytes == NULL;
  }
  return num_missing == 0 ? SF_OK : make_missing(paths, params, cancellation, set, error);
}

void sf_column_set_free(sf_column_set *set) {
  for (size_t i = 0; i < set->count; i++)
    sf_cached_block_free(&set->blocks[i]);
  *set = (sf_column_set){0};
}
