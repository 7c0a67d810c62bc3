/*
 * Writes a shard of the LanceDB backend: the dataset vector_index.lance/ with one version and data files of version 2.0,
 * which every lancedb that snapshots were written with can read, append to and compact. All rows are in one fragment of
 * one file; but where an index has to name the metric (write_index.h), the first row is in one of its own.
 */
#include "base/files.h"
#include "formats/lance/write_columns.h"
#include "formats/lance/write_index.h"
#include "formats/lance/write_manifest.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct lance_writer {
  sf_shard_writer base;
  uint32_t db_id;
  sf_metric metric;
  uint64_t num_rows;      /* of all files */
  uint64_t num_file_rows; /* of the file that is being written; 0: none is */
  sf_lance_written_dataset dataset;
  char *directory;
  char *root; /* the dataset's folder */
  sf_lance_file_writer file;
  sf_lance_vector_page_writer vectors;
  sf_lance_string_page_writer ids;
  sf_lance_string_page_writer payloads;
} lance_writer;

/* Every sf_shard_writer of this format is the first member of a lance_writer. */
static lance_writer *lance_of(sf_shard_writer *writer) {
  return (lance_writer *)writer;
}

static sf_code name_shard(const lance_writer *writer, sf_code code, sf_error *error) {
  return code == SF_OK || code == SF_OUT_OF_MEMORY_ERROR ? code
                                                         : sf_error_prefix(error, "shard %" PRIu32, writer->db_id);
}

/* Any metric. Lance counts a vector's components with an int32. */
static sf_code lance_check(sf_metric metric, uint32_t dim, sf_error *error) {
  (void)metric;
  if (dim > INT32_MAX)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "backend lance: expected at most %d dimensions, found %" PRIu32,
                   INT32_MAX, dim);
  return SF_OK;
}

static void lance_free(sf_shard_writer *freed) {
  lance_writer *writer = lance_of(freed);
  sf_lance_file_close(&writer->file);
  sf_lance_vector_pages_free(&writer->vectors);
  sf_lance_string_pages_free(&writer->ids);
  sf_lance_string_pages_free(&writer->payloads);
  free(writer->directory);
  free(writer->root);
  free(writer);
}

static sf_code make_folder(const lance_writer *writer, const char *name, sf_error *error) {
  char *path = sf_format("%s/%s", writer->root, name);
  sf_code code = path != NULL ? sf_make_folders(path, error) : sf_fail_memory(error, "path of a folder");
  free(path);
  return code;
}

static sf_code open_writer(lance_writer *writer, sf_error *error) {
  SF_TRY(sf_lance_vector_pages_init(&writer->vectors, writer->dataset.dim, error));
  SF_TRY(make_folder(writer, "_versions", error));
  return make_folder(writer, "data", error);
}

static sf_code lance_create(const sf_shard_writer_options *options, sf_shard_writer **created, sf_error *error) {
  SF_TRY(lance_check(options->metric, options->dim, error));
  lance_writer *writer = sf_calloc(1, sizeof(*writer));
  if (writer == NULL)
    return sf_fail_memory(error, "writer of a shard");
  *writer = (lance_writer){
      .base.format = &sf_lance_writer, .db_id = options->db_id, .metric = options->metric, .dataset.dim = options->dim};
  writer->directory = sf_strdup(options->directory);
  writer->root = sf_format("%s/vector_index.lance", options->directory);
  sf_code code = writer->directory != NULL && writer->root != NULL
                     ? name_shard(writer, open_writer(writer, error), error)
                     : sf_fail_memory(error, "path of a shard");
  if (code == SF_OK)
    *created = &writer->base;
  else
    lance_free(&writer->base);
  return code;
}

/* With its first row: without rows there is no file. */
static sf_code create_file(lance_writer *writer, sf_error *error) {
  char name[SF_LANCE_FILE_NAME_SIZE];
  sf_lance_data_file_name(writer->dataset.num_files, name);
  char *path = sf_format("%s/data/%s", writer->root, name);
  sf_code code = path != NULL ? sf_lance_file_create(path, SF_LANCE_NUM_COLUMNS, &writer->file, error)
                              : sf_fail_memory(error, "path of a data file");
  free(path);
  return code;
}

/* All ids of the format are strings. */
static sf_code add_id(lance_writer *writer, const sf_shard_row *row, sf_error *error) {
  if (row->id_type == SF_ID_STRING)
    return sf_lance_string_pages_add(&writer->ids, SF_LANCE_ID, row->id_string, row->id_length, &writer->file, error);
  char decimal[24];
  int length = snprintf(decimal, sizeof(decimal), "%" PRId64, row->id_integer);
  return sf_lance_string_pages_add(&writer->ids, SF_LANCE_ID, decimal, (size_t)length, &writer->file, error);
}

static sf_code finish_file(lance_writer *writer, sf_error *error) {
  sf_lance_written_file *written = &writer->dataset.files[writer->dataset.num_files];
  SF_TRY(sf_lance_string_pages_flush(&writer->ids, SF_LANCE_ID, &writer->file, error));
  SF_TRY(sf_lance_vector_pages_flush(&writer->vectors, &writer->file, error));
  SF_TRY(sf_lance_string_pages_flush(&writer->payloads, SF_LANCE_PAYLOAD, &writer->file, error));
  sf_buffer descriptor = {0};
  sf_code code = sf_lance_append_file_descriptor(&descriptor, writer->dataset.dim, writer->num_file_rows, error);
  if (code == SF_OK)
    code = sf_lance_file_finish(&writer->file, &descriptor, 1, &written->size, error);
  sf_buffer_free(&descriptor);
  sf_lance_file_close(&writer->file);
  written->num_rows = writer->num_file_rows;
  writer->dataset.num_files++;
  writer->num_file_rows = 0;
  return code;
}

/* The first row, which has just been added. */
static sf_code index_row(lance_writer *writer, const sf_shard_row *row, sf_error *error) {
  SF_TRY(finish_file(writer, error));
  SF_TRY(sf_lance_write_index(writer->root, writer->metric, row->vector, writer->dataset.dim, &writer->dataset.index,
                              error));
  writer->dataset.has_index = true;
  return SF_OK;
}

static sf_code add_row(lance_writer *writer, const sf_shard_row *row, sf_error *error) {
  /* Lance numbers the rows of a fragment with 32 bits. */
  if (writer->num_rows == UINT32_MAX)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected at most %" PRIu32 " rows, found more", UINT32_MAX);
  if (writer->num_file_rows == 0)
    SF_TRY(create_file(writer, error));
  SF_TRY(add_id(writer, row, error));
  SF_TRY(sf_lance_vector_pages_add(&writer->vectors, row->vector, &writer->file, error));
  SF_TRY(sf_lance_string_pages_add(&writer->payloads, SF_LANCE_PAYLOAD, row->payload,
                                   row->payload != NULL ? row->payload_length : 0, &writer->file, error));
  writer->num_rows++;
  writer->num_file_rows++;
  if (writer->num_rows == 1 && sf_lance_metric_needs_index(writer->metric))
    return index_row(writer, row, error);
  return SF_OK;
}

static sf_code lance_add(sf_shard_writer *to, const sf_shard_row *rows, size_t count, sf_error *error) {
  lance_writer *writer = lance_of(to);
  for (size_t i = 0; i < count; i++) {
    sf_code code = add_row(writer, &rows[i], error);
    if (code != SF_OK)
      return name_shard(writer, code, error);
  }
  return SF_OK;
}

static sf_code sync_folder(const lance_writer *writer, const char *name, sf_error *error) {
  char *path = sf_format("%s/%s", writer->root, name);
  if (path == NULL)
    return sf_fail_memory(error, "path of a folder");
  sf_sync_folder(path);
  free(path);
  return SF_OK;
}

/* The manifest comes last: with it, all that it names is on disk. */
static sf_code finish(lance_writer *writer, sf_error *error) {
  if (writer->num_file_rows > 0)
    SF_TRY(finish_file(writer, error));
  SF_TRY(sync_folder(writer, "data", error));
  SF_TRY(sf_lance_write_manifest(writer->root, &writer->dataset, error));
  SF_TRY(sync_folder(writer, "_versions", error));
  sf_sync_folder(writer->root);
  sf_sync_folder(writer->directory);
  return SF_OK;
}

static sf_code lance_finish(sf_shard_writer *to, sf_error *error) {
  lance_writer *writer = lance_of(to);
  return name_shard(writer, finish(writer, error), error);
}

const sf_shard_writer_format sf_lance_writer = {
    .has_string_ids_only = true,
    .check = lance_check,
    .create = lance_create,
    .add = lance_add,
    .finish = lance_finish,
    .free = lance_free,
};
