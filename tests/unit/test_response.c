#include "query/response.h"

#include "cmocka_includes.h"

#include <string.h>

/* A format whose rows are made up: ids from the row's number, payloads of every kind. */
static sf_code fetch_made_up(sf_shard *shard, const uint64_t *rows, size_t count, sf_row_sink *sink, sf_error *error) {
  for (size_t i = 0; i < count; i++) {
    bool added = true;
    if (rows[i] == 0)
      added = sink->add(sink, SF_ID_INTEGER, -5, NULL, 0, NULL, 0);
    else if (rows[i] == 1)
      added = sink->add(sink, SF_ID_STRING, 0, "", 0, "{}", 2);
    else if (rows[i] == 2)
      added = sink->add(sink, SF_ID_STRING, 0, "a\0b", 3, "", 0);
    else if (rows[i] == 3)
      added = sink->add(sink, SF_ID_STRING, 0, "12345", 2, "[1]x", 3); /* nothing ends the texts but their lengths */
    else
      return sf_fail(error, SF_DB_ADAPTER_ERROR, "shard %u: no such row", (unsigned)shard->db_id);
    if (!added)
      return sf_fail_memory(error, "results");
  }
  return SF_OK;
}

static const sf_shard_format made_up = {.name = "made up", .fetch_rows = fetch_made_up};

static sf_code fetch(sf_merged_row *rows, size_t count, bool has_integer_ids, sf_search_response **response,
                     sf_error *error) {
  static sf_shard shards[2] = {{.format = &made_up, .db_id = 7}, {.format = &made_up, .db_id = 3}};
  sf_shard *const open[] = {&shards[0], &shards[1]};
  const sf_collector_params collector = {.kind = SF_COLLECT_TOP_K, .top_k = count};
  const sf_merge merged = {.items = rows, .count = count, .params = &collector};
  const sf_response_params params = {
      .merged = &merged, .shards = open, .num_shards = 2, .has_integer_ids = has_integer_ids};
  return sf_search_response_fetch(&params, response, error);
}

static void results_keep_the_order_of_the_merged_rows_over_shards(void **state) {
  (void)state;
  sf_merged_row rows[] = {{.score = 0.5, .row = 1, .shard_id = 7, .shard_index = 0},
                          {.score = 1.5, .row = 0, .shard_id = 3, .shard_index = 1},
                          {.score = 2.5, .row = 2, .shard_id = 7, .shard_index = 0}};
  sf_search_response *response;
  assert_int_equal(fetch(rows, 3, false, &response, NULL), SF_OK);
  sf_search_response_seal(response, 1.25);
  assert_int_equal(sf_search_response_count(response), 3);
  assert_int_equal(sf_search_response_num_shards_queried(response), 2);
  assert_true(sf_search_response_latency_ms(response) == 1.25);
  for (size_t i = 0; i < 3; i++) {
    const sf_search_result *result = sf_search_response_result(response, i);
    assert_true(result->score == rows[i].score);
    assert_int_equal(result->shard_id, rows[i].shard_id);
  }
  const sf_search_result *integer = sf_search_response_result(response, 1);
  assert_int_equal(integer->id_type, SF_ID_INTEGER);
  assert_int_equal(integer->id_integer, -5);
  assert_null(integer->payload);
  sf_search_response_free(response);
}

static void texts_keep_their_lengths_and_end_with_nul(void **state) {
  (void)state;
  sf_merged_row rows[] = {{.row = 1}, {.row = 2}, {.row = 3}};
  sf_search_response *response;
  assert_int_equal(fetch(rows, 3, false, &response, NULL), SF_OK);
  sf_search_response_seal(response, 0);
  const sf_search_result *empty = sf_search_response_result(response, 0);
  assert_int_equal(empty->id_length, 0);
  assert_string_equal(empty->id_string, "");
  assert_string_equal(empty->payload, "{}");
  const sf_search_result *with_nul = sf_search_response_result(response, 1);
  assert_int_equal(with_nul->id_length, 3);
  assert_memory_equal(with_nul->id_string, "a\0b", 4);
  assert_non_null(with_nul->payload); /* empty, and not missing */
  assert_int_equal(with_nul->payload_length, 0);
  const sf_search_result *cut = sf_search_response_result(response, 2);
  assert_string_equal(cut->id_string, "12");
  assert_string_equal(cut->payload, "[1]");
  sf_search_response_free(response);
}

static void texts_of_integers_are_integers_where_all_ids_are(void **state) {
  (void)state;
  sf_merged_row rows[] = {{.row = 3}, {.row = 1}};
  sf_search_response *response;
  assert_int_equal(fetch(rows, 2, true, &response, NULL), SF_OK);
  sf_search_response_seal(response, 0);
  assert_int_equal(sf_search_response_result(response, 0)->id_type, SF_ID_INTEGER);
  assert_int_equal(sf_search_response_result(response, 0)->id_integer, 12);
  assert_int_equal(sf_search_response_result(response, 1)->id_type, SF_ID_STRING);
  sf_search_response_free(response);
}

static void a_row_that_cannot_be_fetched_fails_the_response(void **state) {
  (void)state;
  sf_merged_row rows[] = {{.row = 1}, {.row = 99, .shard_index = 1}};
  sf_search_response *response;
  sf_error error;
  assert_int_equal(fetch(rows, 2, false, &response, &error), SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "shard 3"));
}

static void no_rows_give_an_empty_response(void **state) {
  (void)state;
  sf_search_response *response;
  assert_int_equal(fetch(NULL, 0, false, &response, NULL), SF_OK);
  sf_search_response_seal(response, 0);
  assert_int_equal(sf_search_response_count(response), 0);
  sf_search_response_free(response);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(results_keep_the_order_of_the_merged_rows_over_shards),
      cmocka_unit_test(texts_keep_their_lengths_and_end_with_nul),
      cmocka_unit_test(texts_of_integers_are_integers_where_all_ids_are),
      cmocka_unit_test(a_row_that_cannot_be_fetched_fails_the_response),
      cmocka_unit_test(no_rows_give_an_empty_response),
  };
  return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
