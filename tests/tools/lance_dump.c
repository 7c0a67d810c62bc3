/*
 * Prints every row of a Lance shard that a search can find as a line of JSON, by a scan for as many as there are:
 *
 *   lance_dump ROOT KEY DIM METRIC CACHE_DIR [unified] [remote] [verify] [ids]
 *
 * {"row": number in the shard, "id": …, "payload": … or null, "vector": hexadecimal float32}, with strings in hexadecimal,
 * too. `ids` instead prints how many rows count, are read one by one, and are found by their ids. `remote` reads through a storage whose objects are not on this machine, and counts its requests on stderr.
 */
#include "formats/formats.h"
#include "query/scan.h"
#include "support/remote_storage.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROWS_AT_A_TIME 200

typedef struct printing_sink {
  sf_row_sink base;
  const sf_shard *shard;
  const sf_vector_segment *segment;
  uint64_t rows[ROWS_AT_A_TIME]; /* that were asked for, by their numbers in the shard */
  size_t count;
  size_t next;
} printing_sink;

static void print_hexadecimal(const void *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *next = bytes;
  putchar('"');
  for (size_t i = 0; i < length; i++) {
    putchar(digits[next[i] >> 4]);
    putchar(digits[next[i] & 15]);
  }
  putchar('"');
}

static bool print_row(sf_row_sink *sink, sf_id_type id_type, int64_t id_integer, const char *id_string,
                      size_t id_length, const char *payload, size_t payload_length) {
  printing_sink *to = (printing_sink *)sink;
  size_t dim = to->shard->dim;
  uint64_t row = to->rows[to->next++];
  size_t row_in_segment = (size_t)(row - to->segment->first_row);
  (void)id_integer;
  if (id_type != SF_ID_STRING)
    return false;
  printf("{\"row\": %" PRIu64 ", \"id\": ", row);
  print_hexadecimal(id_string, id_length);
  printf(", \"payload\": ");
  if (payload != NULL)
    print_hexadecimal(payload, payload_length);
  else
    printf("null");
  printf(", \"vector\": ");
  print_hexadecimal(to->segment->vectors + row_in_segment * dim, dim * sizeof(float));
  printf("}\n");
  return true;
}

static sf_code print_rows(sf_shard *shard, printing_sink *sink, sf_error *error) {
  sink->next = 0;
  SF_TRY(sf_lance_format.fetch_rows(shard, sink->rows, sink->count, &sink->base, error));
  sink->count = 0;
  return SF_OK;
}

static int compare_rows(const void *left, const void *right) {
  const sf_scored_row *a = left;
  const sf_scored_row *b = right;
  return a->row < b->row ? -1 : a->row > b->row;
}

/* All rows that a search for (1, 0, 0, …) can find, by number. */
static sf_code find_all(const sf_shard *shard, const sf_vector_segment *segment, sf_collector *found, sf_error *error) {
  float *query = sf_calloc((size_t)shard->dim * 2, sizeof(*query));
  sf_query_vector query_vector;
  if (query == NULL)
    return sf_fail_memory(error, "query");
  query[0] = 1;
  sf_query_vector_init(&query_vector, query, shard->dim, shard->score_convention, query + shard->dim);
  sf_code code = sf_scan_segment(&query_vector, segment, 0, segment->num_rows, found, NULL, NULL, error);
  free(query);
  if (code == SF_OK && found->count > 0) /* a collector without rows has no array */
    qsort(found->rows, found->count, sizeof(*found->rows), compare_rows);
  return code;
}

static sf_code print_found(sf_shard *shard, const sf_vector_segment *segment, const sf_collector *found,
                           sf_error *error) {
  printing_sink sink = {.base = {.add = print_row}, .shard = shard, .segment = segment};
  for (size_t i = 0; i < found->count; i++) {
    sink.rows[sink.count++] = found->rows[i].row;
    if (sink.count == ROWS_AT_A_TIME)
      SF_TRY(print_rows(shard, &sink, error));
  }
  return print_rows(shard, &sink, error);
}

static sf_code print_segment(sf_shard *shard, const sf_vector_segment *segment, sf_error *error) {
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = segment->num_rows};
  sf_collector found = {.params = &params};
  sf_code code = find_all(shard, segment, &found, error);
  if (code == SF_OK)
    code = print_found(shard, segment, &found, error);
  sf_collector_free(&found);
  return code;
}

/* Looks each row up by its id while all are read. */
typedef struct counting_visitor {
  sf_row_visitor base; /* first: reading passes it back */
  sf_shard *shard;
  uint64_t num_read;
  uint64_t num_found;
} counting_visitor;

static sf_code find_row(sf_row_visitor *visitor, uint64_t row, const sf_row_text *text, sf_error *error) {
  counting_visitor *counting = (counting_visitor *)visitor;
  const sf_row_id id = {.type = SF_ID_STRING, .string = text->id_string, .length = text->id_length};
  const sf_cache_place nowhere = {.db_url = "dump"};
  uint64_t found;
  SF_TRY(sf_shard_find_rows(counting->shard, &nowhere, &id, 1, &found, NULL, error));
  counting->num_read++;
  counting->num_found += found == row;
  return SF_OK;
}

static sf_code print_ids(sf_shard *shard, sf_error *error) {
  counting_visitor counting = {.base = {.wants_ids = true, .visit = find_row}, .shard = shard};
  SF_TRY(sf_shard_read_rows(shard, &counting.base, NULL, error));
  printf("{\"counted\": %" PRIu64 ", \"read\": %" PRIu64 ", \"found\": %" PRIu64 "}\n", sf_shard_num_live_rows(shard),
         counting.num_read, counting.num_found);
  return SF_OK;
}

static bool has_argument(int argc, char **argv, const char *name) {
  for (int i = 6; i < argc; i++)
    if (strcmp(argv[i], name) == 0)
      return true;
  return false;
}

static sf_code print_shard(sf_shard *shard, bool only_ids, sf_error *error) {
  if (only_ids)
    return print_ids(shard, error);
  for (size_t i = 0; i < shard->num_segments; i++)
    SF_TRY(print_segment(shard, &shard->segments[i], error));
  return SF_OK;
}

static sf_code dump(const sf_shard_params *source, bool only_ids, sf_error *error) {
  bool detected = false;
  sf_shard *shard = NULL;
  SF_TRY(sf_lance_format.detect(source, NULL, &detected, error));
  if (!detected)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "no Lance dataset at %s", source->key);
  SF_TRY(sf_lance_format.open(source, NULL, &shard, error));
  sf_code code = source->verify_only ? sf_lance_format.verify(shard, NULL, error) : print_shard(shard, only_ids, error);
  fprintf(stderr, "%" PRIu64 " rows, %" PRIu64 " not finite\n", shard->num_rows, shard->num_not_finite);
  sf_shard_close(shard);
  return code;
}

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "usage: %s ROOT KEY DIM METRIC CACHE_DIR [unified] [remote] [verify] [ids]\n", argv[0]);
    return 2;
  }
  sf_storage *storage = NULL;
  sf_error error = {0};
  bool remote = has_argument(argc, argv, "remote");
  sf_code code =
      remote ? remote_storage_open(argv[1], &storage, &error) : sf_storage_open(argv[1], NULL, &storage, &error);
  sf_shard_resources *resources = NULL;
  if (code == SF_OK)
    code = sf_shard_resources_create(&resources, &error);
  sf_shard_params source = {
      .storage = storage,
      .resources = resources,
      .db_url = argv[2],
      .key = argv[2],
      .cache_dir = argv[5],
      .dim = (uint32_t)strtoul(argv[3], NULL, 10),
      .metric = strcmp(argv[4], "cosine") == 0 ? SF_METRIC_COSINE
                : strcmp(argv[4], "l2") == 0   ? SF_METRIC_L2
                                               : SF_METRIC_DOT_PRODUCT,
      .is_unified = has_argument(argc, argv, "unified"),
      .verify_only = has_argument(argc, argv, "verify"),
  };
  if (code == SF_OK)
    code = dump(&source, has_argument(argc, argv, "ids"), &error);
  if (code != SF_OK)
    fprintf(stderr, "%s: %s\n", sf_code_name(code), error.message);
  if (remote && storage != NULL)
    fprintf(stderr, "%zu requests\n", remote_storage_requests(storage));
  sf_shard_resources_free(resources);
  if (storage != NULL)
    storage->vtable->close(storage);
  return code != SF_OK;
}
