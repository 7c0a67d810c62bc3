#include "query/snapshot_lists.h"

#include "cache/cached_block.h"
#include "lists/make_lists.h"
#include "query/list_calibration.h"
#include "query/stored_lists.h"

#include <stdatomic.h>

typedef enum lists_state { NOT_OPEN, OPENING, OPEN, FAILED } lists_state;

enum { SEED = 1 };

struct sf_snapshot_lists {
  _Atomic(lists_state) state; /* released once all below is there */
  uint32_t num_dbs;
  size_t num_lists; /* of all shards */
  sf_cached_block *blocks;
  sf_lists *opened;
  const sf_lists **of_shards; /* NULL: the shard has no rows */
  sf_list_calibration calibration;
};

sf_snapshot_lists *sf_snapshot_lists_create(uint32_t num_dbs) {
  sf_snapshot_lists *lists = sf_calloc(1, sizeof(*lists));
  if (lists == NULL)
    return NULL;
  lists->num_dbs = num_dbs;
  lists->blocks = sf_calloc(num_dbs, sizeof(*lists->blocks));
  lists->opened = sf_calloc(num_dbs, sizeof(*lists->opened));
  lists->of_shards = sf_calloc(num_dbs, sizeof(sf_lists *));
  if (lists->blocks != NULL && lists->opened != NULL && lists->of_shards != NULL)
    return lists;
  sf_snapshot_lists_free(lists);
  return NULL;
}

void sf_snapshot_lists_free(sf_snapshot_lists *lists) {
  if (lists == NULL)
    return;
  for (uint32_t i = 0; i < lists->num_dbs && lists->blocks != NULL; i++)
    sf_cached_block_free(&lists->blocks[i]);
  free(lists->blocks);
  free(lists->opened);
  free((void *)lists->of_shards);
  free(lists);
}

size_t sf_snapshot_lists_count(const sf_snapshot_lists *lists, double recall, size_t top_k) {
  if (atomic_load_explicit(&lists->state, memory_order_acquire) != OPEN)
    return 0;
  return sf_list_calibration_count(&lists->calibration, recall, top_k);
}

const sf_lists *const *sf_snapshot_lists_of_shards(const sf_snapshot_lists *lists) {
  return lists->of_shards;
}

size_t sf_snapshot_lists_total(const sf_snapshot_lists *lists) {
  return lists->num_lists;
}

/* The opening, by lane LOAD. It holds the served snapshot and all shards. */
typedef struct opening {
  sf_task task; /* first: the executor passes it to run_opening */
  sf_served_snapshot *served;
  sf_snapshot_lists *lists;
  sf_shard *shards[]; /* NULL: without rows */
} opening;

/* Lists as a file of the cache. */
typedef struct lists_file {
  sf_lists_identity identity;
  sf_lists *lists;
} lists_file;

static bool read_block(void *context, const void *bytes, size_t length) {
  const lists_file *file = context;
  return sf_lists_read(bytes, length, &file->identity, file->lists, NULL) == SF_OK;
}

static sf_code make_block(const sf_shard *shard, const sf_lists_identity *identity, sf_metric metric,
                          const sf_cancellation *cancellation, void **block, size_t *length, sf_error *error) {
  const sf_lists_params params = {.segments = shard->segments,
                                  .num_segments = shard->num_segments,
                                  .dim = shard->dim,
                                  .metric = metric,
                                  .identity = *identity,
                                  .num_threads = 1,
                                  .seed = SEED};
  return sf_lists_make(&params, cancellation, block, length, error);
}

/* From the local cache, or made and kept there. */
static sf_code open_made(const sf_shard *shard, const sf_cache_place *place, sf_metric metric,
                         const sf_cancellation *cancellation, sf_cached_block *block, sf_lists *lists,
                         sf_error *error) {
  lists_file file = {
      .identity = {.db_url = place->db_url, .checkpoint_id = place->checkpoint_id, .content = shard->content},
      .lists = lists};
  const sf_block_file kept = {.place = *place, .name = SF_LISTS_NAME, .context = &file, .read = read_block};
  void *made;
  size_t length;
  SF_TRY(sf_cached_block_map(&kept, block, error));
  if (block->bytes != NULL && sf_lists_check_shard(lists, shard, metric, NULL) == SF_OK)
    return SF_OK;
  sf_cached_block_free(block);
  SF_TRY(make_block(shard, &file.identity, metric, cancellation, &made, &length, error));
  return sf_cached_block_keep(&kept, made, length, cancellation, block, error);
}

/* Once for each shard: what is told of a shard's lists that can't be used. */
static void report_shard(const opening *run, uint32_t db_id, sf_code code, const sf_error *error, uint64_t started) {
  if (code == SF_CANCELLED_ERROR)
    return;
  if (code != SF_OK)
    sf_log_message(sf_served_snapshot_log(run->served), SF_LOG_WARNING, "%s", error->message);
  sf_event_emit(sf_served_snapshot_events(run->served),
                (sf_event){.type = SF_EVENT_LISTS_LOAD,
                           .code = code,
                           .message = code == SF_OK ? NULL : error->message,
                           .duration_ms = (double)(sf_monotonic_nanoseconds() - started) / 1e6,
                           .shard_id = db_id,
                           .num_rows = code == SF_OK ? run->lists->opened[db_id].num_rows : 0});
}

/* Those that the manifest names. */
static sf_code open_stored(const opening *run, uint32_t db_id, const sf_cache_place *place, sf_error *error) {
  sf_snapshot_lists *lists = run->lists;
  const sf_manifest *manifest = &sf_served_snapshot_metadata(run->served)->manifest;
  if (manifest->lists.shards[db_id].ref == NULL)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "shard %u (%s): expected lists in the manifest, found none",
                   (unsigned)db_id, place->db_url);
  const sf_stored_lists_params params = {
      .storage = sf_served_snapshot_storage(run->served), .manifest = manifest, .db_id = db_id};
  SF_TRY(sf_stored_lists_open(&params, place, sf_served_snapshot_indexing(run->served), &lists->blocks[db_id],
                              &lists->opened[db_id], error));
  sf_code code = sf_lists_check_shard(&lists->opened[db_id], run->shards[db_id], manifest->metric, error);
  if (code != SF_OK)
    sf_error_prefix(error, "lists of shard %u (%s)", (unsigned)db_id, manifest->lists.shards[db_id].ref);
  return code;
}

static sf_code open_shard(const opening *run, uint32_t db_id, sf_error *error) {
  sf_snapshot_lists *lists = run->lists;
  const sf_manifest *manifest = &sf_served_snapshot_metadata(run->served)->manifest;
  uint64_t started = sf_monotonic_nanoseconds();
  char *folder;
  sf_cache_place place;
  SF_TRY(sf_served_snapshot_place(run->served, db_id, &folder, &place, error));
  sf_code code = manifest->lists.shards != NULL
                     ? open_stored(run, db_id, &place, error)
                     : open_made(run->shards[db_id], &place, manifest->metric, sf_served_snapshot_indexing(run->served),
                                 &lists->blocks[db_id], &lists->opened[db_id], error);
  free(folder);
  report_shard(run, db_id, code, error, started);
  if (code != SF_OK)
    return code;
  lists->of_shards[db_id] = &lists->opened[db_id];
  lists->num_lists += lists->opened[db_id].num_lists;
  return SF_OK;
}

static sf_code calibrate(const opening *run, sf_error *error) {
  sf_snapshot_lists *lists = run->lists;
  const sf_manifest *manifest = &sf_served_snapshot_metadata(run->served)->manifest;
  if (manifest->lists.shards != NULL) {
    lists->calibration = manifest->lists.calibration;
    return SF_OK;
  }
  const sf_calibration_params params = {.shards = run->shards,
                                        .lists = lists->of_shards,
                                        .num_shards = lists->num_dbs,
                                        .dim = manifest->dim,
                                        .seed = SEED};
  return sf_list_calibrate(&params, sf_served_snapshot_indexing(run->served), &lists->calibration, error);
}

/* What an opening that failed has left. */
static void forget(sf_snapshot_lists *lists) {
  lists->num_lists = 0;
  for (uint32_t i = 0; i < lists->num_dbs; i++) {
    sf_cached_block_free(&lists->blocks[i]);
    lists->of_shards[i] = NULL;
  }
}

static sf_code open_all(const opening *run, sf_error *error) {
  sf_snapshot_lists *lists = run->lists;
  forget(lists);
  for (uint32_t i = 0; i < lists->num_dbs; i++)
    if (run->shards[i] != NULL && run->shards[i]->num_rows > 0)
      SF_TRY(open_shard(run, i, error));
  if (lists->num_lists == 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "lists: expected rows, found none");
  return calibrate(run, error);
}

/* Gives back what the opening holds. */
static void end_opening(opening *run, lists_state state) {
  sf_served_snapshot *served = run->served;
  atomic_store_explicit(&run->lists->state, state, memory_order_release);
  for (uint32_t i = 0; i < run->lists->num_dbs; i++)
    if (run->shards[i] != NULL)
      sf_served_snapshot_return(served, i);
  free(run);
  sf_served_snapshot_end_indexing(served);
}

static void run_opening(sf_task *task) {
  opening *run = (opening *)task;
  sf_error error;
  sf_error_clear(&error);
  uint64_t started = sf_monotonic_nanoseconds();
  sf_code code = open_all(run, &error);
  const sf_log *log = sf_served_snapshot_log(run->served);
  if (code == SF_OK)
    sf_log_message(log, SF_LOG_DEBUG, "lists: opened %zu of all shards in %.1f ms", run->lists->num_lists,
                   (double)(sf_monotonic_nanoseconds() - started) / 1e6);
  else if (code != SF_CANCELLED_ERROR)
    sf_log_message(log, SF_LOG_WARNING, "no lists, so that every search is exact: %s", error.message);
  end_opening(run, code == SF_OK ? OPEN : sf_code_retryable(code) ? NOT_OPEN : FAILED);
}

/* Whether all shards with rows are loaded, and now acquired. */
static bool acquire_all(opening *run) {
  const sf_manifest *manifest = &sf_served_snapshot_metadata(run->served)->manifest;
  for (uint32_t i = 0; i < run->lists->num_dbs; i++) {
    if (manifest->shards[i].db_url == NULL)
      continue;
    run->shards[i] = sf_served_snapshot_acquire_loaded(run->served, i);
    if (run->shards[i] == NULL)
      return false;
  }
  return true;
}

void sf_snapshot_lists_start(sf_served_snapshot *served) {
  sf_snapshot_lists *lists = sf_served_snapshot_lists(served);
  lists_state expected = NOT_OPEN;
  if (!atomic_compare_exchange_strong(&lists->state, &expected, OPENING))
    return;
  opening *run = sf_calloc(1, sizeof(*run) + lists->num_dbs * sizeof(sf_shard *));
  if (run == NULL) {
    atomic_store(&lists->state, NOT_OPEN);
    return;
  }
  run->task.run = run_opening;
  run->served = served;
  run->lists = lists;
  sf_served_snapshot_begin_indexing(served);
  if (!acquire_all(run) || !sf_executor_submit(sf_served_snapshot_executor(served), SF_LANE_LOAD, &run->task))
    end_opening(run, NOT_OPEN);
}
