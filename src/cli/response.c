#include "cli/response.h"

#include "cli/json_text.h"
#include "cli/status.h"

#include <math.h>
#include <stdio.h>

static sf_cli_field id_field(const sf_search_result *result) {
  if (result->id_type == SF_ID_INTEGER)
    return sf_cli_integer_field("id", result->id_integer);
  return sf_cli_bytes_field("id", result->id_string, result->id_length);
}

static sf_code name_payload(const sf_search_result *result, sf_error *error) {
  sf_cli_field id = id_field(result);
  char *text = sf_cli_format_cell(&id);
  sf_code code =
      sf_error_prefix(error, "shard %u: the payload of id %.200s", result->shard_id, text == NULL ? "" : text);
  free(text);
  return code;
}

/* The payload without blanks into `payload`, emptied first. One that is no JSON object is no reason to withhold the answer: it
 * stays empty, and a warning says which it is. */
static sf_code compact_payload(const sf_search_result *result, sf_buffer *payload, sf_error *error) {
  payload->length = 0;
  if (result->payload == NULL)
    return SF_OK;
  sf_code code = sf_cli_json_append_compact(payload, result->payload, result->payload_length, "payload", error);
  bool is_object = code != SF_OK || payload->data[0] == '{' || payload->data[0] == 'n'; /* null is none */
  if (!is_object)
    code = sf_fail(error, SF_DB_ADAPTER_ERROR, "payload: expected a JSON object, found another value");
  if (code != SF_DB_ADAPTER_ERROR)
    return code;
  payload->length = 0;
  name_payload(result, error);
  sf_cli_print_message("warning", error->message);
  return SF_OK;
}

enum { MAX_FIELDS = 4 };

/* A stored vector as a JSON array, with as many digits as tell a float32 from all others. */
static sf_code append_vector(const sf_search_result *result, sf_buffer *vector, sf_error *error) {
  vector->length = 0;
  bool appended = sf_buffer_append_text(vector, "[");
  for (uint32_t i = 0; i < result->dim && appended; i++) {
    bool is_finite = isfinite(result->vector[i]);
    appended = sf_buffer_append_text(vector, i == 0 ? "" : ", ") &&
               (is_finite ? sf_buffer_append_format(vector, "%.9g", (double)result->vector[i])
                          : sf_buffer_append_text(vector, "null"));
  }
  return appended && sf_buffer_append_text(vector, "]") ? SF_OK : sf_fail_memory(error, "a vector");
}

/* The texts of a result's fields. */
typedef struct result_texts {
  sf_buffer payload; /* empty: none */
  sf_buffer vector;
} result_texts;

/* Returns how many fields there are. */
static size_t fill_fields(sf_cli_field *fields, const sf_search_result *result, const result_texts *texts) {
  const sf_buffer *payload = &texts->payload;
  fields[0] = id_field(result);
  fields[1] = sf_cli_number_field("score", result->score);
  fields[2] = sf_cli_json_field("payload", payload->length == 0 ? NULL : (const char *)payload->data, payload->length);
  if (result->vector == NULL)
    return 3;
  fields[3] = sf_cli_json_field("vector", (const char *)texts->vector.data, texts->vector.length);
  return 4;
}

/* What is done with the `count` fields of a result. */
typedef sf_code (*result_visitor)(void *context, bool is_first, const sf_cli_field *fields, size_t count,
                                  sf_error *error);

static sf_code each_result(const sf_search_response *response, result_visitor visit, void *context, sf_error *error) {
  size_t count = sf_search_response_count(response);
  result_texts texts = {0};
  sf_code code = SF_OK;
  for (size_t i = 0; i < count && code == SF_OK; i++) {
    const sf_search_result *result = sf_search_response_result(response, i);
    sf_cli_field fields[MAX_FIELDS];
    code = compact_payload(result, &texts.payload, error);
    if (code == SF_OK && result->vector != NULL)
      code = append_vector(result, &texts.vector, error);
    if (code != SF_OK)
      break;
    size_t num_fields = fill_fields(fields, result, &texts);
    code = visit(context, i == 0, fields, num_fields, error);
  }
  sf_buffer_free(&texts.payload);
  sf_buffer_free(&texts.vector);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

static sf_code append_result(void *line, bool is_first, const sf_cli_field *fields, size_t count, sf_error *error) {
  if (!(is_first || sf_buffer_append_text(line, ", ")) || !sf_cli_append_object(line, fields, count))
    return sf_fail_memory(error, "a response");
  return SF_OK;
}

static sf_code append_response(sf_buffer *line, size_t query_number, const sf_search_response *response, bool explains,
                               sf_error *error) {
  if (!sf_buffer_append_format(line, "{\"query\": %zu, \"results\": [", query_number))
    return sf_fail_memory(error, "a response");
  SF_TRY(each_result(response, append_result, line, error));
  const char *explanation = explains ? sf_search_response_explain_json(response) : "";
  bool appended =
      explanation != NULL &&
      sf_buffer_append_format(line, "], \"num_shards_queried\": %u, \"latency_ms\": %.3f",
                              sf_search_response_num_shards_queried(response), sf_search_response_latency_ms(response));
  if (appended && explains)
    appended = sf_buffer_append_text(line, ", \"explain\": ") && sf_buffer_append_text(line, explanation);
  return appended && sf_buffer_append_text(line, "}") ? SF_OK : sf_fail_memory(error, "a response");
}

static sf_code print_line(size_t query_number, const sf_search_response *response, bool explains, sf_error *error) {
  sf_buffer line = {0};
  sf_code code = append_response(&line, query_number, response, explains, error);
  if (code == SF_OK)
    code = sf_cli_output_line(&line, error);
  sf_buffer_free(&line);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ Table */

static sf_code print_row(void *output, bool is_first, const sf_cli_field *fields, size_t count, sf_error *error) {
  (void)is_first;
  return sf_cli_output_record(output, fields, count, error);
}

static sf_code print_table(sf_cli_output *output, size_t query_number, const sf_search_response *response,
                           bool is_first, sf_error *error) {
  SF_TRY(each_result(response, print_row, output, error));
  printf("%squery %zu: %zu results from %u shards in %.3f ms\n", is_first ? "" : "\n", query_number,
         sf_search_response_count(response), sf_search_response_num_shards_queried(response),
         sf_search_response_latency_ms(response));
  return sf_cli_output_end_table(output, error);
}

static sf_code print_explanation(const sf_search_response *response, sf_error *error) {
  const char *text = sf_search_response_explain_text(response);
  if (text == NULL)
    return sf_fail_memory(error, "a response");
  printf("\n%s", text);
  return SF_OK;
}

sf_code sf_cli_print_response(sf_cli_output *output, size_t query_number, const sf_search_response *response,
                              bool is_first, bool explains, sf_error *error) {
  if (!output->is_table)
    return print_line(query_number, response, explains, error);
  SF_TRY(print_table(output, query_number, response, is_first, error));
  return explains ? print_explanation(response, error) : SF_OK;
}

sf_code sf_cli_print_row(sf_cli_output *output, const sf_cli_field *id, const sf_search_result *row, bool has_vectors,
                         sf_error *error) {
  result_texts texts = {0};
  sf_cli_field fields[MAX_FIELDS + 2];
  size_t count = 0;
  fields[count++] = row == NULL ? *id : id_field(row);
  fields[count++] = sf_cli_flag_field("found", row != NULL);
  sf_code code = row == NULL ? SF_OK : compact_payload(row, &texts.payload, error);
  if (code == SF_OK && row != NULL && row->vector != NULL)
    code = append_vector(row, &texts.vector, error);
  fields[count++] =
      row == NULL ? sf_cli_json_field("shard_id", NULL, 0) : sf_cli_integer_field("shard_id", row->shard_id);
  fields[count++] = sf_cli_json_field("payload", texts.payload.length == 0 ? NULL : (const char *)texts.payload.data,
                                      texts.payload.length);
  if (has_vectors)
    fields[count++] = sf_cli_json_field("vector", texts.vector.length == 0 ? NULL : (const char *)texts.vector.data,
                                        texts.vector.length);
  if (code == SF_OK)
    code = sf_cli_output_record(output, fields, count, error);
  sf_buffer_free(&texts.payload);
  sf_buffer_free(&texts.vector);
  return code;
}
