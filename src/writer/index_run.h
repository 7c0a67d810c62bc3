/*
 * Making lists for a snapshot that is live, whoever wrote it: shard by shard, each in memory and then in the local cache, from
 * where it is stored beside the shards. Then how many lists give which recall is measured over all of them, and a manifest
 * that names them is published in two phases, if the snapshot is still the live one. The objects are those of a run of its
 * own, with a record, so that a cleanup finds what a killed one leaves; the manifest keeps the run id of the shards.
 */
#ifndef SF_WRITER_INDEX_RUN_H
#define SF_WRITER_INDEX_RUN_H

#include "base/report.h"
#include "formats/shard.h"
#include "shardyfusion/build.h"
#include "storage/storage.h"

/* All borrowed. */
typedef struct sf_index_params {
  sf_storage *storage;
  const char *cache_dir;
  sf_index_options options; /* read, with its defaults in place */
  sf_log log;
  const sf_cancellation *cancellation;
} sf_index_params;

sf_code sf_index_run(const sf_index_params *params, sf_index_result **result, sf_error *error);

#endif
