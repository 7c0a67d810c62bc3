/* The account of a search as JSON and as text: of one that was made up, and of searches, fetches and what they did. */
#include "query/explain.h"

#include "base/json.h"
#include "query/response.h"
#include "support/reader_fixture.h"

#include <cmocka_includes.h>
#include <string.h>

enum { NUM_ROWS = 3000, DIM = 16 };

static const sf_search_account made_up = {
    .strategy = SF_SHARDING_CLUSTER,
    .num_dbs = 8,
    .route = {.reason = SF_ROUTED_BY_PROBES, .num_probes = 2},
    .num_rows = 1000,
    .num_matching = 30,
    .num_results = 10,
    .scan =
        {.num_planned = 600, .num_filtered = 570, .num_2bit = 64, .num_4bit = 16, .num_float32 = 20, .num_scored = 11},
    .num_tasks = 3,
    .num_shared_tasks = 1,
    .num_threads = 2,
    .num_loaded = 1,
    .num_known_bitmaps = 1,
    .num_new_bitmaps = 1,
    .num_columns = 2,
    .has_traffic = true,
    .traffic = {.num_requests = 5, .num_bytes = 123456},
    .times = {.started = 1000,
              .begun = 21000,
              .loaded = 5021000,
              .filtering = 2000000,
              .filtered = 9500000,
              .scanning = 6000000,
              .scanned = 10000000,
              .ended = 10001000},
    .num_shards = 2,
};

static sf_search_account *make_account(void) {
  sf_search_account *account = sf_search_account_finish(&made_up);
  assert_non_null(account);
  account->shard_ids[0] = 3;
  account->shard_ids[1] = 0;
  assert_int_equal(sf_filter_compile("payload.lang == \"en\"", &account->filter, NULL), SF_OK);
  account->shards = sf_calloc(2, sizeof(*account->shards));
  assert_non_null(account->shards);
  account->shards[0] = (sf_shard_account){.num_rows = 600,
                                          .num_matching = 30,
                                          .num_tasks = 3,
                                          .scan = made_up.scan,
                                          .started = 21000,
                                          .acquired = 22000,
                                          .filtered = 1022000,
                                          .finished = 3022000};
  return account;
}

static void an_account_is_shown_as_json(void **state) {
  (void)state;
  sf_search_account *account = make_account();
  char *json = sf_explain_as_json(account);
  assert_string_equal(
      json,
      "{\"route\":{\"strategy\":\"cluster\",\"reason\":\"num_probes\",\"num_probes\":2,\"num_dbs\":8,"
      "\"shard_ids\":[3,0]},"
      "\"rows\":{\"in_shards\":1000,\"matching\":30,\"planned\":600,\"filtered\":570,\"compared_2bit\":64,"
      "\"compared_4bit\":16,\"compared_float32\":20,\"scored\":11,\"results\":10},"
      "\"filter\":{\"expression\":\"payload.lang == \\\"en\\\"\",\"known_bitmaps\":1,\"new_bitmaps\":1,"
      "\"decoded_columns\":2},"
      "\"work\":{\"loaded_shards\":1,\"tasks\":3,\"shared_tasks\":1,\"threads\":2},"
      "\"fetched\":{\"requests\":5,\"bytes\":123456},"
      "\"ms\":{\"route\":0.020,\"load\":5.000,\"filter\":7.500,\"scan\":4.000,\"results\":0.001,\"total\":10.000},"
      "\"shards\":[{\"shard_id\":3,\"in_shards\":600,\"matching\":30,\"planned\":600,\"filtered\":570,"
      "\"compared_2bit\":64,\"compared_4bit\":16,\"compared_float32\":20,\"scored\":11,\"tasks\":3,"
      "\"load_ms\":0.001,\"filter_ms\":1.000,\"scan_ms\":2.000},"
      "{\"shard_id\":0,\"in_shards\":0,\"matching\":0,\"planned\":0,\"filtered\":0,\"compared_2bit\":0,"
      "\"compared_4bit\":0,\"compared_float32\":0,\"scored\":0,\"tasks\":0,"
      "\"load_ms\":0.000,\"filter_ms\":0.000,\"scan_ms\":0.000}]}");
  free(json);
  sf_search_account_free(account);
}

static void an_account_is_shown_as_aligned_lines(void **state) {
  (void)state;
  sf_search_account *account = make_account();
  char *text = sf_explain_as_text(account);
  static const char expected[] = "route    cluster by num_probes 2: 2 of 8 shards: 3 0\n"
                                 "where    payload.lang == \"en\"\n"
                                 "rows     in the shards                                              1000\n"
                                 "         that match the filter                                        30\n";
  assert_memory_equal(text, expected, sizeof(expected) - 1);
  assert_non_null(strstr(text, "\nfetched  requests of the reader meanwhile                              5\n"));
  assert_non_null(strstr(text, "\nms       checking and routing the request                          0.020\n"));
  assert_non_null(strstr(text, "\nshard          rows   matching    planned   filtered      2-bit      4-bit    float32"
                               "    float64      tasks    load ms  filter ms    scan ms\n"
                               "3               600         30        600        570         64         16         20"
                               "         11          3      0.001      1.000      2.000\n0 "));
  free(text);
  sf_search_account_free(account);
}

static void a_text_has_no_bytes_of_an_expression_that_a_terminal_interprets(void **state) {
  (void)state;
  sf_search_account *account = sf_search_account_finish(&made_up);
  assert_non_null(account);
  assert_int_equal(sf_filter_compile("id == \"\x1b[2J\"\n", &account->filter, NULL), SF_OK);
  char *text = sf_explain_as_text(account);
  assert_non_null(strstr(text, "where    id == \"?[2J\" \n"));
  free(text);
  sf_search_account_free(account);
}

/* ------------------------------------------------------------------------------------------------------ End to end */

typedef struct explained {
  sf_search_response *response;
  sf_json json;
} explained;

static explained explain(sf_search_response *response) {
  explained made = {.response = response};
  const char *text = sf_search_response_explain_json(response);
  assert_ptr_equal(sf_search_response_explain_json(response), text);
  assert_int_equal(sf_json_parse_object(text, strlen(text), SF_JSON_EXACT, "account", SF_ERROR, &made.json, NULL),
                   SF_OK);
  assert_non_null(sf_search_response_explain_text(response));
  return made;
}

static void finish(explained *made) {
  sf_json_free(&made->json);
  sf_search_response_free(made->response);
}

static int64_t value_of(const explained *made, const char *section, const char *name) {
  int64_t value = -1;
  assert_true(sf_json_to_int64(sf_json_member(sf_json_member(made->json.root, section), name), &value));
  return value;
}

static explained search(const reader_fixture *fixture, sf_reader *reader, const char *filter) {
  sf_search_request request = fixture_request(fixture, 0);
  sf_search_response *response;
  sf_error error;
  request.filter = filter;
  request.explain = true;
  if (sf_reader_search(reader, &request, &response, &error) != SF_OK)
    fail_msg("%s", error.message);
  return explain(response);
}

static void a_search_accounts_for_its_rows_and_what_it_loaded(void **state) {
  const reader_fixture *fixture = *state;
  sf_reader *reader = fixture_open(fixture, NULL);
  for (int round = 0; round < 2; round++) {
    explained made = search(fixture, reader, NULL);
    assert_int_equal(value_of(&made, "rows", "in_shards"), FIXTURE_SHARDS * NUM_ROWS);
    assert_int_equal(value_of(&made, "rows", "planned"), FIXTURE_SHARDS * NUM_ROWS);
    assert_int_equal(value_of(&made, "rows", "results"), 10);
    assert_true(value_of(&made, "rows", "scored") >= 10);
    assert_true(value_of(&made, "rows", "compared_float32") >= value_of(&made, "rows", "scored"));
    assert_int_equal(value_of(&made, "work", "loaded_shards"), round == 0 ? FIXTURE_SHARDS : 0);
    assert_int_equal(value_of(&made, "work", "tasks"), FIXTURE_SHARDS);
    assert_true(value_of(&made, "work", "threads") >= 1);
    assert_null(sf_json_member(made.json.root, "filter"));
    assert_null(sf_json_member(made.json.root, "fetched"));
    assert_int_equal(json_array_size(sf_json_member(made.json.root, "shards")), FIXTURE_SHARDS);
    finish(&made);
  }
  sf_reader_free(reader);
}

static void a_filtered_search_accounts_for_matching_rows_and_bitmaps(void **state) {
  const reader_fixture *fixture = *state;
  sf_reader *reader = fixture_open(fixture, NULL);
  for (int round = 0; round < 2; round++) {
    explained made = search(fixture, reader, "id == 7 || id == 8 || id == 2 * 3000 + 1");
    assert_int_equal(value_of(&made, "rows", "matching"), 3);
    assert_int_equal(value_of(&made, "rows", "results"), 3);
    assert_int_equal(value_of(&made, "rows", "planned"), 2 * NUM_ROWS); /* two shards have no matching row */
    assert_int_equal(value_of(&made, "rows", "filtered"), 2 * NUM_ROWS - 3);
    assert_int_equal(value_of(&made, "rows", "scored"), 3);
    assert_int_equal(value_of(&made, "filter", "new_bitmaps"), round == 0 ? FIXTURE_SHARDS : 0);
    assert_int_equal(value_of(&made, "filter", "known_bitmaps"), round == 0 ? 0 : FIXTURE_SHARDS);
    finish(&made);
  }
  sf_reader_free(reader);
}

static void a_fetch_accounts_for_its_shards(void **state) {
  const reader_fixture *fixture = *state;
  sf_reader *reader = fixture_open(fixture, NULL);
  const sf_row_id ids[] = {{.type = SF_ID_INTEGER, .integer = 7}, {.type = SF_ID_INTEGER, .integer = -7}};
  sf_fetch_request request = SF_FETCH_REQUEST_INIT;
  sf_search_response *response;
  request.ids = ids;
  request.num_ids = 2;
  assert_int_equal(sf_reader_fetch(reader, &request, &response, NULL), SF_OK);
  explained made = explain(response);
  const json_t *route = sf_json_member(made.json.root, "route");
  assert_string_equal(json_string_value(sf_json_member(route, "reason")), "all");
  assert_int_equal(value_of(&made, "rows", "planned"), 0);
  assert_int_equal(value_of(&made, "work", "loaded_shards"), FIXTURE_SHARDS);
  assert_null(sf_json_member(made.json.root, "shards"));
  finish(&made);
  sf_reader_free(reader);
}

static void a_response_without_an_account_explains_nothing(void **state) {
  (void)state;
  sf_search_response *response;
  assert_int_equal(sf_search_response_create(0, 0, &response, NULL), SF_OK);
  assert_null(sf_search_response_explain_json(response));
  assert_null(sf_search_response_explain_text(response));
  sf_search_response_free(response);
}

static int set_up(void **state) {
  *state = fixture_make(DIM, NUM_ROWS);
  return 0;
}

static int tear_down(void **state) {
  fixture_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_account_is_shown_as_json),
      cmocka_unit_test(an_account_is_shown_as_aligned_lines),
      cmocka_unit_test(a_text_has_no_bytes_of_an_expression_that_a_terminal_interprets),
      cmocka_unit_test_setup_teardown(a_search_accounts_for_its_rows_and_what_it_loaded, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_filtered_search_accounts_for_matching_rows_and_bitmaps, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_fetch_accounts_for_its_shards, set_up, tear_down),
      cmocka_unit_test(a_response_without_an_account_explains_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
