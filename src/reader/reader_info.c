/* The served snapshot, its shards and the reader's health, as results of one block each. */
#include "base/assert.h"
#include "base/memory.h"
#include "base/time.h"
#include "reader/reader.h"

static sf_code describe_snapshot(const sf_snapshot *snapshot, sf_snapshot_info **info, sf_error *error) {
  const sf_manifest *manifest = &snapshot->manifest;
  sf_snapshot_info *made =
      sf_calloc(1, sizeof(*made) + sf_block_text_size(manifest->run_id) + sf_block_text_size(snapshot->manifest_ref));
  if (made == NULL)
    return sf_fail_memory(error, "snapshot info");
  char *text = (char *)(made + 1);
  *made = (sf_snapshot_info){.run_id = sf_block_copy_text(&text, manifest->run_id),
                             .num_dbs = manifest->num_dbs,
                             .dim = manifest->dim,
                             .metric = manifest->metric,
                             .sharding = manifest->routing.strategy,
                             .manifest_ref = sf_block_copy_text(&text, snapshot->manifest_ref),
                             .total_vectors = manifest->total_vectors};
  *info = made;
  return SF_OK;
}

sf_code sf_reader_snapshot_info(sf_reader *reader, sf_snapshot_info **info, sf_error *error) {
  sf_served_snapshot *served;
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = describe_snapshot(sf_served_snapshot_metadata(served), info, error);
  sf_served_snapshot_release(served);
  return code;
}

static sf_code describe_shards(const sf_manifest *manifest, sf_shard_detail **details, sf_error *error) {
  size_t text_size = 0;
  for (uint32_t i = 0; i < manifest->num_dbs; i++)
    text_size += sf_block_text_size(manifest->shards[i].db_url) + sf_block_text_size(manifest->shards[i].checkpoint_id);
  sf_shard_detail *made = sf_calloc(1, manifest->num_dbs * sizeof(*made) + text_size);
  if (made == NULL)
    return sf_fail_memory(error, "shard details");
  char *text = (char *)(made + manifest->num_dbs);
  for (uint32_t i = 0; i < manifest->num_dbs; i++) {
    const sf_manifest_shard *shard = &manifest->shards[i];
    made[i] = (sf_shard_detail){.db_id = i,
                                .db_url = sf_block_copy_text(&text, shard->db_url),
                                .vector_count = shard->row_count,
                                .checkpoint_id = sf_block_copy_text(&text, shard->checkpoint_id)};
  }
  *details = made;
  return SF_OK;
}

const sf_shard_detail *sf_shard_detail_at(const sf_shard_detail *details, size_t index) {
  return &details[index];
}

sf_code sf_reader_shard_details(sf_reader *reader, sf_shard_detail **details, size_t *count, sf_error *error) {
  sf_served_snapshot *served;
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  const sf_manifest *manifest = &sf_served_snapshot_metadata(served)->manifest;
  sf_code code = describe_shards(manifest, details, error);
  if (code == SF_OK)
    *count = manifest->num_dbs;
  sf_served_snapshot_release(served);
  return code;
}

/* NULL when memory is out. */
static sf_health *describe_health_locked(const sf_reader *reader, double threshold) {
  SF_ASSERT_LOCKED(&reader->mutex);
  const char *refresh_error = reader->refresh_error.code == SF_OK ? NULL : reader->refresh_error.message;
  sf_health *made =
      sf_calloc(1, sizeof(*made) + sf_block_text_size(reader->manifest_ref) + sf_block_text_size(refresh_error));
  if (made == NULL)
    return NULL;
  char *text = (char *)(made + 1);
  double age = sf_wall_clock_seconds() - reader->published_seconds;
  *made = (sf_health){.status = reader->is_closed                   ? SF_UNHEALTHY
                                : threshold >= 0 && age > threshold ? SF_DEGRADED
                                                                    : SF_HEALTHY,
                      .manifest_ref = sf_block_copy_text(&text, reader->manifest_ref),
                      .manifest_age_seconds = age > 0 ? age : 0,
                      .num_shards = reader->num_shards,
                      .is_closed = reader->is_closed,
                      .refresh_error = sf_block_copy_text(&text, refresh_error)};
  return made;
}

sf_code sf_reader_health(sf_reader *reader, double staleness_threshold_seconds, sf_health **health, sf_error *error) {
  SF_TRY(sf_reader_check_process(reader, error));
  pthread_mutex_lock(&reader->mutex);
  *health = describe_health_locked(reader, staleness_threshold_seconds);
  pthread_mutex_unlock(&reader->mutex);
  return *health != NULL ? SF_OK : sf_fail_memory(error, "health");
}

const char *sf_health_status_name(sf_health_status status) {
  switch (status) {
  case SF_HEALTHY:
    return "healthy";
  case SF_DEGRADED:
    return "degraded";
  case SF_UNHEALTHY:
    return "unhealthy";
  }
  return "unknown";
}
