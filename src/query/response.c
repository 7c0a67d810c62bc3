#include "query/response.h"

#include "base/json_text.h"
#include "base/memory.h"
#include "query/explain.h"

#include <stdatomic.h>
#include <string.h>

struct sf_search_response {
  sf_search_result *results;
  size_t count;
  uint32_t num_shards_queried;
  uint64_t num_matching; /* of a search that only counts */
  double latency_ms;
  sf_buffer text; /* of ids and payloads, each with a NUL after it */
  float *vectors; /* count × dim; NULL: none are wanted */
  uint32_t dim;
  sf_search_account *account; /* NULL: none */
  _Atomic(char *) json;       /* of the account; NULL until someone asks */
  _Atomic(char *) explanation;
  size_t *offsets; /* into the text, until it is sealed: of the id and the payload of each result */
};

#define NO_TEXT SIZE_MAX

sf_code sf_search_response_create(size_t count, uint32_t num_shards_queried, sf_search_response **created,
                                  sf_error *error) {
  sf_search_response *response = sf_calloc(1, sizeof(*response));
  if (response != NULL) {
    response->count = count;
    response->num_shards_queried = num_shards_queried;
    response->results = sf_calloc(count, sizeof(*response->results));
    response->offsets = sf_calloc(count, 2 * sizeof(*response->offsets));
  }
  if (response == NULL || response->results == NULL || response->offsets == NULL) {
    sf_search_response_free(response);
    return sf_fail_memory(error, "results");
  }
  *created = response;
  return SF_OK;
}

sf_code sf_search_response_create_count(uint64_t num_matching, uint32_t num_shards_queried,
                                        sf_search_response **created, sf_error *error) {
  SF_TRY(sf_search_response_create(0, num_shards_queried, created, error));
  (*created)->num_matching = num_matching;
  return SF_OK;
}

uint64_t sf_search_response_num_matching(const sf_search_response *response) {
  return response->num_matching;
}

sf_search_result *sf_search_response_mutable(sf_search_response *response) {
  return response->results;
}

bool sf_search_response_add_vectors(sf_search_response *response, uint32_t dim) {
  size_t length;
  response->dim = dim;
  response->vectors =
      sf_multiply_size(response->count, dim, &length) ? sf_calloc(length, sizeof(*response->vectors)) : NULL;
  return response->vectors != NULL;
}

float *sf_search_response_vector(sf_search_response *response, size_t index) {
  return response->vectors == NULL ? NULL : response->vectors + index * response->dim;
}

/* The segment that has the row; NULL: none, since it is one of rows that have no vector at all. */
static const sf_vector_segment *segment_of(const sf_shard *shard, uint64_t row) {
  size_t low = 0;
  size_t high = shard->num_segments;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    *(shard->segments[middle].first_row <= row ? &low : &high) = middle;
  }
  const sf_vector_segment *segment = &shard->segments[low];
  return high > 0 && row >= segment->first_row && row - segment->first_row < segment->num_rows ? segment : NULL;
}

void sf_search_response_set_vector(sf_search_response *response, size_t index, const sf_shard *shard, uint64_t row) {
  const sf_vector_segment *segment = segment_of(shard, row);
  uint32_t dim = response->dim;
  if (segment == NULL)
    return;
  float *vector = sf_search_response_vector(response, index);
  memcpy(vector, segment->vectors + (row - segment->first_row) * dim, dim * sizeof(float));
  response->results[index].vector = vector;
  response->results[index].dim = dim;
}

/* Appends text with its NUL; *offset says where it went. */
static bool append_text(sf_search_response *response, const char *text, size_t length, size_t *offset) {
  *offset = NO_TEXT;
  if (text == NULL)
    return true;
  *offset = response->text.length;
  return sf_buffer_append(&response->text, text, length) && sf_buffer_append(&response->text, "", 1);
}

bool sf_search_response_set_row(sf_search_response *response, size_t index, sf_id_type id_type, int64_t id_integer,
                                const char *id_string, size_t id_length, const char *payload, size_t payload_length) {
  sf_search_result *result = &response->results[index];
  result->id_type = id_type;
  result->id_integer = id_type == SF_ID_INTEGER ? id_integer : 0;
  result->id_length = id_type == SF_ID_STRING ? id_length : 0;
  result->payload_length = payload != NULL ? payload_length : 0;
  return append_text(response, id_type == SF_ID_STRING ? id_string : NULL, id_length, &response->offsets[2 * index]) &&
         append_text(response, payload, payload_length, &response->offsets[2 * index + 1]);
}

void sf_search_response_seal(sf_search_response *response, double latency_ms) {
  const char *text = (const char *)response->text.data;
  for (size_t i = 0; i < response->count; i++) {
    size_t id = response->offsets[2 * i];
    size_t payload = response->offsets[2 * i + 1];
    response->results[i].id_string = id == NO_TEXT ? NULL : text + id;
    response->results[i].payload = payload == NO_TEXT ? NULL : text + payload;
  }
  free(response->offsets);
  response->offsets = NULL;
  response->latency_ms = latency_ms;
}

/* Where the rows of one shard go in the response. */
typedef struct row_target {
  sf_row_sink sink; /* first: the shard passes it to add_row */
  sf_search_response *response;
  const size_t *indexes;
  size_t next;
  bool has_integer_ids;
} row_target;

static bool add_row(sf_row_sink *sink, sf_id_type id_type, int64_t id_integer, const char *id_string, size_t id_length,
                    const char *payload, size_t payload_length) {
  row_target *target = (row_target *)sink;
  const sf_json_text text = {.data = id_string, .length = id_length};
  if (target->has_integer_ids && id_type == SF_ID_STRING && sf_json_text_to_int64(text, &id_integer))
    id_type = SF_ID_INTEGER;
  return sf_search_response_set_row(target->response, target->indexes[target->next++], id_type, id_integer, id_string,
                                    id_length, payload, payload_length);
}

/* Which merged rows are fetched, and the next shard's: scratch memory for `count` of each. */
typedef struct fetch_state {
  bool *fetched;
  uint64_t *rows;
  size_t *indexes;
} fetch_state;

/* Fetches the merged rows of one shard: of the one that has the merged row `first`, which is its first. */
static sf_code fetch_shard_rows(const sf_response_params *params, size_t first, fetch_state *state,
                                sf_search_response *response, sf_error *error) {
  const sf_merged_row *merged = params->merged->items + params->offset;
  uint32_t shard_index = merged[first].shard_index;
  size_t count = 0;
  for (size_t i = first; i < response->count; i++)
    if (merged[i].shard_index == shard_index) {
      state->rows[count] = merged[i].row;
      state->indexes[count++] = i;
      state->fetched[i] = true;
      if (params->dim > 0)
        sf_search_response_set_vector(response, i, params->shards[shard_index], merged[i].row);
    }
  row_target target = {.sink = {.add = add_row, .omits_payloads = params->omits_payloads},
                       .response = response,
                       .indexes = state->indexes,
                       .has_integer_ids = params->has_integer_ids};
  return sf_shard_fetch_rows(params->shards[shard_index], state->rows, count, &target.sink, error);
}

static sf_code fetch_rows(const sf_response_params *params, sf_search_response *response, sf_error *error) {
  size_t count = response->count;
  fetch_state state = {.fetched = sf_calloc(count, sizeof(*state.fetched)),
                       .rows = sf_calloc(count, sizeof(*state.rows)),
                       .indexes = sf_calloc(count, sizeof(*state.indexes))};
  sf_code code = SF_OK;
  if (state.fetched == NULL || state.rows == NULL || state.indexes == NULL)
    code = sf_fail_memory(error, "results");
  for (size_t i = 0; i < count && code == SF_OK; i++) {
    if (state.fetched[i])
      continue;
    code = sf_cancellation_check(params->cancellation, error);
    if (code == SF_OK)
      code = fetch_shard_rows(params, i, &state, response, error);
  }
  free(state.fetched);
  free(state.rows);
  free(state.indexes);
  return code;
}

sf_code sf_search_response_fetch(const sf_response_params *params, sf_search_response **fetched, sf_error *error) {
  const sf_merge *merged = params->merged;
  size_t offset = params->offset < merged->count ? params->offset : merged->count;
  sf_search_response *response = NULL;
  SF_TRY(sf_search_response_create(merged->count - offset, params->num_shards, &response, error));
  sf_code code = SF_OK;
  if (params->dim > 0 && !sf_search_response_add_vectors(response, params->dim))
    code = sf_fail_memory(error, "vectors of results");
  if (code == SF_OK && response->count > 0)
    code = fetch_rows(params, response, error);
  if (code != SF_OK) {
    sf_search_response_free(response);
    return code;
  }
  for (size_t i = 0; i < response->count; i++) {
    response->results[i].score = merged->items[offset + i].score;
    response->results[i].shard_id = merged->items[offset + i].shard_id;
  }
  *fetched = response;
  return SF_OK;
}

size_t sf_search_response_count(const sf_search_response *response) {
  return response->count;
}

const sf_search_result *sf_search_response_result(const sf_search_response *response, size_t index) {
  return index < response->count ? &response->results[index] : NULL;
}

const sf_search_result *sf_search_response_results(const sf_search_response *response) {
  return response->results;
}

uint32_t sf_search_response_num_shards_queried(const sf_search_response *response) {
  return response->num_shards_queried;
}

double sf_search_response_latency_ms(const sf_search_response *response) {
  return response->latency_ms;
}

bool sf_search_response_is_exact(const sf_search_response *response) {
  return response->account == NULL || response->account->num_lists == 0;
}

void sf_search_response_set_account(sf_search_response *response, sf_search_account *account) {
  response->account = account;
}

/* The text that is kept at `kept`, made where there is none yet: of several threads, the first one's stays. */
static const char *explain(const sf_search_response *response, _Atomic(char *) *kept,
                           char *(*make)(const sf_search_account *account)) {
  char *text = atomic_load_explicit(kept, memory_order_acquire);
  if (text != NULL || response->account == NULL)
    return text;
  char *made = make(response->account);
  if (made == NULL || atomic_compare_exchange_strong(kept, &text, made))
    return made;
  free(made);
  return text;
}

const char *sf_search_response_explain_json(const sf_search_response *response) {
  sf_search_response *explained = (sf_search_response *)(uintptr_t)response;
  return explain(response, &explained->json, sf_explain_as_json);
}

const char *sf_search_response_explain_text(const sf_search_response *response) {
  sf_search_response *explained = (sf_search_response *)(uintptr_t)response;
  return explain(response, &explained->explanation, sf_explain_as_text);
}

void sf_search_response_free(sf_search_response *response) {
  if (response == NULL)
    return;
  sf_buffer_free(&response->text);
  free(response->results);
  free(response->vectors);
  free(response->offsets);
  sf_search_account_free(response->account);
  free(atomic_load(&response->json));
  free(atomic_load(&response->explanation));
  free(response);
}

/* --------------------------------------------------------------------------------------- Results of operations */

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
