/*
 * Writing a shard: rows in, the shard's files in one folder out. A format that can be written has an
 * sf_shard_writer_format in its row of the table (formats.h).
 *
 * A writer belongs to one thread at a time. It keeps a few MiB, whatever the number of rows; ids and payloads that a
 * format needs together at the end may be spooled to files in the folder, and are removed when it finishes.
 */
#ifndef SF_FORMATS_SHARD_WRITER_H
#define SF_FORMATS_SHARD_WRITER_H

#include "formats/shard.h"

/* A row to write. Borrowed for the call; the caller has checked it: finite, UTF-8, a JSON object. */
typedef struct sf_shard_row {
  const float *vector; /* dim */
  sf_id_type id_type;
  int64_t id_integer;
  const char *id_string;
  size_t id_length;
  const char *payload; /* JSON, on one line; NULL: none */
  size_t payload_length;
} sf_shard_row;

typedef struct sf_shard_writer_options {
  const char *directory; /* exists and is empty; the shard's files are made in it */
  uint32_t db_id;        /* for messages */
  uint32_t dim;
  sf_metric metric;
  uint32_t page_size; /* sqlite-vec: bytes; 0: by the dimension */
} sf_shard_writer_options;

typedef struct sf_shard_writer sf_shard_writer;

/* A file beside a finished shard, for readers that fetch ranges of its main file. */
typedef struct sf_shard_sidecar {
  const char *of; /* the main file */
  const char *name;
  /* Writes it into the shard's folder, whole and on disk. `tag` names the version of the main file's object; "": it has none.
   * *written is false where a shard can have none. What fails may leave a file. */
  sf_code (*write)(const char *directory, const char *tag, const sf_cancellation *cancellation, bool *written,
                   sf_error *error);
} sf_shard_sidecar;

typedef struct sf_shard_writer_format {
  bool has_string_ids_only; /* integers become their decimals: 1 and "1" are one id */
  /* Whether it can hold such vectors (`dim` 0: not known yet); else SF_CONFIG_VALIDATION_ERROR. */
  sf_code (*check)(sf_metric metric, uint32_t dim, sf_error *error);
  sf_code (*create)(const sf_shard_writer_options *options, sf_shard_writer **writer, sf_error *error);
  sf_code (*add)(sf_shard_writer *writer, const sf_shard_row *rows, size_t count, sf_error *error);
  /* Completes the shard: its files are whole, closed and on disk (fsync). Nothing may be added after it. */
  sf_code (*finish)(sf_shard_writer *writer, sf_error *error);
  /* Frees. A writer that has not finished leaves files in the folder, which the caller removes. */
  void (*free)(sf_shard_writer *writer);
  const sf_shard_sidecar *sidecar; /* NULL: its shards have none */
} sf_shard_writer_format;

/* The first member of every writer. */
struct sf_shard_writer {
  const sf_shard_writer_format *format;
};

/* Fails with SF_CONFIG_VALIDATION_ERROR where no format of that name can be written. */
sf_code sf_shard_writer_find(const char *format_name, const sf_shard_writer_format **format, sf_error *error);
/* Fails with SF_CONFIG_VALIDATION_ERROR where shards of the format have no sidecar. */
sf_code sf_shard_writer_check_sidecar(const sf_shard_writer_format *format, sf_error *error);
sf_code sf_shard_writer_create(const char *format_name, const sf_shard_writer_options *options,
                               sf_shard_writer **writer, sf_error *error);
sf_code sf_shard_writer_add(sf_shard_writer *writer, const sf_shard_row *rows, size_t count, sf_error *error);
sf_code sf_shard_writer_finish(sf_shard_writer *writer, sf_error *error);
void sf_shard_writer_free(sf_shard_writer *writer); /* NULL is allowed */

#endif
