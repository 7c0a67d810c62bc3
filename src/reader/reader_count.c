/* Counting the rows that match a filter: a search of the shards that scans none of them. */
#include "base/options.h"
#include "base/time.h"
#include "query/response.h"
#include "reader/chosen_shards.h"
#include "reader/search_group.h"

void sf_count_request_init(sf_count_request *request) {
  *request = (sf_count_request)SF_COUNT_REQUEST_INIT;
}

static sf_code create_search(sf_reader *reader, sf_served_snapshot *served, const sf_count_request *request,
                             sf_search **search, sf_error *error) {
  uint64_t started = sf_monotonic_nanoseconds();
  sf_filter *filter = NULL;
  uint32_t *shard_ids = NULL;
  size_t num_shards = 0;
  if (request->filter != NULL)
    SF_TRY(sf_filter_cache_get(reader->filters, request->filter, &filter, error));
  sf_code code = sf_choose_shards(served, request->has_shard_ids, request->shard_ids, request->num_shard_ids,
                                  &shard_ids, &num_shards, error);
  if (code == SF_OK) {
    const sf_search_params params = {.served = served,
                                     .executor = reader->executor,
                                     .filter = filter,
                                     .shard_ids = shard_ids,
                                     .num_shards = num_shards,
                                     .max_concurrency = reader->max_concurrency,
                                     .started = started,
                                     .route = sf_chosen_shards_route(request->has_shard_ids)};
    code = sf_search_create(&params, search, error);
    free(shard_ids);
  }
  sf_filter_release(filter);
  return code;
}

static sf_code prepare(sf_reader *reader, const sf_count_request *given, sf_search **search, sf_error *error) {
  sf_count_request request;
  sf_served_snapshot *served;
  sf_count_request_init(&request);
  SF_TRY(sf_options_read(given, SF_SIZE_WITH(sf_count_request, num_shard_ids), &request, "count request: expected it",
                         error));
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = create_search(reader, served, &request, search, error);
  sf_served_snapshot_release(served);
  return code;
}

sf_code sf_reader_count(sf_reader *reader, const sf_count_request *request, uint64_t *count, sf_error *error) {
  sf_search *search;
  sf_search_response *response;
  SF_TRY(prepare(reader, request, &search, error));
  SF_TRY(sf_search_run_as_activity(reader, search, &response, error));
  *count = sf_search_response_num_matching(response);
  sf_search_response_free(response);
  return SF_OK;
}

sf_code sf_reader_count_submit(sf_reader *reader, const sf_count_request *request, sf_completion_queue *queue,
                               void *user_data, sf_operation **operation, sf_error *error) {
  sf_search *search;
  SF_TRY(prepare(reader, request, &search, error));
  return sf_search_group_submit(reader, &search, 1, SF_GROUP_COUNT, queue, user_data, operation, error);
}
