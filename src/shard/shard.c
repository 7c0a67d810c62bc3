#include "shard/shard.h"

#include "shard/shard_resources.h"

#include <string.h>

/* Every shard format, in the order in which they are looked for. */
static const sf_shard_format *const formats[] = {&sf_sqlite_vec_format, &sf_lance_format};

/* Storage that may recover and work that was given up stay what they are; all else is the shard's failure. */
static sf_code name_shard(const sf_shard_source *source, sf_code code, sf_error *error) {
  if (code == SF_OK || code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR || sf_code_retryable(code))
    return code;
  sf_error_prefix(error, "shard %u (%s)", (unsigned)source->db_id, source->db_url);
  return code;
}

sf_code sf_shard_format_check(const char *name, sf_error *error) {
  for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]) && name != NULL; i++)
    if (strcmp(formats[i]->name, name) == 0)
      return SF_OK;
  return name == NULL
             ? SF_OK
             : sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "shard_format: expected the name of one, found %s", name);
}

static sf_code open_found(const sf_shard_source *source, const sf_cancellation *cancellation, sf_shard **shard,
                          sf_error *error) {
  for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
    bool detected = false;
    if (source->format_name != NULL && strcmp(source->format_name, formats[i]->name) != 0)
      continue;
    SF_TRY(formats[i]->detect(source, cancellation, &detected, error));
    if (detected)
      return formats[i]->open(source, cancellation, shard, error);
  }
  return sf_fail(error, SF_DB_ADAPTER_ERROR,
                 "the shard is missing: expected shard.db or vector_index.lance/ at %s below %s, found neither%s%s",
                 source->key, source->storage->root, source->format_name != NULL ? " of the format " : "",
                 source->format_name != NULL ? source->format_name : "");
}

sf_code sf_shard_open(const sf_shard_source *source, const sf_cancellation *cancellation, sf_shard **shard,
                      sf_error *error) {
  return name_shard(source, open_found(source, cancellation, shard, error), error);
}

void sf_shard_prepare(const sf_shard *shard, const sf_cancellation *cancellation) {
  for (size_t i = 0; i < shard->num_segments; i++) {
    const sf_vector_segment *segment = &shard->segments[i];
    if (segment->lazy_norms != NULL)
      sf_lazy_norms_complete(segment->lazy_norms, cancellation);
    if (segment->lazy_codes != NULL)
      sf_lazy_codes_complete(segment->lazy_codes, cancellation);
  }
}

sf_code sf_shard_fetch_rows(sf_shard *shard, const uint64_t *rows, size_t count, sf_row_sink *sink, sf_error *error) {
  return shard->format->fetch_rows(shard, rows, count, sink, error);
}

sf_code sf_shard_verify(sf_shard *shard, const sf_cancellation *cancellation, sf_error *error) {
  return shard->format->verify(shard, cancellation, error);
}

void sf_shard_close(sf_shard *shard) {
  if (shard != NULL)
    shard->format->close(shard);
}

sf_code sf_shard_resources_create(sf_shard_resources **created, sf_error *error) {
  sf_shard_resources *resources = sf_calloc(1, sizeof(*resources));
  if (resources == NULL)
    return sf_fail_memory(error, "resources of shards");
  sf_code code = sf_connection_pool_create(&resources->connections, error);
  if (code != SF_OK)
    free(resources);
  else
    *created = resources;
  return code;
}

void sf_shard_resources_free(sf_shard_resources *resources) {
  if (resources == NULL)
    return;
  sf_connection_pool_free(resources->connections);
  free(resources);
}
