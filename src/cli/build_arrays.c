/* Rows from a mapped .npy array, with ids, payloads and what routes them beside it. */
#include "base/random.h"
#include "cli/build_rows.h"
#include "cli/line_column.h"
#include "cli/vector_rows.h"
#include "writer/rows.h"

#include <errno.h>
#include <string.h>

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

/* A column of integers: from an array, or from lines; or none. */
typedef struct integer_column {
  const char *path;
  sf_cli_mapped_array array;
  sf_cli_line_column lines;
  int64_t *values; /* of a batch */
} integer_column;

typedef struct sources {
  sf_cli_vector_rows vectors;
  integer_column ids;
  sf_cli_line_column string_ids;
  integer_column shard_ids;
  sf_cli_line_column payloads;
  sf_cli_line_column contexts;
  const char **payload_pointers; /* of a batch: NULL where a line says null */
} sources;

/* --------------------------------------------------------------------------------------------------------- Integers */

static bool has_suffix(const char *text, const char *suffix) {
  size_t length = strlen(text);
  size_t suffix_length = strlen(suffix);
  return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

/* As JSON has integers: nothing but digits and a sign, no zeros before others. */
static bool read_integer(const char *text, size_t length, int64_t *value) {
  const char *digits = text[0] == '-' ? text + 1 : text;
  size_t count = strspn(digits, "0123456789");
  if (count == 0 || digits + count != text + length || (digits[0] == '0' && (count > 1 || digits != text)))
    return false;
  errno = 0;
  *value = strtoll(text, NULL, 10);
  return errno == 0;
}

static sf_code open_integer_array(integer_column *column, size_t num_rows, const char *vectors, sf_error *error) {
  const sf_npy_layout *layout = &column->array.layout;
  SF_TRY(sf_cli_map_array(column->path, &column->array, error));
  char found[96];
  sf_npy_describe(layout, found, sizeof(found));
  if (layout->num_dimensions != 1 || !sf_npy_is_integer(layout->type))
    return sf_fail(error, invalid, "%s: expected an array of integers with one dimension, found %s", column->path,
                   found);
  if (layout->num_columns != num_rows)
    return sf_fail(error, invalid, "%s: expected %zu elements, one for each row of %s, found %zu", column->path,
                   num_rows, vectors, layout->num_columns);
  return SF_OK;
}

static sf_code open_integers(integer_column *column, const char *path, const sources *from, sf_error *error) {
  column->path = path;
  if (path == NULL)
    return SF_OK;
  column->values = sf_calloc(from->vectors.batch_rows, sizeof(*column->values));
  if (column->values == NULL)
    return sf_fail_memory(error, path);
  if (has_suffix(path, ".npy"))
    return open_integer_array(column, from->vectors.num_rows, from->vectors.path, error);
  return sf_cli_line_column_open(&column->lines, path, from->vectors.batch_rows, error);
}

static sf_code read_integers(integer_column *column, size_t first, size_t count, const sources *from, sf_error *error) {
  if (column->path == NULL)
    return SF_OK;
  bool is_array = column->array.bytes != NULL;
  SF_TRY(sf_cli_line_column_read(&column->lines, count, from->vectors.num_rows, from->vectors.path, error));
  for (size_t i = 0; i < count; i++) {
    const char *text = is_array ? "a larger one" : column->lines.pointers[i];
    bool is_integer = is_array ? sf_cli_mapped_integer(&column->array, first + i, &column->values[i])
                               : read_integer(text, column->lines.lengths[i], &column->values[i]);
    if (!is_integer)
      return sf_fail(error, invalid, "%s: row %zu: expected an integer of 64 bits, found '%.80s'", column->path,
                     first + i, text);
  }
  return SF_OK;
}

static void close_integers(integer_column *column) {
  sf_cli_unmap_array(&column->array);
  sf_cli_line_column_close(&column->lines);
  free(column->values);
}

/* Whether each line of a file is an integer; "-" can't be read twice. */
static sf_code all_are_integers(const char *path, bool *all, sf_error *error) {
  sf_cli_lines lines;
  *all = strcmp(path, "-") != 0;
  if (!*all)
    return SF_OK;
  sf_code code = sf_cli_lines_open(&lines, path, error);
  char *line = NULL;
  size_t length;
  int64_t value;
  do {
    if (code == SF_OK)
      code = sf_cli_lines_next(&lines, &line, &length, error);
    if (code == SF_OK && line != NULL)
      *all = read_integer(line, length, &value);
  } while (code == SF_OK && line != NULL && *all);
  sf_cli_lines_close(&lines);
  return code;
}

static sf_code open_ids(sources *from, const sf_cli_build_arguments *build, sf_error *error) {
  enum { AUTO = 1, INT = 2 };
  if (build->ids == NULL)
    return SF_OK;
  bool are_integers = build->id_type == INT || has_suffix(build->ids, ".npy");
  if (!are_integers && (build->id_type == 0 || build->id_type == AUTO))
    SF_TRY(all_are_integers(build->ids, &are_integers, error));
  if (are_integers)
    return open_integers(&from->ids, build->ids, from, error);
  return sf_cli_line_column_open(&from->string_ids, build->ids, from->vectors.batch_rows, error);
}

/* ---------------------------------------------------------------------------------------------------------- Opening */

static sf_code open_sources(sources *from, const sf_cli_build_arguments *build, sf_error *error) {
  SF_TRY(sf_cli_vector_rows_open(&from->vectors, build->vectors, error));
  SF_TRY(open_ids(from, build, error));
  SF_TRY(open_integers(&from->shard_ids, build->shard_ids, from, error));
  SF_TRY(sf_cli_line_column_open(&from->payloads, build->payloads, from->vectors.batch_rows, error));
  from->payload_pointers = sf_calloc(from->vectors.batch_rows, sizeof(char *));
  if (from->payload_pointers == NULL)
    return sf_fail_memory(error, "payloads");
  return sf_cli_line_column_open(&from->contexts, build->routing_contexts, from->vectors.batch_rows, error);
}

static void close_sources(sources *from) {
  sf_cli_vector_rows_close(&from->vectors);
  close_integers(&from->ids);
  close_integers(&from->shard_ids);
  sf_cli_line_column_close(&from->string_ids);
  sf_cli_line_column_close(&from->payloads);
  sf_cli_line_column_close(&from->contexts);
  free(from->payload_pointers);
}

/* --------------------------------------------------------------------------------------------------------- Training */

/* The rows from `first` on, without ids or anything else. */
static sf_row_batch vectors_batch(const sources *from, const void *vectors, size_t first, size_t count) {
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  batch.count = count;
  batch.vectors = vectors;
  batch.dim = from->vectors.dim;
  batch.vector_type = from->vectors.type;
  batch.vectors_name = from->vectors.path;
  batch.has_first_number = true;
  batch.first_number = first;
  return batch;
}

/* `count` of all rows, in their order (Knuth, The Art of Computer Programming, volume 2, section 3.4.2, algorithm S). Pages
 * are let go again as they are passed: a mapped file counts as memory that is used. */
static sf_code draw_sample(sources *from, uint64_t seed, size_t count, float *sample, sf_error *error) {
  enum { RELEASE_EVERY = 1024 };
  size_t dim = from->vectors.dim;
  sf_random random = {.state = seed};
  size_t taken = 0;
  for (size_t row = 0; taken < count; row++) {
    if (sf_random_below(&random, from->vectors.num_rows - row) >= count - taken)
      continue;
    const sf_row_batch batch = vectors_batch(from, sf_cli_vector_rows_one(&from->vectors, row), row, 1);
    float *to = sample + taken++ * dim;
    const float *vector;
    SF_TRY(sf_row_vector_named(&batch, 0, to, &vector, error));
    if (vector != to)
      memcpy(to, vector, dim * sizeof(float));
    if (taken % RELEASE_EVERY == 0)
      sf_cli_vector_rows_release_all(&from->vectors);
  }
  sf_cli_vector_rows_release_all(&from->vectors);
  return SF_OK;
}

static sf_code train(sf_cli_session *session, sources *from, sf_builder *builder, uint64_t seed, sf_error *error) {
  size_t dim = from->vectors.dim;
  uint64_t wanted = sf_builder_training_rows(builder, dim);
  size_t count = from->vectors.num_rows < wanted ? from->vectors.num_rows : (size_t)wanted;
  if (count == 0)
    return SF_OK;
  float *sample = sf_calloc(count, dim * sizeof(float));
  if (sample == NULL)
    return sf_fail_memory(error, "training sample");
  sf_code code = draw_sample(from, seed, count, sample, error);
  if (code == SF_OK) {
    sf_row_batch batch = SF_ROW_BATCH_INIT;
    batch.count = count;
    batch.vectors = sample;
    batch.dim = dim;
    code = sf_cli_session_train(session, builder, &batch, error);
  }
  free(sample);
  return code;
}

/* ----------------------------------------------------------------------------------------------------------- Adding */

static sf_code read_columns(sources *from, size_t first, size_t count, sf_error *error) {
  SF_TRY(read_integers(&from->ids, first, count, from, error));
  SF_TRY(read_integers(&from->shard_ids, first, count, from, error));
  SF_TRY(sf_cli_line_column_read(&from->string_ids, count, from->vectors.num_rows, from->vectors.path, error));
  SF_TRY(sf_cli_line_column_read(&from->payloads, count, from->vectors.num_rows, from->vectors.path, error));
  SF_TRY(sf_cli_line_column_read(&from->contexts, count, from->vectors.num_rows, from->vectors.path, error));
  for (size_t i = 0; i < count && from->payloads.pointers != NULL; i++)
    from->payload_pointers[i] = strcmp(from->payloads.pointers[i], "null") == 0 ? NULL : from->payloads.pointers[i];
  return SF_OK;
}

static sf_code add_batch(sf_cli_session *session, sources *from, sf_builder *builder, size_t first, size_t count,
                         sf_error *error) {
  const sf_cli_build_arguments *build = &session->arguments.build;
  sf_row_batch batch = vectors_batch(from, sf_cli_vector_rows_get(&from->vectors, first, count), first, count);
  SF_TRY(read_columns(from, first, count, error));
  batch.integer_ids = from->ids.values;
  batch.string_ids = from->string_ids.pointers;
  batch.string_id_lengths = from->string_ids.lengths;
  batch.payloads = from->payloads.pointers != NULL ? from->payload_pointers : NULL;
  batch.payload_lengths = from->payloads.lengths;
  batch.shard_ids = from->shard_ids.values;
  batch.routing_contexts = from->contexts.pointers;
  batch.ids_name = build->ids;
  batch.payloads_name = build->payloads;
  batch.shard_ids_name = build->shard_ids;
  batch.routing_contexts_name = build->routing_contexts;
  return sf_cli_session_add_rows(session, builder, &batch, error);
}

static sf_code check_ends(sources *from, sf_error *error) {
  sf_cli_line_column *columns[] = {&from->ids.lines, &from->shard_ids.lines, &from->string_ids, &from->payloads,
                                   &from->contexts};
  for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
    SF_TRY(sf_cli_line_column_end(columns[i], from->vectors.num_rows, from->vectors.path, error));
  return SF_OK;
}

static sf_code add_all(sf_cli_session *session, sources *from, sf_builder *builder, sf_error *error) {
  for (size_t first = 0; first < from->vectors.num_rows; first += from->vectors.batch_rows) {
    size_t left = from->vectors.num_rows - first;
    size_t count = left < from->vectors.batch_rows ? left : from->vectors.batch_rows;
    SF_TRY(sf_cli_session_look(session, error));
    sf_cli_vector_rows_fetch(&from->vectors, first + count, from->vectors.batch_rows);
    SF_TRY(add_batch(session, from, builder, first, count, error));
    sf_cli_vector_rows_release(&from->vectors, first + count);
  }
  return check_ends(from, error);
}

sf_code sf_cli_build_from_arrays(sf_cli_session *session, sf_builder *builder, sf_cli_build_progress *progress,
                                 sf_error *error) {
  const sf_cli_build_arguments *build = &session->arguments.build;
  sources from = {0};
  sf_code code = open_sources(&from, build, error);
  progress->total_rows = from.vectors.num_rows;
  if (code == SF_OK)
    code = train(session, &from, builder, (uint64_t)build->seed.value, error);
  if (code == SF_OK)
    code = add_all(session, &from, builder, error);
  close_sources(&from);
  return code;
}
