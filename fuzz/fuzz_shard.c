/* The bytes are a shard.db of vectors of 4 components. */
#include "../tests/temporary_folder.h"
#include "formats/shard.h"
#include "query/scan.h"

#include <math.h>
#include <stdbool.h>

#define DIM 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct counting_sink {
  sf_row_sink base;
  size_t count;
  volatile size_t sum; /* of all bytes, so that they are read */
} counting_sink;

static bool count_row(sf_row_sink *sink, sf_id_type id_type, int64_t id_integer, const char *id_string,
                      size_t id_length, const char *payload, size_t payload_length) {
  (void)id_integer;
  counting_sink *counting = (counting_sink *)sink;
  if (id_type == SF_ID_STRING && id_string == NULL)
    abort();
  for (size_t i = 0; id_type == SF_ID_STRING && i < id_length; i++)
    counting->sum += (unsigned char)id_string[i];
  for (size_t i = 0; payload != NULL && i < payload_length; i++)
    counting->sum += (unsigned char)payload[i];
  counting->count++;
  return true;
}

static void fetch_rows(sf_shard *shard, const sf_collector *found) {
  counting_sink sink = {.base.add = count_row};
  sf_error error;
  for (size_t i = 0; i < found->count; i++)
    if (sf_shard_fetch_rows(shard, &found->rows[i].row, 1, &sink.base, &error) != SF_OK &&
        error.code != SF_DB_ADAPTER_ERROR)
      abort();
}

/* A search reads every component; the rows that it finds are fetched, also with a row directory, by which payloads come straight from
 * the file's pages. */
static void use_shard(sf_shard *shard) {
  const float query[DIM] = {1, -2, 0.5F, 0};
  float scaled[DIM];
  const sf_cache_place place = {.db_url = "s3://b/p/shard"};
  sf_query_vector query_vector;
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = 64};
  sf_collector found = {.params = &params};
  sf_error error;
  sf_query_vector_init(&query_vector, query, DIM, shard->score_convention, scaled);
  for (size_t s = 0; s < shard->num_segments; s++) {
    const sf_vector_segment *segment = &shard->segments[s];
    if (sf_scan_segment(&query_vector, segment, 0, segment->num_rows, &found, NULL, NULL, &error) != SF_OK)
      abort();
    for (size_t i = 0; i < found.count; i++)
      if (!isfinite(found.rows[i].score))
        abort();
    fetch_rows(shard, &found);
    if (sf_shard_open_directory(shard, &place, NULL, &error) == SF_OK)
      fetch_rows(shard, &found);
    else if (error.code != SF_DB_ADAPTER_ERROR)
      abort();
  }
  sf_collector_free(&found);
  if (sf_shard_verify(shard, NULL, &error) != SF_OK && error.code != SF_DB_ADAPTER_ERROR)
    abort();
}

static void open_shard(const sf_shard_params *source) {
  sf_shard *shard = NULL;
  sf_error error;
  sf_code code = sf_shard_open(source, NULL, &shard, &error);
  if (code == SF_OK) {
    if (!source->verify_only)
      use_shard(shard);
    sf_shard_close(shard);
  } else if (code != SF_DB_ADAPTER_ERROR || strstr(error.message, "s3://b/p/shard") == NULL)
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[256];
  char cache_dir[256];
  const char *folder = use_temporary_folder();
  snprintf(cache_dir, sizeof(cache_dir), "%s/cache", folder);
  snprintf(path, sizeof(path), "%s/shard", folder);
  mkdir(path, 0777);
  snprintf(path, sizeof(path), "%s/shard/shard.db", folder);
  write_whole_file(path, data, size);
  remove_files(cache_dir);
  sf_storage *storage;
  sf_shard_resources *resources;
  if (sf_storage_open(folder, NULL, &storage, NULL) != SF_OK || sf_shard_resources_create(&resources, NULL) != SF_OK)
    abort();
  sf_shard_params source = {.storage = storage,
                            .resources = resources,
                            .db_url = "s3://b/p/shard",
                            .key = "shard",
                            .cache_dir = cache_dir,
                            .dim = DIM,
                            .metric = SF_METRIC_COSINE};
  open_shard(&source);
  source.verify_only = true;
  open_shard(&source);
  sf_shard_resources_free(resources);
  sf_storage_close(storage);
  return 0;
}
