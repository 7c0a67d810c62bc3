/*
 * Writes a Lance shard of the rows on its standard input:
 *
 *   lance_write DIRECTORY DIM [METRIC]
 *
 * DIRECTORY is made. METRIC is cosine if it is not given. A row, little-endian: u8 1 for an id that is an integer, then an int64; else 0, then u32 length and
 * bytes. u8 1 for a payload, then u32 length and bytes; else 0. DIM float32.
 */
#include "base/files.h"
#include "base/memory.h"
#include "formats/shard_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_A_TIME 100

typedef struct input_row {
  sf_buffer id;
  sf_buffer payload;
  float *vector;
} input_row;

static void read_exactly(void *bytes, size_t length) {
  if (length > 0 && fread(bytes, length, 1, stdin) != 1) {
    fprintf(stderr, "the input ends within a row\n");
    exit(2);
  }
}

static void read_string(sf_buffer *string) {
  uint32_t length;
  read_exactly(&length, sizeof(length));
  string->length = 0;
  if (!sf_buffer_reserve(string, length))
    exit(2);
  read_exactly(string->data, length);
  string->length = length;
}

static void read_row(int id_is_integer, uint32_t dim, input_row *input, sf_shard_row *row) {
  *row = (sf_shard_row){.id_type = id_is_integer ? SF_ID_INTEGER : SF_ID_STRING, .vector = input->vector};
  if (id_is_integer) {
    read_exactly(&row->id_integer, sizeof(row->id_integer));
  } else {
    read_string(&input->id);
    row->id_string = (const char *)input->id.data;
    row->id_length = input->id.length;
  }
  if (getchar() == 1) {
    read_string(&input->payload);
    row->payload = (const char *)input->payload.data;
    row->payload_length = input->payload.length;
  }
  read_exactly(input->vector, dim * sizeof(float));
}

static sf_code write_rows(sf_shard_writer *writer, uint32_t dim, input_row *inputs, sf_error *error) {
  sf_shard_row rows[ROWS_AT_A_TIME];
  for (;;) {
    size_t count = 0;
    for (int first; count < ROWS_AT_A_TIME && (first = getchar()) != EOF; count++)
      read_row(first, dim, &inputs[count], &rows[count]);
    if (count == 0)
      return SF_OK;
    SF_TRY(sf_shard_writer_add(writer, rows, count, error));
  }
}

static bool find_metric(const char *name, sf_metric *found) {
  static const sf_metric metrics[] = {SF_METRIC_COSINE, SF_METRIC_L2, SF_METRIC_DOT_PRODUCT};
  for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
    if (strcmp(sf_metric_name(metrics[i]), name) == 0) {
      *found = metrics[i];
      return true;
    }
  return false;
}

int main(int argc, char **argv) {
  sf_metric metric = SF_METRIC_COSINE;
  if (argc < 3 || argc > 4 || (argc == 4 && !find_metric(argv[3], &metric))) {
    fprintf(stderr, "usage: %s DIRECTORY DIM [METRIC]\n", argv[0]);
    return 2;
  }
  sf_error error = {0};
  sf_shard_writer *writer = NULL;
  uint32_t dim = (uint32_t)strtoul(argv[2], NULL, 10);
  input_row inputs[ROWS_AT_A_TIME] = {0};
  for (size_t i = 0; i < ROWS_AT_A_TIME; i++)
    if ((inputs[i].vector = sf_calloc(dim, sizeof(float))) == NULL)
      return 2;
  sf_shard_writer_options options = {.directory = argv[1], .dim = dim, .metric = metric};
  sf_code code = sf_make_folders(argv[1], &error);
  if (code == SF_OK)
    code = sf_shard_writer_create("lance", &options, &writer, &error);
  if (code == SF_OK)
    code = write_rows(writer, dim, inputs, &error);
  if (code == SF_OK)
    code = sf_shard_writer_finish(writer, &error);
  sf_shard_writer_free(writer);
  if (code != SF_OK)
    fprintf(stderr, "%s: %s\n", sf_code_name(code), error.message);
  for (size_t i = 0; i < ROWS_AT_A_TIME; i++) {
    sf_buffer_free(&inputs[i].id);
    sf_buffer_free(&inputs[i].payload);
    free(inputs[i].vector);
  }
  return code != SF_OK;
}
