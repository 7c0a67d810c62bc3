#include "filter/filter.h"

#include "base/memory.h"
#include "filter/program.h"

#include <string.h>
#include <xxhash.h>

/* What expressions may name. */
static const sf_cel_declaration declarations[] = {
    {.name = "id", .is_dyn = true},
    {.name = "payload", .type = SF_CEL_MAP},
};

enum { NUM_DECLARATIONS = sizeof(declarations) / sizeof(declarations[0]), BITMAP_ALIGNMENT = 64 };

/* Messages of cel begin with "CEL: " and a position. */
static sf_code name_filter(sf_code code, sf_error *error) {
  static const char prefix[] = "CEL: ";
  if (error == NULL || code != SF_CONFIG_VALIDATION_ERROR)
    return code;
  sf_error found = *error;
  size_t skipped = strncmp(found.message, prefix, sizeof(prefix) - 1) == 0 ? sizeof(prefix) - 1 : 0;
  return sf_fail(error, code, "filter: %s", found.message + skipped);
}

static sf_code compile_program(const sf_filter *filter, sf_cel_program **program, sf_error *error) {
  const sf_cel_options options = {
      .expects_bool = true,
      .known = "expected id or payload, whose members are payload.name; other columns of a dataset can't be used"};
  return sf_cel_compile(filter->expression, strlen(filter->expression), declarations, NUM_DECLARATIONS, &options,
                        program, error);
}

/* An expression that reads no path, too many of them, or the payload in other ways alone, is evaluated row by row. */
static sf_code prepare_bulk(sf_filter *filter, sf_error *error) {
  sf_cel_program *copy;
  bool fits;
  SF_TRY(compile_program(filter, &copy, error));
  SF_TRY(sf_filter_paths_find(copy, &filter->paths, &fits, error));
  if (!fits || filter->paths.num_paths == 0)
    return SF_OK;
  filter->bulk = sf_bulk_compile(&filter->paths);
  return filter->bulk != NULL || copy->arena.limit_reached ? SF_OK : sf_fail_memory(error, "filter");
}

static sf_code compile(sf_filter *filter, sf_error *error) {
  SF_TRY(compile_program(filter, &filter->program, error));
  filter->reads_id = sf_cel_program_reads(filter->program, "id");
  filter->reads_payload = sf_cel_program_reads(filter->program, "payload");
  return prepare_bulk(filter, error);
}

uint64_t sf_filter_hash_of(const char *expression) {
  return XXH3_64bits(expression, strlen(expression));
}

sf_code sf_filter_compile(const char *expression, sf_filter **compiled, sf_error *error) {
  sf_filter *filter = sf_calloc(1, sizeof(*filter));
  if (filter == NULL || (filter->expression = sf_strdup(expression)) == NULL) {
    free(filter);
    return sf_fail_memory(error, "filter");
  }
  atomic_init(&filter->references, 1);
  filter->hash = sf_filter_hash_of(expression);
  sf_code code = name_filter(compile(filter, error), error);
  if (code == SF_OK)
    *compiled = filter;
  else
    sf_filter_release(filter);
  return code;
}

void sf_filter_retain(sf_filter *filter) {
  atomic_fetch_add_explicit(&filter->references, 1, memory_order_relaxed);
}

void sf_filter_release(sf_filter *filter) {
  if (filter == NULL || atomic_fetch_sub_explicit(&filter->references, 1, memory_order_acq_rel) != 1)
    return;
  sf_filter_paths_free(&filter->paths);
  sf_cel_program_free(filter->program);
  free(filter->expression);
  free(filter);
}

const char *sf_filter_expression(const sf_filter *filter) {
  return filter->expression;
}

size_t sf_filter_num_bytes(const sf_filter *filter) {
  return sizeof(*filter) + strlen(filter->expression) + sf_cel_program_num_bytes(filter->program) +
         (filter->paths.program != NULL ? sf_cel_program_num_bytes(filter->paths.program) : 0);
}

uint64_t sf_filter_hash(const sf_filter *filter) {
  return filter->hash;
}

sf_code sf_row_bitmap_create(uint64_t num_rows, sf_row_bitmap **created, sf_error *error) {
  uint64_t num_bytes = (num_rows / 8 / BITMAP_ALIGNMENT + 2) * BITMAP_ALIGNMENT;
  sf_row_bitmap *bitmap =
      num_bytes < SIZE_MAX - sizeof(*bitmap) ? sf_calloc(1, sizeof(*bitmap) + (size_t)num_bytes) : NULL;
  if (bitmap == NULL)
    return sf_fail_memory(error, "a bitmap of rows");
  bitmap->num_rows = num_rows;
  bitmap->num_bytes = (size_t)num_bytes;
  *created = bitmap;
  return SF_OK;
}
