#include "query/lookup.h"

#include "base/memory.h"
#include "base/thread.h"

#include <errno.h>
#include <stdatomic.h>

typedef enum run_state { QUEUED, RUNNING, ABANDONED } run_state;

/* A task that looks in one shard. Where it was abandoned, it touches nothing but the served snapshot. */
typedef struct lookup_run {
  sf_task task; /* first: the executor passes it to run_lookup */
  atomic_int state;
  sf_lookup_params params; /* whose served snapshot it retains */
  sf_shard *shard;
  sf_lookup_waiter *waiter;
} lookup_run;

sf_row_id *sf_row_ids_copy(const sf_row_id *ids, size_t count) {
  size_t size;
  if (!sf_multiply_size(count, sizeof(*ids), &size))
    return NULL;
  for (size_t i = 0; i < count; i++)
    if (ids[i].type == SF_ID_STRING && !sf_add_size(size, ids[i].length, &size))
      return NULL;
  sf_row_id *copies = sf_calloc(size, 1);
  char *text = copies == NULL ? NULL : (char *)(copies + count);
  for (size_t i = 0; i < count && copies != NULL; i++) {
    copies[i] = ids[i];
    if (ids[i].type != SF_ID_STRING)
      continue;
    copies[i].string = text;
    if (ids[i].length > 0)
      memcpy(text, ids[i].string, ids[i].length);
    text += ids[i].length;
  }
  return copies;
}

void sf_found_rows_free(sf_found_rows *found) {
  sf_search_response_free(found->rows);
  free(found->indexes);
  *found = (sf_found_rows){0};
}

/* ---------------------------------------------------------------------------------------------------------- One shard */

static sf_code fetch_found(const lookup_run *run, const sf_merge *merged, sf_search_response **rows, sf_error *error) {
  sf_shard *shard = run->shard;
  const sf_response_params params = {
      .merged = merged,
      .shards = &shard,
      .num_shards = 1,
      .omits_payloads = run->params.omits_payloads,
      .dim = run->params.dim,
      .has_integer_ids = sf_served_snapshot_metadata(run->params.served)->manifest.has_integer_ids,
      .cancellation = run->params.cancellation,
  };
  SF_TRY(sf_search_response_fetch(&params, rows, error));
  sf_search_response_seal(*rows, 0);
  return SF_OK;
}

/* Fetches the rows that were found: `rows` has one for each id, `count` of them are rows. What is kept of a shard takes memory for
 * these alone. */
static sf_code take_found(const lookup_run *run, const uint64_t *rows, size_t count, sf_found_rows *found,
                          sf_error *error) {
  sf_merge merged = {.items = sf_calloc(count, sizeof(*merged.items))};
  found->indexes = sf_calloc(count, sizeof(*found->indexes));
  if (merged.items == NULL || found->indexes == NULL) {
    free(merged.items);
    return sf_fail_memory(error, "rows by their ids");
  }
  for (size_t i = 0; merged.count < count; i++)
    if (rows[i] != SF_NO_ROW) {
      found->indexes[merged.count] = i;
      merged.items[merged.count++] = (sf_merged_row){.row = rows[i], .shard_id = run->shard->db_id};
    }
  sf_code code = fetch_found(run, &merged, &found->rows, error);
  free(merged.items);
  return code;
}

static sf_code look_up(const lookup_run *run, sf_found_rows *found, sf_error *error) {
  size_t num_ids = run->params.num_ids;
  size_t count = 0;
  uint64_t *rows = sf_calloc(num_ids, sizeof(*rows));
  if (rows == NULL)
    return sf_fail_memory(error, "rows by their ids");
  char *folder = NULL;
  sf_cache_place place;
  sf_code code = sf_served_snapshot_place(run->params.served, run->shard->db_id, &folder, &place, error);
  if (code == SF_OK)
    code = sf_shard_find_rows(run->shard, &place, run->params.ids, num_ids, rows, run->params.cancellation, error);
  free(folder);
  for (size_t i = 0; i < num_ids && code == SF_OK; i++)
    count += rows[i] != SF_NO_ROW;
  if (code == SF_OK && count > 0)
    code = take_found(run, rows, count, found, error);
  free(rows);
  if (code != SF_OK)
    sf_found_rows_free(found);
  return code;
}

static void run_lookup(sf_task *task) {
  lookup_run *run = (lookup_run *)task;
  sf_served_snapshot *served = run->params.served;
  int state = QUEUED;
  if (atomic_compare_exchange_strong(&run->state, &state, RUNNING)) {
    sf_found_rows found = {0};
    sf_error error;
    sf_error_clear(&error);
    sf_code code = sf_cancellation_check(run->params.cancellation, &error);
    if (code == SF_OK)
      code = look_up(run, &found, &error);
    run->waiter->done(run->waiter, &found, code, &error);
  }
  free(run);
  sf_served_snapshot_release(served);
}

sf_code sf_lookup_start(const sf_lookup_params *params, sf_shard *shard, sf_lookup_waiter *waiter, sf_error *error) {
  lookup_run *run = sf_calloc(1, sizeof(*run));
  if (run == NULL)
    return sf_fail_memory(error, "rows by their ids");
  run->task.run = run_lookup;
  atomic_init(&run->state, QUEUED);
  run->params = *params;
  run->shard = shard;
  run->waiter = waiter;
  waiter->run = run;
  sf_served_snapshot_retain(params->served);
  if (sf_executor_submit(params->executor, SF_LANE_LOAD, &run->task))
    return SF_OK;
  int reason = errno;
  free(run);
  sf_served_snapshot_release(params->served);
  return sf_fail_thread(error, reason, "to look up rows");
}

bool sf_lookup_stop_waiting(sf_lookup_waiter *waiter) {
  int state = QUEUED;
  return atomic_compare_exchange_strong(&waiter->run->state, &state, ABANDONED);
}

/* --------------------------------------------------------------------------------------------------------- All shards */

/* Copies a found row to the result at `index`; false when memory is out. */
static bool copy_row(sf_search_response *response, size_t index, const sf_search_result *row, float *vector) {
  sf_search_result *result = &sf_search_response_mutable(response)[index];
  if (!sf_search_response_set_row(response, index, row->id_type, row->id_integer, row->id_string, row->id_length,
                                  row->payload, row->payload_length))
    return false;
  result->shard_id = row->shard_id;
  result->is_missing = false;
  if (row->vector == NULL)
    return true;
  memcpy(vector, row->vector, row->dim * sizeof(float));
  result->vector = vector;
  result->dim = row->dim;
  return true;
}

/* Copies the rows of a shard whose ids were not found before. False when memory is out. */
static bool copy_rows(sf_search_response *response, const sf_found_rows *found) {
  size_t count = found->rows == NULL ? 0 : sf_search_response_count(found->rows);
  for (size_t i = 0; i < count; i++) {
    size_t index = found->indexes[i];
    if (sf_search_response_mutable(response)[index].is_missing &&
        !copy_row(response, index, sf_search_response_result(found->rows, i),
                  sf_search_response_vector(response, index)))
      return false;
  }
  return true;
}

sf_code sf_lookup_join(const sf_lookup_params *params, const sf_found_rows *found, uint32_t num_shards,
                       sf_search_response **joined, sf_error *error) {
  sf_search_response *response = NULL;
  SF_TRY(sf_search_response_create(params->num_ids, num_shards, &response, error));
  bool has_memory = params->dim == 0 || sf_search_response_add_vectors(response, params->dim);
  for (size_t i = 0; i < params->num_ids && has_memory; i++) {
    has_memory = sf_search_response_set_row(response, i, SF_ID_INTEGER, 0, NULL, 0, NULL, 0);
    sf_search_response_mutable(response)[i].is_missing = true;
  }
  for (uint32_t i = 0; i < num_shards && has_memory; i++)
    has_memory = copy_rows(response, &found[i]);
  if (has_memory) {
    *joined = response;
    return SF_OK;
  }
  sf_search_response_free(response);
  return sf_fail_memory(error, "results");
}
