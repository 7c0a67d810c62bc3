/* How many lists give which recall: what was measured on rows holds for queries that no row is. */
#include "lists/make_lists.h"
#include "query/list_calibration.h"
#include "query/list_scan.h"
#include "scan_problem.h"

enum { NUM_SHARDS = 3, NUM_ROWS = 2500, DIM = 24, NUM_QUERIES = 150, MAX_LISTS = 3000 };

static const sf_lists_identity identity = {.db_url = "rows"};

/* Shards, and lists of all but the last, which has no rows. */
typedef struct world {
  float *rows[NUM_SHARDS];
  sf_vector_segment segments[NUM_SHARDS];
  sf_shard shards[NUM_SHARDS];
  sf_shard *of_shards[NUM_SHARDS];
  void *blocks[NUM_SHARDS];
  sf_lists lists[NUM_SHARDS];
  const sf_lists *of_lists[NUM_SHARDS];
  sf_list_calibration calibration;
} world;

static void fill_row(float *row, uint64_t *random, float spread) {
  uint64_t centre = 1000 * random_below(random, 150);
  for (size_t i = 0; i < DIM; i++)
    row[i] = random_component(&centre) + spread * random_component(random);
}

static void make_shard(world *made, size_t shard, sf_score_convention convention, float spread, uint64_t *random) {
  size_t length;
  sf_error error;
  made->rows[shard] = exact_size((size_t)NUM_ROWS * DIM * sizeof(float));
  for (size_t row = 0; row < NUM_ROWS; row++)
    fill_row(made->rows[shard] + row * DIM, random, spread);
  made->segments[shard] =
      (sf_vector_segment){.vectors = made->rows[shard], .first_row = 7, .num_rows = NUM_ROWS, .max_norm = 100};
  made->shards[shard] =
      (sf_shard){.segments = &made->segments[shard], .num_segments = 1, .dim = DIM, .score_convention = convention};
  made->of_shards[shard] = &made->shards[shard];
  const sf_lists_params params = {.segments = &made->segments[shard],
                                  .num_segments = 1,
                                  .dim = DIM,
                                  .metric = sf_scorings[convention].metric,
                                  .identity = identity,
                                  .num_threads = 2};
  assert_int_equal(sf_lists_make(&params, NULL, &made->blocks[shard], &length, &error), SF_OK);
  assert_int_equal(sf_lists_read(made->blocks[shard], length, &identity, &made->lists[shard], NULL), SF_OK);
  made->of_lists[shard] = &made->lists[shard];
}

static world *make_world(sf_score_convention convention, float spread, uint64_t seed) {
  world *made = calloc(1, sizeof(*made));
  uint64_t random = seed;
  sf_error error;
  assert_non_null(made);
  for (size_t shard = 0; shard + 1 < NUM_SHARDS; shard++)
    make_shard(made, shard, convention, spread, &random);
  const sf_calibration_params params = {
      .shards = made->of_shards, .lists = made->of_lists, .num_shards = NUM_SHARDS, .dim = DIM, .seed = 5};
  if (sf_list_calibrate(&params, NULL, &made->calibration, &error) != SF_OK)
    fail_msg("%s", error.message);
  return made;
}

static void free_world(world *made) {
  for (size_t shard = 0; shard < NUM_SHARDS; shard++) {
    free(made->rows[shard]);
    free(made->blocks[shard]);
  }
  free(made);
}

typedef struct scored {
  double score;
  size_t shard;
  uint64_t row;
} scored;

static int compare_scored(const void *left, const void *right) {
  const scored *a = left;
  const scored *b = right;
  return (a->score > b->score) - (a->score < b->score);
}

/* The nearest of all rows. */
static void find_nearest(const world *made, const sf_query_vector *query, scored *nearest, size_t top_k) {
  size_t count = 0;
  scored *all = exact_size((size_t)NUM_SHARDS * NUM_ROWS * sizeof(*all));
  for (size_t shard = 0; shard + 1 < NUM_SHARDS; shard++)
    for (size_t row = 0; row < NUM_ROWS; row++)
      all[count++] = (scored){sf_exact_score(query, made->rows[shard] + row * DIM), shard, 7 + row};
  qsort(all, count, sizeof(*all), compare_scored);
  memcpy(nearest, all, top_k * sizeof(*all));
  free(all);
}

static size_t count_found(const scored *nearest, size_t top_k, size_t shard, const sf_collector *collector) {
  size_t count = 0;
  for (size_t i = 0; i < top_k; i++)
    for (size_t j = 0; j < collector->count; j++)
      count += nearest[i].shard == shard && nearest[i].row == collector->rows[j].row;
  return count;
}

/* How many of the nearest the scans of the chosen lists find. */
static size_t search_lists(const world *made, const sf_query_vector *query, size_t num_lists, const scored *nearest,
                           size_t top_k) {
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = top_k};
  sf_list_choice choices[MAX_LISTS];
  size_t count;
  size_t found = 0;
  assert_true(num_lists <= MAX_LISTS);
  assert_int_equal(sf_list_choice_find(query, made->of_lists, NUM_SHARDS, num_lists, choices, &count, NULL), SF_OK);
  for (size_t shard = 0; shard + 1 < NUM_SHARDS; shard++) {
    sf_list_choice *own = exact_size(count * sizeof(*own));
    size_t num_own = 0;
    for (size_t i = 0; i < count; i++)
      if (choices[i].shard == shard)
        own[num_own++] = choices[i];
    sf_collector collector = {.params = &params};
    sf_scan_request request = {.query = query, .collector = &collector};
    const sf_list_scan scan = {.lists = &made->lists[shard],
                               .segments = &made->segments[shard],
                               .num_segments = 1,
                               .choices = own,
                               .num_choices = num_own,
                               .error_share = sf_list_scan_error_share(DIM)};
    sf_list_scan_run(&scan, &request);
    assert_int_equal(request.code, SF_OK);
    found += count_found(nearest, top_k, shard, &collector);
    sf_collector_free(&collector);
    free(own);
  }
  return found;
}

static double recall_of(const world *made, sf_score_convention convention, float spread, size_t top_k,
                        size_t num_lists) {
  uint64_t random = random_seed(99);
  size_t found = 0;
  for (size_t i = 0; i < NUM_QUERIES; i++) {
    float components[DIM];
    float scaled[DIM];
    scored nearest[SF_CALIBRATED_MAX_TOP_K];
    sf_query_vector query;
    fill_row(components, &random, spread);
    sf_query_vector_init(&query, components, DIM, convention, scaled);
    find_nearest(made, &query, nearest, top_k);
    found += search_lists(made, &query, num_lists, nearest, top_k);
  }
  return (double)found / (double)NUM_QUERIES / (double)top_k;
}

static void check_targets(const world *made, sf_score_convention convention, float spread) {
  static const double targets[] = {0.8, 0.95};
  static const size_t top_ks[] = {1, 10, 100};
  for (size_t k = 0; k < 3; k++)
    for (size_t i = 0; i < 2; i++) {
      size_t num_lists = sf_list_calibration_count(&made->calibration, targets[i], top_ks[k]);
      if (num_lists == 0)
        continue;
      double recall = recall_of(made, convention, spread, top_ks[k], num_lists);
      /* the error of so few queries on top of what is allowed */
      double error = 2 * sqrt(targets[i] * (1 - targets[i]) / ((double)NUM_QUERIES * fmin(10, (double)top_ks[k])));
      if (recall < targets[i] - 0.01 - error)
        fail_msg("top_k %zu: expected a recall of %g from %zu lists, found %g", top_ks[k], targets[i], num_lists,
                 recall);
    }
}

static void targets_hold_for_queries_that_no_row_is(void **state) {
  (void)state;
  static const sf_score_convention of_metrics[] = {SF_SCORE_COSINE, SF_SCORE_SQUARED_L2, SF_SCORE_ONE_MINUS_DOT};
  for (size_t i = 0; i < 3; i++) {
    world *made = make_world(of_metrics[i], 0.6F, random_seed(1));
    size_t total = made->lists[0].num_lists + made->lists[1].num_lists;
    size_t num_lists = sf_list_calibration_count(&made->calibration, 0.9, 10);
    assert_in_range(num_lists, 1, total / 4);
    check_targets(made, of_metrics[i], 0.6F);
    free_world(made);
  }
}

/* Without structure, near rows are in lists everywhere: what lists would hardly save is searched exactly. */
static void rows_without_structure_need_most_lists(void **state) {
  (void)state;
  world *made = make_world(SF_SCORE_COSINE, 1000, random_seed(2));
  size_t of_half = sf_list_calibration_count(&made->calibration, 0.5, 10);
  size_t of_most = sf_list_calibration_count(&made->calibration, 0.9, 10);
  assert_true(of_half > 0 && (of_most == 0 || of_most > 2 * of_half));
  check_targets(made, SF_SCORE_COSINE, 1000);
  free_world(made);
}

static void more_recall_needs_no_fewer_lists(void **state) {
  (void)state;
  sf_list_calibration calibration = {
      .num_top_ks = 3,
      .num_targets = 12,
      .top_ks = {1, 10, 100},
      .targets = {500, 600, 700, 800, 850, 900, 925, 950, 970, 980, 990, 995},
  };
  for (uint32_t k = 0; k < calibration.num_top_ks; k++)
    for (uint32_t i = 0; i < calibration.num_targets; i++)
      calibration.counts[k][i] = 10 * (i + 1) + k;
  assert_int_equal(sf_list_calibration_count(&calibration, 0.0001, 1), 10);
  assert_int_equal(sf_list_calibration_count(&calibration, 0.5, 1), 10);
  assert_int_equal(sf_list_calibration_count(&calibration, 0.95, 10), 81);
  assert_int_equal(sf_list_calibration_count(&calibration, 0.94, 10), 81); /* the next that was calibrated */
  assert_int_equal(sf_list_calibration_count(&calibration, 0.95, 2), 81);
  assert_int_equal(sf_list_calibration_count(&calibration, 0.995, 100), 122);
  assert_int_equal(sf_list_calibration_count(&calibration, 0.996, 1), 0);
  assert_int_equal(sf_list_calibration_count(&calibration, 0.5, 101), 0);
  calibration.counts[0][7] = 0;
  assert_int_equal(sf_list_calibration_count(&calibration, 0.95, 2), 0);
  calibration.counts[0][7] = 500;
  assert_int_equal(sf_list_calibration_count(&calibration, 0.95, 2), 500);
  assert_int_equal(sf_list_calibration_count(&calibration, 0.95, 10), 81);
  calibration.top_ks[0] = 5; /* what a manifest may say: fewer results need no more than these */
  assert_int_equal(sf_list_calibration_count(&calibration, 0.95, 2), 500);
}

static void a_cancelled_calibration_ends(void **state) {
  (void)state;
  world *made = make_world(SF_SCORE_COSINE, 0.6F, 3);
  sf_cancellation cancellation = {0};
  const sf_calibration_params params = {
      .shards = made->of_shards, .lists = made->of_lists, .num_shards = NUM_SHARDS, .dim = DIM};
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_list_calibrate(&params, &cancellation, &made->calibration, NULL), SF_CANCELLED_ERROR);
  free_world(made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(targets_hold_for_queries_that_no_row_is),
      cmocka_unit_test(rows_without_structure_need_most_lists),
      cmocka_unit_test(more_recall_needs_no_fewer_lists),
      cmocka_unit_test(a_cancelled_calibration_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
