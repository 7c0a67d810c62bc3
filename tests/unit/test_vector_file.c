#include "cache/vector_file.h"

#include "cache/vector_layout.h"
#include "cmocka_includes.h"
#include "random.h"
#include "temporary_folder.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#define DIM 3
#define NUM_ROWS 70

static const sf_vector_file_identity identity = {.db_url = "s3://bucket/p/shard",
                                                 .checkpoint_id = "c",
                                                 .source_size = 4096,
                                                 .source_modified = 17,
                                                 .dim = DIM,
                                                 .metric = SF_METRIC_COSINE};

static void fill(float *vectors, int64_t *row_ids) {
  for (int i = 0; i < NUM_ROWS; i++) {
    const float row[DIM] = {(float)i, -1, 0.25F};
    memcpy(vectors + i * DIM, row, sizeof(row));
    row_ids[i] = i * 10 - 100;
  }
}

static const char *file_path(void) {
  static char path[PATH_SIZE];
  return path_of(path, SF_VECTOR_FILE_NAME);
}

static const sf_folder *folder(void) {
  static sf_folder opened;
  bool found;
  if (opened.path == NULL)
    assert_int_equal(sf_folder_open(use_temporary_folder(), false, &found, &opened, NULL), SF_OK);
  return &opened;
}

/* Writes the rows from the last to the first, in two pieces. */
static void write_file(const float *vectors, const int64_t *row_ids) {
  sf_vector_file_writer *writer;
  sf_error error = {0};
  const size_t first = 40;
  assert_int_equal(sf_vector_file_create(folder(), SF_VECTOR_FILE_NAME, &identity, NUM_ROWS, &writer, &error), SF_OK);
  assert_int_equal(
      sf_vector_file_write_rows(writer, first, vectors + first * DIM, row_ids + first, NUM_ROWS - first, &error),
      SF_OK);
  assert_int_equal(sf_vector_file_write_rows(writer, 0, vectors, row_ids, first, &error), SF_OK);
  assert_int_equal(sf_vector_file_finish(writer, &error), SF_OK);
}

static bool is_usable(const sf_vector_file_identity *of) {
  bool usable = true;
  sf_vector_file file;
  assert_int_equal(sf_vector_file_map(folder(), SF_VECTOR_FILE_NAME, of, &usable, &file, NULL), SF_OK);
  if (!usable)
    assert_null(file.mapping);
  sf_vector_file_unmap(&file);
  return usable;
}

static void what_was_written_is_mapped(void **state) {
  (void)state;
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  fill(vectors, row_ids);
  vectors[5 * DIM] = NAN;
  vectors[69 * DIM + 2] = -INFINITY;
  memset(vectors + 6 * DIM, 0, DIM * sizeof(float));
  write_file(vectors, row_ids);
  bool usable;
  sf_vector_file file;
  assert_int_equal(sf_vector_file_map(folder(), SF_VECTOR_FILE_NAME, &identity, &usable, &file, NULL), SF_OK);
  assert_true(usable);
  assert_memory_equal(file.segment.vectors, vectors, sizeof(vectors));
  assert_memory_equal(file.row_ids, row_ids, sizeof(row_ids));
  assert_int_equal(file.segment.num_rows, NUM_ROWS);
  assert_int_equal(file.num_not_finite, 2);
  for (size_t i = 0; i < NUM_ROWS; i++) {
    bool not_finite = i == 5 || i == 69;
    assert_int_equal(file.segment.excluded[i / 8] >> (i % 8) & 1, not_finite);
    if (not_finite)
      continue;
    const float *row = vectors + i * DIM;
    double norm = sqrt((double)row[0] * row[0] + (double)row[1] * row[1] + (double)row[2] * row[2]);
    assert_true(fabs(file.segment.inverse_norms[i] - (norm > 0 ? 1 / norm : 0)) < 1e-6);
    assert_true(file.segment.max_norm >= norm);
  }
  sf_vector_file_unmap(&file);
}

static void where_all_rows_are_finite_there_is_no_bitmap(void **state) {
  (void)state;
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  fill(vectors, row_ids);
  write_file(vectors, row_ids);
  bool usable;
  sf_vector_file file;
  assert_int_equal(sf_vector_file_map(folder(), SF_VECTOR_FILE_NAME, &identity, &usable, &file, NULL), SF_OK);
  assert_true(usable);
  assert_null(file.segment.excluded);
  sf_vector_file_unmap(&file);
}

static void vectors_that_are_worth_it_are_quantized(void **state) {
  (void)state;
  enum { LONG_DIM = 40, MANY_ROWS = 700 };
  static float vectors[MANY_ROWS * LONG_DIM];
  static int64_t row_ids[MANY_ROWS];
  uint64_t random = random_seed(1);
  for (size_t i = 0; i < MANY_ROWS * LONG_DIM; i++)
    vectors[i] = random_component(&random);
  vectors[LONG_DIM] = NAN;
  sf_vector_file_identity of = identity;
  of.dim = LONG_DIM;
  for (of.metric = SF_METRIC_COSINE; of.metric <= SF_METRIC_DOT_PRODUCT; of.metric++) {
    sf_vector_file_writer *writer;
    sf_vector_file file;
    bool usable;
    float centre[LONG_DIM];
    uint8_t groups[SF_QUANTIZED_KINDS][1024];
    uint8_t *const made[SF_QUANTIZED_KINDS] = {groups[0], groups[1]};
    assert_int_equal(sf_vector_file_create(folder(), SF_VECTOR_FILE_NAME, &of, MANY_ROWS, &writer, NULL), SF_OK);
    assert_int_equal(sf_vector_file_write_rows(writer, 0, vectors, row_ids, MANY_ROWS, NULL), SF_OK);
    assert_int_equal(sf_vector_file_finish(writer, NULL), SF_OK);
    assert_int_equal(sf_vector_file_map(folder(), SF_VECTOR_FILE_NAME, &of, &usable, &file, NULL), SF_OK);
    assert_true(usable);
    const sf_quantized *quantized = &file.segment.quantized;
    assert_int_equal(quantized->metric, of.metric);
    sf_quantized_choose_centre(vectors, MANY_ROWS, LONG_DIM, of.metric, centre);
    assert_memory_equal(quantized->centre, centre, sizeof(centre));
    for (size_t row = 0; row < MANY_ROWS; row += SF_QUANTIZED_GROUP_ROWS) {
      size_t left = MANY_ROWS - row;
      sf_quantized_make_groups(vectors + row * LONG_DIM,
                               left < SF_QUANTIZED_GROUP_ROWS ? left : SF_QUANTIZED_GROUP_ROWS, LONG_DIM, of.metric,
                               centre, made);
      for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
        size_t size = (size_t)sf_quantized_group_size(kind, LONG_DIM, of.metric);
        assert_true(size <= sizeof(groups[kind]));
        assert_memory_equal(quantized->groups[kind] + row / SF_QUANTIZED_GROUP_ROWS * size, groups[kind], size);
      }
    }
    sf_vector_file_unmap(&file);
  }
}

static void no_rows_make_a_file_too(void **state) {
  (void)state;
  sf_vector_file_writer *writer;
  assert_int_equal(sf_vector_file_create(folder(), SF_VECTOR_FILE_NAME, &identity, 0, &writer, NULL), SF_OK);
  assert_int_equal(sf_vector_file_finish(writer, NULL), SF_OK);
  bool usable;
  sf_vector_file file;
  assert_int_equal(sf_vector_file_map(folder(), SF_VECTOR_FILE_NAME, &identity, &usable, &file, NULL), SF_OK);
  assert_true(usable);
  assert_int_equal(file.segment.num_rows, 0);
  sf_vector_file_unmap(&file);
}

static void a_file_of_another_identity_is_not_used(void **state) {
  (void)state;
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  fill(vectors, row_ids);
  write_file(vectors, row_ids);
  assert_true(is_usable(&identity));
  sf_vector_file_identity others[7];
  for (size_t i = 0; i < 7; i++)
    others[i] = identity;
  others[0].db_url = "s3://bucket/p/shard2";
  others[1].checkpoint_id = NULL;
  others[2].checkpoint_id = "d";
  others[3].source_size++;
  others[4].source_modified--;
  others[5].dim++;
  others[6].metric = SF_METRIC_L2;
  for (size_t i = 0; i < 7; i++)
    assert_false(is_usable(&others[i]));
  sf_vector_file_identity moved = identity; /* the same characters, divided elsewhere */
  moved.db_url = "s3://bucket/p/shar";
  moved.checkpoint_id = "dc";
  assert_false(is_usable(&moved));
}

static void a_damaged_file_is_not_used(void **state) {
  (void)state;
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  fill(vectors, row_ids);
  write_file(vectors, row_ids);
  sf_buffer bytes = read_whole_file(file_path());
  for (size_t i = 0; i < bytes.length; i += i < sizeof(sf_vector_file_header) ? 1 : 61) {
    bytes.data[i] ^= (uint8_t)(1u << (i % 8));
    write_whole_file(file_path(), bytes.data, bytes.length);
    if (is_usable(&identity))
      fail_msg("byte %zu was flipped, and the file used", i);
    bytes.data[i] ^= (uint8_t)(1u << (i % 8));
  }
  write_whole_file(file_path(), bytes.data, bytes.length);
  assert_true(is_usable(&identity));
  sf_buffer_free(&bytes);
}

static void a_file_of_another_length_is_not_used(void **state) {
  (void)state;
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  fill(vectors, row_ids);
  vectors[0] = NAN;
  write_file(vectors, row_ids);
  sf_buffer bytes = read_whole_file(file_path());
  sf_vector_layout layout;
  assert_true(sf_vector_layout_compute(NUM_ROWS, DIM, SF_METRIC_COSINE, true, &layout));
  assert_int_equal(bytes.length, layout.file_size);
  const uint64_t boundaries[] = {
      0, 1, 256, layout.vectors, layout.norms, layout.row_ids, layout.excluded, layout.file_size};
  for (size_t i = 0; i < sizeof(boundaries) / sizeof(boundaries[0]); i++)
    for (int64_t offset = -1; offset <= 1; offset++) {
      int64_t length = (int64_t)boundaries[i] + offset;
      if (length < 0 || length > (int64_t)layout.file_size)
        continue;
      write_whole_file(file_path(), bytes.data, (size_t)length);
      assert_int_equal(is_usable(&identity), length == (int64_t)layout.file_size);
    }
  assert_true(sf_buffer_append(&bytes, "", 1));
  write_whole_file(file_path(), bytes.data, bytes.length);
  assert_false(is_usable(&identity));
  sf_buffer_free(&bytes);
}

static void what_is_no_file_is_not_used(void **state) {
  (void)state;
  unlink(file_path());
  assert_false(is_usable(&identity));
  mkdir(file_path(), 0777);
  assert_false(is_usable(&identity));
  rmdir(file_path());
  assert_int_equal(mkfifo(file_path(), 0666), 0); /* and does not wait for a writer */
  assert_false(is_usable(&identity));
  unlink(file_path());
}

static void a_file_given_up_leaves_nothing(void **state) {
  (void)state;
  sf_vector_file_writer *writer;
  char path[PATH_SIZE];
  assert_int_equal(sf_vector_file_create(folder(), SF_VECTOR_FILE_NAME, &identity, NUM_ROWS, &writer, NULL), SF_OK);
  sf_vector_file_abandon(writer);
  assert_int_not_equal(access(path_of(path, SF_VECTOR_FILE_NAME ".tmp"), F_OK), 0);
  assert_int_not_equal(access(file_path(), F_OK), 0);
  sf_vector_file_abandon(NULL);
}

static void what_a_killed_writer_left_is_overwritten(void **state) {
  (void)state;
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  fill(vectors, row_ids);
  char garbage[20000];
  memset(garbage, 'x', sizeof(garbage));
  put_file(SF_VECTOR_FILE_NAME ".tmp", garbage, sizeof(garbage));
  write_file(vectors, row_ids);
  assert_true(is_usable(&identity));
}

/* A new file is put in its place: a process that has the old one mapped keeps it, and a link's target is not changed. */
static void what_lies_in_the_way_is_replaced_and_never_written_to(void **state) {
  (void)state;
  char path[PATH_SIZE];
  char target[PATH_SIZE];
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  fill(vectors, row_ids);
  path_of(target, "target");
  for (int i = 0; i < 3; i++) {
    put_text("target", "kept");
    path_of(path, i == 0 ? SF_VECTOR_FILE_NAME : SF_VECTOR_FILE_NAME ".tmp");
    unlink(path);
    assert_int_equal(i < 2 ? symlink(target, path) : link(target, path), 0);
    write_file(vectors, row_ids);
    assert_true(is_usable(&identity));
    sf_buffer text = read_whole_file(target);
    assert_string_equal((const char *)text.data, "kept");
    sf_buffer_free(&text);
  }
}

static void a_link_to_a_vector_file_is_not_followed(void **state) {
  (void)state;
  char target[PATH_SIZE];
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  fill(vectors, row_ids);
  write_file(vectors, row_ids);
  assert_int_equal(rename(file_path(), path_of(target, "elsewhere")), 0);
  assert_int_equal(symlink(target, file_path()), 0);
  assert_false(is_usable(&identity));
  unlink(file_path());
}

/* The limit of a file's size stands for a disk that is full: nothing of the file is left. */
static void a_file_without_room_is_named_with_what_it_needs(void **state) {
  (void)state;
  sf_vector_file_writer *writer;
  sf_error error;
  struct rlimit before;
  char path[PATH_SIZE];
  unlink(file_path());
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max});
  sf_code code = sf_vector_file_create(folder(), SF_VECTOR_FILE_NAME, &identity, NUM_ROWS, &writer, &error);
  setrlimit(RLIMIT_FSIZE, &before);
  assert_int_equal(code, SF_ERROR);
  assert_non_null(strstr(error.message, path_of(path, SF_VECTOR_FILE_NAME ".tmp")));
  assert_int_not_equal(access(path, F_OK), 0);
}

static void no_descriptors_left_is_no_missing_file(void **state) {
  (void)state;
  float vectors[NUM_ROWS * DIM];
  int64_t row_ids[NUM_ROWS];
  sf_error error;
  bool usable;
  sf_vector_file file;
  struct rlimit before;
  fill(vectors, row_ids);
  write_file(vectors, row_ids);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max});
  sf_code code = sf_vector_file_map(folder(), SF_VECTOR_FILE_NAME, &identity, &usable, &file, &error);
  setrlimit(RLIMIT_NOFILE, &before);
  assert_int_equal(code, SF_POOL_EXHAUSTED_ERROR);
  assert_true(error.retryable);
  assert_non_null(strstr(error.message, "ulimit -n"));
}

static void rows_that_fit_no_memory_are_refused(void **state) {
  (void)state;
  static const uint64_t counts[] = {UINT64_MAX, UINT64_MAX / 12, (uint64_t)1 << 60, (uint64_t)INT64_MAX / 12 + 1};
  sf_vector_layout layout;
  for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
    sf_vector_file_writer *writer;
    assert_false(sf_vector_layout_compute(counts[i], DIM, SF_METRIC_COSINE, true, &layout));
    assert_int_equal(sf_vector_file_create(folder(), SF_VECTOR_FILE_NAME, &identity, counts[i], &writer, NULL),
                     SF_DB_ADAPTER_ERROR);
  }
}

static void sections_are_aligned_and_do_not_overlap(void **state) {
  (void)state;
  for (uint64_t i = 0; i < 200; i++) {
    uint64_t rows = i % 2 == 0 ? i
                               : 65536 / (DIM * sizeof(float)) + i -
                                     100; /* without quantized vectors, about the fewest with them */
    sf_vector_layout layout;
    assert_true(sf_vector_layout_compute(rows, DIM, SF_METRIC_COSINE, true, &layout));
    assert_int_equal(layout.vectors, 4096);
    assert_int_equal(layout.norms % 64 + layout.row_ids % 64 + layout.excluded % 64, 0);
    assert_true(layout.norms >= layout.vectors + rows * DIM * 4);
    assert_true(layout.row_ids >= layout.norms + rows * 4);
    uint64_t end = layout.row_ids + rows * 8;
    assert_int_equal(layout.has_quantized, rows * DIM * sizeof(float) >= 65536);
    if (layout.has_quantized) {
      assert_int_equal(layout.centre % 64 + layout.groups[0] % 64 + layout.groups[1] % 64, 0);
      assert_true(layout.centre >= end);
      end = layout.centre + DIM * sizeof(float);
      for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
        assert_true(layout.groups[kind] >= end);
        end = layout.groups[kind] + (rows + 15) / 16 * sf_quantized_group_size(kind, DIM, SF_METRIC_COSINE);
      }
    }
    assert_true(layout.excluded >= end);
    assert_int_equal(layout.file_size, layout.excluded + (rows + 7) / 8);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_written_is_mapped),
      cmocka_unit_test(where_all_rows_are_finite_there_is_no_bitmap),
      cmocka_unit_test(vectors_that_are_worth_it_are_quantized),
      cmocka_unit_test(no_rows_make_a_file_too),
      cmocka_unit_test(a_file_of_another_identity_is_not_used),
      cmocka_unit_test(a_damaged_file_is_not_used),
      cmocka_unit_test(a_file_of_another_length_is_not_used),
      cmocka_unit_test(what_is_no_file_is_not_used),
      cmocka_unit_test(a_file_given_up_leaves_nothing),
      cmocka_unit_test(what_a_killed_writer_left_is_overwritten),
      cmocka_unit_test(what_lies_in_the_way_is_replaced_and_never_written_to),
      cmocka_unit_test(a_link_to_a_vector_file_is_not_followed),
      cmocka_unit_test(a_file_without_room_is_named_with_what_it_needs),
      cmocka_unit_test(no_descriptors_left_is_no_missing_file),
      cmocka_unit_test(rows_that_fit_no_memory_are_refused),
      cmocka_unit_test(sections_are_aligned_and_do_not_overlap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
