/*
 * A driver publishes the shards that workers wrote. It checks coverage: each shard has exactly one result, and the rows add
 * up. Then it publishes in two phases, as the format asks: the manifest, which nothing refers to yet, then `_CURRENT`, which
 * makes the snapshot the live one.
 *
 * It takes what workers returned as plain values and knows neither workers nor the builder: results can come from elsewhere.
 */
#ifndef SF_WRITER_DRIVER_H
#define SF_WRITER_DRIVER_H

#include "snapshot/manifest_writer.h"
#include "storage/storage.h"

/* All borrowed for as long as the driver is used. */
typedef struct sf_driver_params {
  sf_storage *storage;
  sf_manifest_facts facts;    /* all but created_at and shards, which the driver sets */
  const float *artifact;      /* the strategy's, × dim; NULL: it has none */
  uint64_t num_rows;          /* how many rows workers were given in all */
  const uint64_t *shard_rows; /* the same by db_id (num_dbs); NULL: not known */
} sf_driver_params;

/* Fails with SF_CONFIG_VALIDATION_ERROR, which names the shard, where results do not cover the snapshot: one for each of
 * num_dbs shards, in any order, with an empty one for a shard without rows. Looks at no storage. */
sf_code sf_driver_check(const sf_driver_params *params, const sf_shard_result *results, size_t num_results,
                        sf_error *error);

/* A snapshot on its way to being published. Zero-initialise; one thread at a time. */
typedef struct sf_driver {
  sf_driver_params params;
  sf_shard_result *shards; /* num_dbs, by db_id */
  sf_buffer manifest;
  char created_at[SF_TIMESTAMP_SIZE];
  char *manifest_folder; /* key "manifests/<created_at>_run_id=<run_id>/"; NULL: nothing is there yet */
  char *manifest_ref;    /* "<s3_prefix>/manifests/…/manifest" */
  bool is_published;     /* the manifest is stored: from then on nothing of the snapshot may be removed */
} sf_driver;

/* Checks coverage; then stores the routing artifact and makes the manifest, which is not stored yet. */
sf_code sf_driver_prepare(sf_driver *driver, const sf_driver_params *params, const sf_shard_result *results,
                          size_t num_results, const sf_cancellation *cancellation, sf_error *error);

/* Stores the manifest, and points `_CURRENT` to it. Where only the second fails, is_published says so. */
sf_code sf_driver_publish(sf_driver *driver, const sf_cancellation *cancellation, sf_error *error);

void sf_driver_free(sf_driver *driver); /* what it points to; a zeroed driver is allowed */

#endif
