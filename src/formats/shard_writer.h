/*
 * Writing a shard: rows in, the shard's files in one folder out. A format that can be written has an
 * sf_shard_writer_format in its row of the table (formats.h).
 *
 * A writer belongs to one thread at a time. It keeps a few MiB, whatever the number of rows; ids and payloads that a
 * format needs together at the end may be spooled to files in the folder, and are gone when it is finished.
 */
#ifndef SF_FORMATS_SHARD_WRITER_H
#define SF_FORMATS_SHARD_WRITER_H

#include "formats/shard.h"

/* A row to write. All borrowed for the call that takes it; checked before: finite, UTF-8, a JSON object. */
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
  const char *directory; /* exists and is empty: what is in it when the writer has finished is the shard */
  uint32_t db_id;        /* for messages */
  uint32_t dim;
  sf_metric metric;
} sf_shard_writer_options;

typedef struct sf_shard_writer sf_shard_writer;

typedef struct sf_shard_writer_format {
  bool has_string_ids_only; /* integers become their decimals: 1 and "1" are one id */
  /* Whether it can hold such vectors (`dim` 0: not known yet); else SF_CONFIG_VALIDATION_ERROR. */
  sf_code (*check)(sf_metric metric, uint32_t dim, sf_error *error);
  sf_code (*create)(const sf_shard_writer_options *options, sf_shard_writer **writer, sf_error *error);
  sf_code (*add)(sf_shard_writer *writer, const sf_shard_row *rows, size_t count, sf_error *error);
  /* Completes the shard: its files are whole, closed and on disk (fsync). Nothing may be added after it. */
  sf_code (*finish)(sf_shard_writer *writer, sf_error *error);
  /* Frees. Of a writer that has not finished, the folder holds rests, which are the caller's to remove. */
  void (*free)(sf_shard_writer *writer);
} sf_shard_writer_format;

/* What every writer begins with. */
struct sf_shard_writer {
  const sf_shard_writer_format *format;
};

/* Fails with SF_CONFIG_VALIDATION_ERROR where no format of that name can be written. */
sf_code sf_shard_writer_find(const char *format_name, const sf_shard_writer_format **format, sf_error *error);
sf_code sf_shard_writer_create(const char *format_name, const sf_shard_writer_options *options,
                               sf_shard_writer **writer, sf_error *error);
sf_code sf_shard_writer_add(sf_shard_writer *writer, const sf_shard_row *rows, size_t count, sf_error *error);
sf_code sf_shard_writer_finish(sf_shard_writer *writer, sf_error *error);
void sf_shard_writer_free(sf_shard_writer *writer); /* NULL is allowed */

#endif
