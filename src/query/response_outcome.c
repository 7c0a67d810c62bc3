#include "query/response_outcome.h"

#include "base/memory.h"

static void free_response(void *value, size_t count) {
  (void)count;
  sf_search_response_free(value);
}

static void free_responses(void *value, size_t count) {
  sf_search_response **responses = value;
  for (size_t i = 0; i < count; i++)
    sf_search_response_free(responses[i]);
  free(responses);
}

static const sf_outcome_kind one_response = {.name = "response", .free = free_response};
static const sf_outcome_kind batch_responses = {.name = "responses of a batch", .free = free_responses};

sf_outcome sf_search_response_outcome(sf_search_response *response) {
  return (sf_outcome){.kind = &one_response, .value = response};
}

sf_outcome sf_search_responses_outcome(sf_search_response **responses, size_t count) {
  return (sf_outcome){.kind = &batch_responses, .value = responses, .count = count};
}

static const sf_outcome_kind row_count = {.name = "count of rows"};

sf_outcome sf_row_count_outcome(uint64_t num_rows) {
  return (sf_outcome){.kind = &row_count, .count = (size_t)num_rows};
}

uint64_t sf_operation_row_count(const sf_operation *operation) {
  return sf_operation_count(operation, &row_count);
}

sf_search_response *sf_operation_take_response(sf_operation *operation) {
  return sf_operation_take(operation, &one_response, NULL);
}

/* A batch that is asked for with another count stays in the operation. */
bool sf_operation_take_responses(sf_operation *operation, sf_search_response **responses, size_t count) {
  if (sf_operation_count(operation, &batch_responses) != count)
    return false;
  sf_search_response **taken = sf_operation_take(operation, &batch_responses, NULL);
  if (taken == NULL)
    return false;
  for (size_t i = 0; i < count; i++)
    responses[i] = taken[i];
  free(taken);
  return true;
}
