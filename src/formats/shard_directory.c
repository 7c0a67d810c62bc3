#include "formats/shard_directory.h"

#include <stdatomic.h>
#include <stdio.h>

typedef struct sf_open_directory {
  sf_row_directory directory;
  sf_cached_block block;
} sf_open_directory;

/* The directory as a file of the cache. */
typedef struct directory_file {
  sf_shard *shard;
  sf_row_directory_identity identity;
  sf_row_directory *directory;
} directory_file;

const sf_row_directory *sf_shard_directory(const sf_shard *shard) {
  const sf_open_directory *opened = atomic_load_explicit(&shard->directory, memory_order_acquire);
  return opened == NULL ? NULL : &opened->directory;
}

bool sf_shard_wants_directory(const sf_shard *shard) {
  uint64_t least = shard->format->least_directory_rows;
  return least > 0 && shard->row_span >= least;
}

static bool read_block(void *context, const void *bytes, size_t length) {
  const directory_file *file = context;
  return sf_row_directory_read(bytes, length, &file->identity, file->directory) &&
         file->directory->num_rows == file->shard->row_span;
}

/* Adds the ids of all rows. */
typedef struct making {
  sf_row_visitor visitor; /* first: reading passes it back */
  const directory_file *file;
  sf_row_directory_builder builder;
} making;

static sf_code fail_full(const directory_file *file, sf_error *error) {
  return sf_fail(error, SF_DB_ADAPTER_ERROR,
                 "shard %u (%s): rows by their ids: expected at most %u bytes of ids, found more",
                 (unsigned)file->shard->db_id, file->identity.db_url, (unsigned)SF_ROW_DIRECTORY_MAX);
}

static sf_code visit(sf_row_visitor *visitor, uint64_t row, const sf_row_text *text, sf_error *error) {
  making *made = (making *)visitor;
  sf_directory_id id = {.integer = text->id_integer};
  if (text->id_type == SF_ID_STRING)
    id = (sf_directory_id){.text = text->id_string, .length = text->id_length};
  if (!sf_row_directory_builder_has_room(&made->builder, &id))
    return fail_full(made->file, error);
  return sf_row_directory_builder_add(&made->builder, row, &id) ? SF_OK : sf_fail_memory(error, "row directory");
}

static sf_code make_block(void *context, const sf_cancellation *cancellation, void **block, size_t *length,
                          sf_error *error) {
  const directory_file *file = context;
  making made = {.visitor = {.wants_ids = true, .visit = visit}, .file = file};
  sf_code code = SF_OK;
  if (!sf_row_directory_builder_init(&made.builder, file->shard->row_span))
    code = sf_fail_memory(error, "row directory");
  if (code == SF_OK)
    code = sf_shard_read_rows(file->shard, &made.visitor, cancellation, error);
  if (code == SF_OK) {
    *block = sf_row_directory_builder_write(&made.builder, &file->identity, length);
    code = *block == NULL ? sf_fail_memory(error, "row directory") : SF_OK;
  }
  sf_row_directory_builder_free(&made.builder);
  return code;
}

static sf_code open_block(sf_shard *shard, const sf_cache_place *place, const sf_cancellation *cancellation,
                          sf_open_directory *opened, sf_error *error) {
  directory_file file = {
      .shard = shard,
      .identity = {.db_url = place->db_url, .checkpoint_id = place->checkpoint_id, .content = shard->content},
      .directory = &opened->directory};
  const sf_block_file kept = {
      .place = *place, .name = SF_ROW_DIRECTORY_NAME, .context = &file, .read = read_block, .make = make_block};
  return sf_cached_block_open(&kept, cancellation, &opened->block, error);
}

static void free_directory(sf_open_directory *freed) {
  if (freed != NULL)
    sf_cached_block_free(&freed->block);
  free(freed);
}

sf_code sf_shard_open_directory(sf_shard *shard, const sf_cache_place *place, const sf_cancellation *cancellation,
                                sf_error *error) {
  if (sf_shard_directory(shard) != NULL)
    return SF_OK;
  if (shard->row_span > SF_ROW_DIRECTORY_MAX)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "shard %u (%s): rows by their ids: expected at most %u rows, found %llu",
                   (unsigned)shard->db_id, place->db_url, (unsigned)SF_ROW_DIRECTORY_MAX,
                   (unsigned long long)shard->row_span);
  sf_open_directory *opened = sf_calloc(1, sizeof(*opened));
  if (opened == NULL)
    return sf_fail_memory(error, "row directory");
  sf_code code = open_block(shard, place, cancellation, opened, error);
  sf_open_directory *none = NULL;
  /* Of several threads that open it at once, the first one's is used. */
  if (code != SF_OK || !atomic_compare_exchange_strong_explicit(&shard->directory, &none, opened, memory_order_release,
                                                                memory_order_relaxed))
    free_directory(opened);
  return code;
}

void sf_shard_close_directory(sf_shard *shard) {
  free_directory(atomic_exchange_explicit(&shard->directory, NULL, memory_order_acquire));
}

enum { AHEAD = 16, MAX_DIGITS = 24 };

/* An id as a directory has it; `digits` has room for MAX_DIGITS, and lives as long as the result. */
static sf_directory_id directory_id(const sf_row_id *id, bool has_text_ids, char *digits) {
  if (id->type == SF_ID_STRING)
    return (sf_directory_id){.text = id->length > 0 ? id->string : "", .length = id->length};
  if (!has_text_ids)
    return (sf_directory_id){.integer = id->integer};
  int length = snprintf(digits, MAX_DIGITS, "%lld", (long long)id->integer);
  return (sf_directory_id){.text = digits, .length = (size_t)length};
}

/* Some at a time: their slots come from memory together. */
void sf_find_rows_in_directory(const sf_row_directory *directory, bool has_text_ids, const sf_row_id *ids, size_t count,
                               uint64_t *rows) {
  char digits[AHEAD][MAX_DIGITS];
  sf_directory_id wanted[AHEAD];
  uint64_t hashes[AHEAD];
  uint64_t slots[AHEAD];
  for (size_t first = 0; first < count; first += AHEAD) {
    size_t some = count - first < AHEAD ? count - first : AHEAD;
    for (size_t i = 0; i < some; i++) {
      wanted[i] = directory_id(&ids[first + i], has_text_ids, digits[i]);
      hashes[i] = sf_directory_id_hash(&wanted[i]);
      sf_row_directory_prefetch(directory, hashes[i]);
    }
    for (size_t i = 0; i < some; i++)
      slots[i] = sf_row_directory_find_slot(directory, hashes[i]);
    for (size_t i = 0; i < some; i++)
      rows[first + i] =
          slots[i] == SF_NO_ROW ? SF_NO_ROW : sf_row_directory_find_from(directory, &wanted[i], hashes[i], slots[i]);
  }
}
