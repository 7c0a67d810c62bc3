/* Rows by their ids: a search of the shards that scans none of them (query/lookup.h). */
#include "base/options.h"
#include "base/time.h"
#include "base/utf8.h"
#include "reader/chosen_shards.h"
#include "reader/search_group.h"

void sf_fetch_request_init(sf_fetch_request *request) {
  *request = (sf_fetch_request)SF_FETCH_REQUEST_INIT;
}

static sf_code check_id(const sf_row_id *id, size_t index, sf_error *error) {
  if (id->type == SF_ID_INTEGER)
    return SF_OK;
  if (id->type != SF_ID_STRING)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "id %zu: expected an integer or a string, found type %d", index,
                   (int)id->type);
  if (id->string == NULL && id->length > 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "id %zu: expected %zu bytes, found NULL", index, id->length);
  size_t invalid_at;
  if (id->length > 0 && !sf_utf8_valid(id->string, id->length, &invalid_at))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "id %zu: expected UTF-8, found other bytes at position %zu",
                   index, invalid_at);
  return SF_OK;
}

static sf_code check_ids(const sf_fetch_request *request, sf_error *error) {
  if (request->ids == NULL && request->num_ids > 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "ids: expected %zu of them, found NULL", request->num_ids);
  for (size_t i = 0; i < request->num_ids; i++)
    SF_TRY(check_id(&request->ids[i], i, error));
  return SF_OK;
}

static sf_code create_search(sf_reader *reader, sf_served_snapshot *served, const sf_fetch_request *request,
                             sf_search **search, sf_error *error) {
  static const sf_row_id no_ids[1];
  uint64_t started = sf_monotonic_nanoseconds();
  uint32_t *shard_ids = NULL;
  size_t num_shards = 0;
  SF_TRY(sf_choose_shards(served, request->has_shard_ids, request->shard_ids, request->num_shard_ids, &shard_ids,
                          &num_shards, error));
  const sf_search_params params = {.served = served,
                                   .executor = reader->executor,
                                   .ids = request->num_ids > 0 ? request->ids : no_ids,
                                   .num_ids = request->num_ids,
                                   .wants_vectors = request->include_vectors,
                                   .omits_payloads = request->omit_payloads,
                                   .shard_ids = shard_ids,
                                   .num_shards = request->num_ids > 0 ? num_shards : 0,
                                   .max_concurrency = reader->max_concurrency,
                                   .started = started,
                                   .route = sf_chosen_shards_route(request->has_shard_ids)};
  sf_code code = sf_search_create(&params, search, error);
  free(shard_ids);
  return code;
}

static sf_code prepare(sf_reader *reader, const sf_fetch_request *given, sf_search **search, sf_error *error) {
  sf_fetch_request request;
  sf_served_snapshot *served;
  sf_fetch_request_init(&request);
  SF_TRY(sf_options_read(given, SF_SIZE_WITH(sf_fetch_request, omit_payloads), &request, "fetch request: expected it",
                         error));
  SF_TRY(check_ids(&request, error));
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = create_search(reader, served, &request, search, error);
  sf_served_snapshot_release(served);
  return code;
}

sf_code sf_reader_fetch(sf_reader *reader, const sf_fetch_request *request, sf_search_response **response,
                        sf_error *error) {
  sf_search *search;
  SF_TRY(prepare(reader, request, &search, error));
  return sf_search_run_as_activity(reader, search, response, error);
}

sf_code sf_reader_fetch_submit(sf_reader *reader, const sf_fetch_request *request, sf_completion_queue *queue,
                               void *user_data, sf_operation **operation, sf_error *error) {
  sf_search *search;
  SF_TRY(prepare(reader, request, &search, error));
  return sf_search_group_submit(reader, &search, 1, SF_GROUP_SEARCH, queue, user_data, operation, error);
}
