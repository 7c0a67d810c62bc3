/* Lists of a shard's rows: what is made is read, and nothing else is; and what searches of them find. */
#include "cache/cached_block.h"
#include "lists/lists_layout.h"
#include "lists/make_lists.h"
#include "query/list_scan.h"
#include "scan_problem.h"
#include "vectors/quantized_rows.h"

#include <xxhash.h>

static const sf_lists_identity identity = {.db_url = "s3://b/p", .checkpoint_id = "c", .content = 17};

/* Lists of some segments. */
typedef struct made_lists {
  uint8_t *block;
  size_t length;
  sf_lists lists;
} made_lists;

static made_lists make(const sf_vector_segment *segments, size_t num_segments, uint32_t dim, sf_metric metric,
                       uint32_t num_lists, uint32_t num_threads) {
  const sf_lists_params params = {.segments = segments,
                                  .num_segments = num_segments,
                                  .dim = dim,
                                  .metric = metric,
                                  .identity = identity,
                                  .num_lists = num_lists,
                                  .num_threads = num_threads,
                                  .seed = 3};
  made_lists made;
  void *block;
  sf_error error;
  if (sf_lists_make(&params, NULL, &block, &made.length, &error) != SF_OK)
    fail_msg("%s", error.message);
  made.block = block;
  assert_int_equal(sf_lists_read(made.block, made.length, &identity, &made.lists, NULL), SF_OK);
  return made;
}

/* Rows about some centres, a few of them near each other. */
static float *clustered_rows(size_t num_rows, uint32_t dim, size_t num_clusters, uint64_t seed) {
  float *rows = exact_size(num_rows * dim * sizeof(float));
  uint64_t random = seed;
  for (size_t row = 0; row < num_rows; row++) {
    uint64_t centre = 1000 * random_below(&random, num_clusters);
    for (uint32_t i = 0; i < dim; i++)
      rows[row * dim + i] = random_component(&centre) + 0.5F * random_component(&random);
  }
  return rows;
}

static sf_vector_segment segment_of(const float *rows, size_t num_rows) {
  return (sf_vector_segment){.vectors = rows, .num_rows = num_rows};
}

/* ---------------------------------------------------------------------------------------------------------------- Format */

static bool is_row_of(const struct scan_problem *problem, uint64_t row) {
  size_t i = (size_t)(row - problem->segment.first_row);
  bool excluded = problem->excluded != NULL && (problem->excluded[i / 8] >> (i % 8) & 1) != 0;
  return !excluded && isfinite(sf_exact_squared_norm(problem->vectors + i * problem->dim, problem->dim));
}

static bool has_rows(const struct scan_problem *problem) {
  for (size_t i = 0; i < problem->num_rows; i++)
    if (is_row_of(problem, problem->segment.first_row + i))
      return true;
  return false;
}

static void every_row_that_can_be_a_result_is_in_one_list(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  for (size_t i = 0; i < NUM_MAKERS; i++) {
    struct scan_problem problem;
    make_problem(&problem, component_makers[i], 300, 7, &random);
    made_lists made = make(&problem.segment, 1, 7, (sf_metric)(i % 3), (uint32_t)random_below(&random, 40), 2);
    uint8_t *seen = calloc(problem.num_rows, 1);
    size_t num_rows = 0;
    for (size_t place = 0; place < made.lists.num_rows; place++)
      seen[sf_lists_row_at(&made.lists, place) - problem.segment.first_row]++;
    for (size_t row = 0; row < problem.num_rows; row++) {
      assert_int_equal(seen[row], is_row_of(&problem, problem.segment.first_row + row));
      num_rows += seen[row];
    }
    assert_int_equal(num_rows, made.lists.num_rows);
    assert_int_equal(made.lists.row_ends[made.lists.num_lists - 1], num_rows);
    free(seen);
    free(made.block);
    free_problem(&problem);
  }
}

static void no_number_of_threads_changes_a_bit(void **state) {
  (void)state;
  enum { NUM_ROWS = 9000, DIM = 12 };
  float *rows = clustered_rows(NUM_ROWS, DIM, 40, random_seed(2));
  const sf_vector_segment segment = segment_of(rows, NUM_ROWS);
  made_lists one = make(&segment, 1, DIM, SF_METRIC_COSINE, 0, 1);
  made_lists three = make(&segment, 1, DIM, SF_METRIC_COSINE, 0, 3);
  assert_int_equal(one.lists.num_lists, 379); /* 4√9000 */
  assert_int_equal(one.length, three.length);
  assert_memory_equal(one.block, three.block, one.length);
  free(one.block);
  free(three.block);
  free(rows);
}

static void shards_without_rows_have_no_lists(void **state) {
  (void)state;
  const float not_finite[] = {NAN, INFINITY};
  const sf_vector_segment segment = segment_of(not_finite, 2);
  const sf_lists_params params = {.segments = &segment, .num_segments = 1, .dim = 1, .identity = identity};
  void *block;
  size_t length;
  sf_error error;
  assert_int_equal(sf_lists_make(&params, NULL, &block, &length, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, "lists of s3://b/p: expected rows with finite vectors, found none");
}

static void making_keeps_to_its_memory(void **state) {
  (void)state;
  float *rows = clustered_rows(50000, 8, 3, 1);
  const sf_vector_segment segment = segment_of(rows, 50000);
  sf_lists_params params = {
      .segments = &segment, .num_segments = 1, .dim = 8, .identity = identity, .max_memory_bytes = 1 << 20};
  void *block;
  size_t length;
  sf_error error;
  assert_int_equal(sf_lists_make(&params, NULL, &block, &length, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(
      strstr(error.message, "expected to need at most 1 MiB of memory, as allowed, found that its 50000 rows"));
  params.max_memory_bytes = 16 << 20;
  params.num_lists = 40;
  assert_int_equal(sf_lists_make(&params, NULL, &block, &length, &error), SF_OK);
  assert_in_range(length, 50000, 8 << 20);
  free(block);
  free(rows);
}

static void a_cancelled_making_ends(void **state) {
  (void)state;
  float *rows = clustered_rows(200, 8, 3, 1);
  const sf_vector_segment segment = segment_of(rows, 200);
  const sf_lists_params params = {.segments = &segment, .num_segments = 1, .dim = 8, .identity = identity};
  sf_cancellation cancellation = {0};
  void *block;
  size_t length;
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_lists_make(&params, &cancellation, &block, &length, NULL), SF_CANCELLED_ERROR);
  free(rows);
}

static made_lists make_small(void) {
  float *rows = clustered_rows(90, 9, 4, 5);
  const sf_vector_segment segment = segment_of(rows, 90);
  made_lists made = make(&segment, 1, 9, SF_METRIC_L2, 7, 1);
  free(rows);
  return made;
}

static void every_changed_byte_is_noticed(void **state) {
  (void)state;
  made_lists made = make_small();
  sf_lists lists;
  for (size_t i = 0; i < made.length; i++) {
    sf_error error;
    made.block[i] ^= (uint8_t)(1U << (i % 8));
    assert_int_equal(sf_lists_read(made.block, made.length, &identity, &lists, &error), SF_DB_ADAPTER_ERROR);
    assert_non_null(strstr(error.message, "expected "));
    made.block[i] ^= (uint8_t)(1U << (i % 8));
  }
  assert_int_equal(sf_lists_read(made.block, made.length, &identity, &lists, NULL), SF_OK);
  free(made.block);
}

static void every_missing_byte_is_noticed(void **state) {
  (void)state;
  made_lists made = make_small();
  sf_lists lists;
  for (size_t length = 0; length < made.length; length++) {
    uint8_t *cut = sf_block_allocate(length);
    memcpy(cut, made.block, length);
    assert_int_equal(sf_lists_read(cut, length, &identity, &lists, NULL), SF_DB_ADAPTER_ERROR);
    free(cut);
  }
  free(made.block);
}

static void lists_of_another_shard_are_not_read(void **state) {
  (void)state;
  made_lists made = make_small();
  sf_lists lists;
  const sf_lists_identity others[] = {{.db_url = "s3://b/q", .checkpoint_id = "c", .content = 17},
                                      {.db_url = "s3://b/p", .checkpoint_id = "d", .content = 17},
                                      {.db_url = "s3://b/p", .content = 17},
                                      {.db_url = "s3://b/p", .checkpoint_id = "c", .content = 18}};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
    assert_int_equal(sf_lists_read(made.block, made.length, &others[i], &lists, NULL), SF_DB_ADAPTER_ERROR);
  free(made.block);
}

/* The head alone plans a search: it is read without the blocks, and says where each of them is. */
static void the_head_is_read_without_the_blocks(void **state) {
  (void)state;
  made_lists made = make_small();
  sf_lists head;
  size_t head_length = sf_lists_head_length(made.block, SF_LISTS_HEADER_SIZE);
  uint8_t *copy = sf_block_allocate(head_length);
  memcpy(copy, made.block, head_length);
  assert_in_range(head_length, SF_LISTS_HEADER_SIZE + 1, made.length - 1);
  assert_int_equal(sf_lists_read_head(copy, head_length, made.length, &identity, &head, NULL), SF_OK);
  assert_int_equal(head.num_lists, made.lists.num_lists);
  assert_int_equal(head_length + head.block_ends[head.num_lists - 1], made.length);
  for (uint32_t list = 0; list < head.num_lists; list++) {
    uint64_t begin = list == 0 ? 0 : head.block_ends[list - 1];
    assert_true(head.checksums[list] ==
                XXH3_64bits(made.block + head_length + begin, (size_t)(head.block_ends[list] - begin)));
  }
  assert_int_equal(sf_lists_read_head(copy, head_length - 1, made.length, &identity, &head, NULL), SF_DB_ADAPTER_ERROR);
  assert_int_equal(sf_lists_read_head(copy, head_length, made.length - 1, &identity, &head, NULL), SF_DB_ADAPTER_ERROR);
  free(copy);
  free(made.block);
}

/* Whether lists are read once the checksums of their header and head are right again. */
static bool is_read_when_sealed(const made_lists *made, size_t head_length) {
  sf_lists_header header;
  sf_lists lists;
  memcpy(&header, made->block, sizeof(header));
  header.head_checksum = XXH3_64bits(made->block + sizeof(header), head_length - sizeof(header));
  header.header_checksum = 0;
  header.header_checksum = XXH3_64bits(&header, sizeof(header));
  memcpy(made->block, &header, sizeof(header));
  return sf_lists_read(made->block, made->length, &identity, &lists, NULL) == SF_OK;
}

static uint8_t *place_in(const made_lists *made, const void *array) {
  return made->block + ((const uint8_t *)array - made->block);
}

/* Numbers that would lead outside of the block, though its checksums are right. */
static void numbers_that_contradict_each_other_are_refused(void **state) {
  (void)state;
  made_lists made = make_small();
  size_t head_length = sf_lists_head_length(made.block, made.length);
  const size_t header_numbers[] = {offsetof(sf_lists_header, dim),       offsetof(sf_lists_header, metric),
                                   offsetof(sf_lists_header, num_lists), offsetof(sf_lists_header, num_rows),
                                   offsetof(sf_lists_header, length),    offsetof(sf_lists_header, row_span)};
  assert_true(is_read_when_sealed(&made, head_length));
  for (size_t i = 0; i < sizeof(header_numbers) / sizeof(header_numbers[0]); i++) {
    uint32_t number;
    uint32_t wrong[] = {0, UINT32_MAX};
    memcpy(&number, made.block + header_numbers[i], sizeof(number));
    for (size_t j = 0; j < 2; j++) {
      memcpy(made.block + header_numbers[i], &wrong[j], sizeof(number));
      assert_false(is_read_when_sealed(&made, head_length));
    }
    memcpy(made.block + header_numbers[i], &number, sizeof(number));
  }
  uint8_t *const ends[] = {place_in(&made, made.lists.row_ends + 3), place_in(&made, made.lists.block_ends + 3)};
  for (size_t i = 0; i < 2; i++) {
    ends[i][3] ^= 0x80;
    assert_false(is_read_when_sealed(&made, head_length));
    ends[i][3] ^= 0x80;
  }
  assert_true(is_read_when_sealed(&made, head_length));
  free(made.block);
}

/* The block's own checksum is right, too. */
static void rows_that_a_shard_cannot_have_are_refused(void **state) {
  (void)state;
  made_lists made = make_small();
  size_t head_length = sf_lists_head_length(made.block, made.length);
  sf_list first = sf_lists_at(&made.lists, 0);
  assert_in_range(first.num_rows, 2, 90);
  const uint32_t wrong[] = {90, UINT32_MAX, first.rows[0]};
  uint8_t *row = place_in(&made, first.rows + 1);
  uint32_t right = first.rows[1];
  for (size_t i = 0; i <= sizeof(wrong) / sizeof(wrong[0]); i++) {
    bool is_right = i == sizeof(wrong) / sizeof(wrong[0]);
    memcpy(row, is_right ? &right : &wrong[i], sizeof(right));
    uint64_t checksum = XXH3_64bits(made.lists.blocks, (size_t)made.lists.block_ends[0]);
    memcpy(place_in(&made, made.lists.checksums), &checksum, sizeof(checksum));
    assert_int_equal(is_read_when_sealed(&made, head_length), is_right);
  }
  free(made.block);
}

/* --------------------------------------------------------------------------------------------------------------- Choosing */

typedef struct query_of_test {
  float scaled[64];
  sf_query_vector vector;
} query_of_test;

static void init_query(query_of_test *query, const float *components, uint32_t dim, sf_score_convention convention) {
  assert_true(dim <= 64);
  sf_query_vector_init(&query->vector, components, dim, convention, query->scaled);
}

static double distance_of(const sf_lists *lists, const sf_query_vector *query, uint32_t list) {
  const float *centre = lists->centres + (size_t)list * lists->dim;
  if (lists->metric == SF_METRIC_L2)
    return sf_exact_squared_l2(query->query, centre, lists->dim);
  return -sf_exact_dot(sf_compared_vector(query), centre, lists->dim) * (double)lists->factors[list];
}

static void the_nearest_lists_of_all_shards_are_chosen(void **state) {
  (void)state;
  enum { NUM_ROWS = 3000, DIM = 24, WANTED = 20 };
  for (int metric = 0; metric < 3; metric++) {
    static const sf_score_convention of_metric[] = {SF_SCORE_COSINE, SF_SCORE_L2, SF_SCORE_ONE_MINUS_DOT};
    float *rows[] = {clustered_rows(NUM_ROWS, DIM, 20, 1), clustered_rows(NUM_ROWS, DIM, 30, 2)};
    const sf_vector_segment segments[] = {segment_of(rows[0], NUM_ROWS), segment_of(rows[1], NUM_ROWS)};
    made_lists made[] = {make(&segments[0], 1, DIM, (sf_metric)metric, 0, 1),
                         make(&segments[1], 1, DIM, (sf_metric)metric, 0, 1)};
    const sf_lists *shards[] = {&made[0].lists, NULL, &made[1].lists};
    sf_list_choice choices[WANTED];
    query_of_test query;
    size_t count;
    init_query(&query, rows[0] + 77 * DIM, DIM, of_metric[metric]);
    assert_int_equal(sf_list_choice_find(&query.vector, shards, 3, WANTED, choices, &count, NULL), SF_OK);
    assert_int_equal(count, WANTED);
    for (size_t i = 1; i < count; i++)
      assert_true(choices[i - 1].distance <= choices[i].distance);
    /* The estimates leave a few more than are wanted: those that are left out are no nearer, but for their error. */
    size_t num_nearer = 0;
    for (size_t shard = 0; shard < 3; shard += 2)
      for (uint32_t list = 0; list < shards[shard]->num_lists; list++)
        num_nearer += distance_of(shards[shard], &query.vector, list) < (double)choices[WANTED - 1].distance;
    assert_in_range(num_nearer, WANTED - 1, WANTED + 1);
    for (size_t shard = 0; shard < 2; shard++) {
      free(made[shard].block);
      free(rows[shard]);
    }
  }
}

static void all_lists_are_chosen_where_more_are_wanted(void **state) {
  (void)state;
  made_lists made = make_small();
  const sf_lists *shards[] = {&made.lists};
  const float components[9] = {1};
  sf_list_choice choices[100];
  query_of_test query;
  size_t count;
  unsigned seen = 0;
  init_query(&query, components, 9, SF_SCORE_L2);
  assert_int_equal(sf_list_choice_find(&query.vector, shards, 1, 100, choices, &count, NULL), SF_OK);
  assert_int_equal(count, made.lists.num_lists);
  for (size_t i = 0; i < count; i++)
    seen |= 1U << choices[i].list;
  assert_int_equal(seen, (1U << made.lists.num_lists) - 1);
  free(made.block);
}

/* --------------------------------------------------------------------------------------------------------------- Searches */

static size_t found_in_lists(const made_lists *made, const sf_vector_segment *segments, size_t num_segments,
                             const sf_query_vector *query, size_t num_lists, float error_share, const uint8_t *filter,
                             sf_collector *collector, sf_scan_account *account) {
  const sf_lists *shards[] = {&made->lists};
  sf_list_choice *choices = exact_size(num_lists * sizeof(*choices));
  sf_error error;
  sf_scan_request request = {.query = query, .collector = collector, .filter = filter, .error = &error};
  size_t count;
  assert_int_equal(sf_list_choice_find(query, shards, 1, num_lists, choices, &count, &error), SF_OK);
  const sf_list_scan scan = {.lists = &made->lists,
                             .segments = segments,
                             .num_segments = num_segments,
                             .choices = choices,
                             .num_choices = count,
                             .error_share = error_share};
  sf_list_scan_run(&scan, &request);
  assert_int_equal(request.code, SF_OK);
  if (account != NULL)
    *account = request.account;
  free(choices);
  return count;
}

/* Every row scored. */
static void score_all(const struct scan_problem *problem, const sf_query_vector *query, const uint8_t *filter,
                      sf_collector *collector) {
  sf_collector_begin(collector, problem->num_rows);
  for (size_t i = 0; i < problem->num_rows; i++) {
    uint64_t row = problem->segment.first_row + i;
    if (is_row_of(problem, row) && (filter == NULL || (filter[row / 8] >> (row % 8) & 1) != 0))
      assert_true(sf_collector_add(
          collector, (sf_scored_row){.score = sf_exact_score(query, problem->vectors + i * problem->dim), .row = row}));
  }
  sf_collector_finish(collector);
}

static void expect_exact(const struct scan_problem *problem, const made_lists *made, const sf_query_vector *query,
                         const uint8_t *filter, const sf_collector_params *params) {
  sf_collector expected = {.params = params};
  sf_collector found = {.params = params};
  score_all(problem, query, filter, &expected);
  /* In two segments, as those of Lance shards. */
  sf_vector_segment halves[] = {problem->segment, problem->segment};
  halves[0].num_rows = problem->num_rows / 2;
  halves[1].first_row += halves[0].num_rows;
  halves[1].vectors += halves[0].num_rows * problem->dim;
  found_in_lists(made, halves, 2, query, made->lists.num_lists, 1, filter, &found, NULL);
  assert_int_equal(found.count, expected.count);
  if (found.count > 0)
    assert_memory_equal(found.rows, expected.rows, found.count * sizeof(sf_scored_row));
  sf_collector_free(&expected);
  sf_collector_free(&found);
}

/* Rows of every kind that could mislead a bound. */
static void all_lists_with_whole_errors_are_the_exact_search(void **state) {
  (void)state;
  uint64_t random = random_seed(4);
  for (size_t i = 0; i < (size_t)NUM_MAKERS * NUM_CONVENTIONS; i++) {
    struct scan_problem problem;
    uint8_t filter[256];
    uint32_t dim = 1 + (uint32_t)random_below(&random, 40);
    sf_score_convention convention = conventions[i % NUM_CONVENTIONS];
    make_problem(&problem, component_makers[i / NUM_CONVENTIONS], 700, dim, &random);
    for (size_t byte = 0; byte < sizeof(filter); byte++)
      filter[byte] = (uint8_t)random_bits(&random);
    query_of_test query;
    init_query(&query, problem.query, dim, convention);
    if (has_rows(&problem)) {
      made_lists made = make(&problem.segment, 1, dim, sf_scorings[convention].metric, 30, 1);
      const sf_collector_params nearest = {.kind = SF_COLLECT_TOP_K, .top_k = 1 + (size_t)random_below(&random, 20)};
      expect_exact(&problem, &made, &query.vector, NULL, &nearest);
      expect_exact(&problem, &made, &query.vector, filter, &nearest);
      const sf_collector_params range = {.kind = SF_COLLECT_RANGE,
                                         .top_k = problem.num_rows,
                                         .has_max_score = true,
                                         .max_score = sf_exact_score(&query.vector, problem.vectors)};
      if (!isnan(range.max_score))
        expect_exact(&problem, &made, &query.vector, NULL, &range);
      free(made.block);
    }
    free_problem(&problem);
  }
}

static size_t count_common(const sf_collector *expected, const sf_collector *found) {
  size_t count = 0;
  for (size_t i = 0; i < expected->count; i++)
    for (size_t j = 0; j < found->count; j++)
      count += expected->rows[i].row == found->rows[j].row;
  return count;
}

/* A tenth of the lists, of rows among which neighbours are near: nearly all results, of few of the rows. */
static void some_lists_have_most_of_the_results(void **state) {
  (void)state;
  enum { NUM_ROWS = 8000, DIM = 32, NUM_QUERIES = 50, TOP_K = 10 };
  for (int metric = 0; metric < 3; metric++) {
    static const sf_score_convention of_metric[] = {SF_SCORE_COSINE, SF_SCORE_SQUARED_L2, SF_SCORE_ONE_MINUS_DOT};
    static const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = TOP_K};
    float *rows = clustered_rows(NUM_ROWS + NUM_QUERIES, DIM, 100, random_seed(6));
    struct scan_problem problem = {
        .num_rows = NUM_ROWS, .dim = DIM, .vectors = rows, .segment = segment_of(rows, NUM_ROWS)};
    made_lists made = make(&problem.segment, 1, DIM, (sf_metric)metric, 0, 2);
    size_t num_common = 0;
    for (size_t i = 0; i < NUM_QUERIES; i++) {
      sf_collector expected = {.params = &params};
      sf_collector found = {.params = &params};
      sf_scan_account account;
      query_of_test query;
      init_query(&query, rows + (NUM_ROWS + i) * DIM, DIM, of_metric[metric]);
      score_all(&problem, &query.vector, NULL, &expected);
      found_in_lists(&made, &problem.segment, 1, &query.vector, made.lists.num_lists / 10,
                     sf_list_scan_error_share(DIM), NULL, &found, &account);
      num_common += count_common(&expected, &found);
      assert_in_range(account.num_planned, TOP_K, NUM_ROWS / 4);
      assert_in_range(account.num_scored, TOP_K, NUM_ROWS / 10);
      sf_collector_free(&expected);
      sf_collector_free(&found);
    }
    assert_in_range(num_common, 95 * NUM_QUERIES * TOP_K / 100, NUM_QUERIES * TOP_K);
    free(made.block);
    free(rows);
  }
}

/* ------------------------------------------------------------------------------------------------------------------- Rows */

static void rows_have_the_bounds_of_groups(void **state) {
  (void)state;
  uint64_t random = random_seed(7);
  for (int round = 0; round < 300; round++) {
    uint32_t dim = 1 + (uint32_t)random_below(&random, 300);
    sf_metric metric = (sf_metric)random_below(&random, 3);
    float *vectors = clustered_rows(17, dim, 2, random_bits(&random));
    float *centre = calloc(dim, sizeof(float));
    uint8_t *groups[SF_QUANTIZED_KINDS];
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
      groups[kind] = sf_block_allocate(2 * (size_t)sf_quantized_group_size(kind, dim, metric));
    sf_quantized_make_groups(vectors, 16, dim, metric, centre, groups);
    uint8_t *rows = exact_size(16 * sf_quantized_row_size(dim, metric));
    sf_quantized_rows_of_groups(groups[SF_QUANTIZED_4BIT], 16, dim, metric, rows);
    const sf_quantized of_rows = {.metric = metric, .centre = centre};
    sf_quantized_query query = {.components = calloc(sf_quantized_query_length(dim), 1)};
    sf_quantized_row_query by_row = {.low = exact_size(sf_quantized_row_query_length(dim)),
                                     .high = exact_size(sf_quantized_row_query_length(dim))};
    assert_true(sf_quantized_query_init(&query, vectors + 16 * dim, dim, &of_rows));
    sf_quantized_row_query_init(&by_row, query.components, dim, metric);
    const sf_quantized_comparison *comparison = &query.comparisons[SF_QUANTIZED_4BIT];
    for (const sf_kernels *const *next = sf_kernels_all(); *next != NULL; next++) {
      if (!(*next)->supported())
        continue;
      const sf_quantized_groups one = {
          .first = groups[SF_QUANTIZED_4BIT], .count = 1, .dim = dim, .has_squared_norms = metric == SF_METRIC_L2};
      uint16_t mask;
      float bounds[16];
      (*next)->find_near_quantized[SF_QUANTIZED_4BIT](comparison, &one, 0, &mask, bounds);
      for (size_t i = 0; i < 16; i++) {
        float bound = sf_quantized_row_bound(*next, &by_row, comparison, rows + i * sf_quantized_row_size(dim, metric));
        assert_true(fabsf(bound - bounds[i]) <= 1e-4F * (1 + fabsf(bound))); /* fused operations round once */
      }
    }
    free(rows);
    free(vectors);
    free(centre);
    free(query.components);
    free(by_row.low);
    free(by_row.high);
    free(groups[SF_QUANTIZED_2BIT]);
    free(groups[SF_QUANTIZED_4BIT]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_that_can_be_a_result_is_in_one_list),
      cmocka_unit_test(no_number_of_threads_changes_a_bit),
      cmocka_unit_test(shards_without_rows_have_no_lists),
      cmocka_unit_test(making_keeps_to_its_memory),
      cmocka_unit_test(a_cancelled_making_ends),
      cmocka_unit_test(every_changed_byte_is_noticed),
      cmocka_unit_test(every_missing_byte_is_noticed),
      cmocka_unit_test(lists_of_another_shard_are_not_read),
      cmocka_unit_test(the_head_is_read_without_the_blocks),
      cmocka_unit_test(numbers_that_contradict_each_other_are_refused),
      cmocka_unit_test(rows_that_a_shard_cannot_have_are_refused),
      cmocka_unit_test(the_nearest_lists_of_all_shards_are_chosen),
      cmocka_unit_test(all_lists_are_chosen_where_more_are_wanted),
      cmocka_unit_test(all_lists_with_whole_errors_are_the_exact_search),
      cmocka_unit_test(some_lists_have_most_of_the_results),
      cmocka_unit_test(rows_have_the_bounds_of_groups),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
