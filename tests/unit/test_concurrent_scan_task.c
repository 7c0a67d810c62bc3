/* However a search is cut and shared out, its answer is the same, bit for bit, with every kernel. */
#include "random.h"
#include "support/reader_fixture.h"
#include "support/scratch.h"
#include "vectors/distance.h"

#include <cmocka_includes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Rows of 256 bytes: two slices in each shard, whose searches share one sample. */
enum { DIM = 64, NUM_ROWS = 40000, NUM_SHARDS = 2, NUM_QUERIES = 11 };

typedef struct large_snapshot {
  char *folder;
  char *cache_dir;
  built_snapshot *snapshot;
  float queries[NUM_QUERIES][DIM];
} large_snapshot;

static const int64_t all_shards[NUM_SHARDS] = {0, 1};

static sf_search_request request_for(const large_snapshot *large, size_t query, int64_t top_k) {
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = large->queries[query];
  request.dim = DIM;
  request.top_k = top_k;
  request.has_shard_ids = true;
  request.shard_ids = all_shards;
  request.num_shard_ids = NUM_SHARDS;
  return request;
}

static void check_answers(const large_snapshot *large, uint32_t num_workers, uint32_t max_concurrency) {
  static const int64_t tops[] = {10, 500};
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader;
  sf_completion_queue *queue;
  options.cache_dir = large->cache_dir;
  options.num_workers = num_workers;
  options.max_concurrency = max_concurrency;
  assert_int_equal(sf_reader_open(large->snapshot->root, &options, &reader, NULL), SF_OK);
  assert_int_equal(sf_completion_queue_create(&queue, NULL), SF_OK);
  for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
    sf_search_request request = request_for(large, 0, tops[i]);
    sf_search_response *responses[2] = {0};
    sf_operation *operation;
    assert_int_equal(sf_reader_search_submit(reader, &request, queue, NULL, &operation, NULL), SF_OK);
    assert_int_equal(sf_reader_search(reader, &request, &responses[0], NULL), SF_OK);
    assert_ptr_equal(sf_completion_queue_wait(queue, -1), operation);
    responses[1] = sf_operation_take_response(operation);
    sf_operation_release(operation);
    for (size_t j = 0; j < 2; j++) {
      assert_true(
          snapshot_answers(large->snapshot, large->queries[0], (size_t)tops[i], all_shards, NUM_SHARDS, responses[j]));
      sf_search_response_free(responses[j]);
    }
  }
  sf_completion_queue_free(queue);
  sf_reader_free(reader);
}

static void the_answer_is_the_same_for_any_number_of_workers(void **state) {
  check_answers(*state, 1, 0);
  check_answers(*state, 2, 0);
  check_answers(*state, 5, 0);
}

static void the_answer_is_the_same_with_shards_one_after_the_other(void **state) {
  check_answers(*state, 4, 1);
}

/* Some want more than others; one so much that it scans alone. */
static int64_t top_k_of(size_t query) {
  return query == 7 ? 2000 : 1 + (int64_t)query;
}

static bool is_cancelled(size_t query) {
  return query % 5 == 3;
}

static void check_searches_under_way_together(const large_snapshot *large, uint32_t num_workers) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader;
  sf_operation *operations[NUM_QUERIES];
  options.cache_dir = large->cache_dir;
  options.num_workers = num_workers;
  options.preload_shards = true;
  assert_int_equal(sf_reader_open(large->snapshot->root, &options, &reader, NULL), SF_OK);
  for (size_t i = 0; i < NUM_QUERIES; i++) {
    sf_search_request request = request_for(large, i, top_k_of(i));
    assert_int_equal(sf_reader_search_submit(reader, &request, NULL, NULL, &operations[i], NULL), SF_OK);
  }
  for (size_t i = 0; i < NUM_QUERIES; i++)
    if (is_cancelled(i))
      sf_operation_cancel(operations[i]);
  for (size_t i = 0; i < NUM_QUERIES; i++) {
    sf_error error;
    assert_true(sf_operation_wait(operations[i], -1));
    sf_code code = sf_operation_result(operations[i], &error);
    assert_true(code == SF_OK || (is_cancelled(i) && code == SF_CANCELLED_ERROR));
    sf_search_response *response = sf_operation_take_response(operations[i]);
    if (code == SF_OK)
      assert_true(
          snapshot_answers(large->snapshot, large->queries[i], (size_t)top_k_of(i), all_shards, NUM_SHARDS, response));
    sf_search_response_free(response);
    sf_operation_release(operations[i]);
  }
  sf_reader_free(reader);
}

static void searches_under_way_together_get_the_answers_that_they_get_alone(void **state) {
  check_searches_under_way_together(*state, 3);
}

/* Kernels are picked once in a process: each is tried in one of its own. */
static const char kernel_argument[] = "--with-this-kernel";

static void the_answer_is_the_same_with_every_kernel(void **state) {
  const large_snapshot *large = *state;
  char self[4096];
  ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (length < 0)
    skip(); /* only Linux says where a program lies */
  self[length] = '\0';
  for (const sf_kernels *const *kernels = sf_kernels_all(); *kernels != NULL; kernels++) {
    if (!(*kernels)->supported())
      continue;
    pid_t child = fork();
    if (child == 0) {
      setenv("SHARDYFUSION_KERNEL", (*kernels)->name, 1);
      execl(self, self, kernel_argument, large->folder, (char *)NULL);
      _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
  }
}

/* Writing the same snapshot again gives the same: what is random in it has a seed. */
static large_snapshot *make(char *folder) {
  large_snapshot *large = sf_calloc(1, sizeof(*large));
  const snapshot_plan plan = {.run_id = "large",
                              .timestamp = "2026-01-02T03:04:05.000006Z",
                              .num_shards = NUM_SHARDS,
                              .dim = DIM,
                              .num_rows = NUM_ROWS,
                              .seed = 99,
                              .metric = SF_METRIC_L2};
  uint64_t random = random_seed(3);
  large->folder = folder;
  large->cache_dir = scratch_path(folder, "cache");
  large->snapshot = snapshot_describe(folder, &plan);
  for (size_t i = 0; i < NUM_QUERIES; i++)
    for (size_t j = 0; j < DIM; j++)
      large->queries[i][j] = random_component(&random);
  return large;
}

static void unmake(large_snapshot *large) {
  snapshot_free(large->snapshot);
  free(large->cache_dir);
  free(large);
}

static int set_up(void **state) {
  large_snapshot *large = make(scratch_make());
  snapshot_write(large->snapshot);
  snapshot_publish(large->snapshot);
  *state = large;
  return 0;
}

static int tear_down(void **state) {
  large_snapshot *large = *state;
  char *folder = large->folder;
  unmake(large);
  scratch_remove(folder);
  return 0;
}

static void the_answer_is_right_with_this_kernel(void **state) {
  assert_string_equal(sf_kernel_name(), getenv("SHARDYFUSION_KERNEL"));
  check_answers(*state, 3, 0);
  check_searches_under_way_together(*state, 1);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], kernel_argument) == 0) {
    void *large = make(argv[2]);
    the_answer_is_right_with_this_kernel(&large);
    unmake(large);
    return 0;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_answer_is_the_same_for_any_number_of_workers),
      cmocka_unit_test(the_answer_is_the_same_with_shards_one_after_the_other),
      cmocka_unit_test(searches_under_way_together_get_the_answers_that_they_get_alone),
      cmocka_unit_test(the_answer_is_the_same_with_every_kernel),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
