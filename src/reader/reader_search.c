/* Searches by a reader: requests become searches of the snapshot that is served now, which run here or as an operation. */
#include "reader/search_group.h"
#include "reader/search_request.h"

sf_code sf_reader_route(sf_reader *reader, const sf_search_request *given, uint32_t **shard_ids, size_t *count,
                        sf_error *error) {
  sf_search_request request;
  sf_served_snapshot *served;
  float *query = NULL;
  SF_TRY(sf_search_request_read(given, &request, error));
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = sf_search_request_route(served, &request, &query, shard_ids, count, NULL, error);
  if (code == SF_OK)
    free(query);
  sf_served_snapshot_release(served);
  return code;
}

/* Creates the search of one request. */
static sf_code prepare(sf_reader *reader, const sf_search_request *given, sf_search **search, sf_error *error) {
  sf_search_request request;
  sf_served_snapshot *served;
  SF_TRY(sf_search_request_read(given, &request, error));
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = sf_search_request_start(reader, served, &request, search, error);
  sf_served_snapshot_release(served);
  return code;
}

sf_code sf_reader_search(sf_reader *reader, const sf_search_request *request, sf_search_response **response,
                         sf_error *error) {
  sf_search *search;
  SF_TRY(prepare(reader, request, &search, error));
  return sf_search_run_as_activity(reader, search, response, error);
}

sf_code sf_reader_search_submit(sf_reader *reader, const sf_search_request *request, sf_completion_queue *queue,
                                void *user_data, sf_operation **operation, sf_error *error) {
  sf_search *search;
  SF_TRY(prepare(reader, request, &search, error));
  return sf_search_group_submit(reader, &search, 1, SF_GROUP_SEARCH, queue, user_data, operation, error);
}

/* Creates the searches of a batch, all on one snapshot. After a failure there are none. */
static sf_code prepare_all(sf_reader *reader, const sf_search_request *requests, size_t count, sf_search **searches,
                           sf_error *error) {
  sf_served_snapshot *served;
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = SF_OK;
  size_t num_created = 0;
  while (num_created < count && code == SF_OK) {
    sf_search_request request;
    code = sf_search_request_read_at(requests, num_created, &request, error);
    if (code == SF_OK)
      code = sf_search_request_start(reader, served, &request, &searches[num_created], error);
    num_created += code == SF_OK;
  }
  while (code != SF_OK && num_created > 0)
    sf_search_release(searches[--num_created]);
  sf_served_snapshot_release(served);
  return code;
}

sf_code sf_reader_batch_search_submit(sf_reader *reader, const sf_search_request *requests, size_t count,
                                      sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                      sf_error *error) {
  sf_search **searches = sf_calloc(count, sizeof(sf_search *));
  if (searches == NULL)
    return sf_fail_memory(error, "searches");
  sf_code code = prepare_all(reader, requests, count, searches, error);
  if (code == SF_OK)
    code = sf_search_group_submit(reader, searches, count, SF_GROUP_BATCH, queue, user_data, operation, error);
  free(searches);
  return code;
}

sf_code sf_reader_batch_search(sf_reader *reader, const sf_search_request *requests, size_t count,
                               sf_search_response **responses, sf_error *error) {
  sf_operation *operation;
  SF_TRY(sf_reader_batch_search_submit(reader, requests, count, NULL, NULL, &operation, error));
  sf_operation_wait(operation, -1);
  sf_code code = sf_operation_result(operation, error);
  if (code == SF_OK)
    sf_operation_take_responses(operation, responses, count);
  sf_operation_release(operation);
  return code;
}
