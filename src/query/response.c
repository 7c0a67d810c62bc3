#include "query/response.h"

struct sf_search_response {
  sf_search_result *results;
  size_t count;
  uint32_t num_shards_queried;
  double latency_ms;
  sf_buffer text;  /* of ids and payloads, each with a NUL behind it */
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

sf_search_result *sf_search_response_mutable(sf_search_response *response) {
  return response->results;
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

size_t sf_search_response_count(const sf_search_response *response) {
  return response->count;
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

void sf_search_response_free(sf_search_response *response) {
  if (response == NULL)
    return;
  sf_buffer_free(&response->text);
  free(response->results);
  free(response->offsets);
  free(response);
}
