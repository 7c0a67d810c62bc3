/* Row directories as files of the local cache: kept and mapped again, made again where the file is not whole, made in memory where
 * none can be written, and opened by several threads at once. */
#include "formats/shard_directory.h"

#include "cmocka_includes.h"
#include "temporary_folder.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { NUM_ROWS = 3000, NUM_THREADS = 8 };

/* How often the rows of a shard were read. */
static atomic_int num_reads;
/* Where threads that read wait for one another; NULL: they don't. */
static pthread_barrier_t *meeting;

/* Row r has the id r * 3; every tenth row was deleted. */
static sf_code read_made_up(sf_shard *shard, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                            sf_error *error) {
  (void)shard;
  SF_TRY(sf_cancellation_check(cancellation, error));
  atomic_fetch_add(&num_reads, 1);
  if (meeting != NULL)
    pthread_barrier_wait(meeting);
  for (uint64_t row = 0; row < NUM_ROWS; row++) {
    const sf_row_text id = {.id_type = SF_ID_INTEGER, .id_integer = (int64_t)row * 3};
    if (row % 10 != 9)
      SF_TRY(visitor->visit(visitor, row, &id, error));
  }
  return SF_OK;
}

static const sf_shard_format format = {.name = "integers", .read_rows = read_made_up};
static const sf_vector_segment segment = {.num_rows = NUM_ROWS};

static sf_shard make_shard(void) {
  return (sf_shard){.format = &format, .segments = &segment, .num_segments = 1, .row_span = NUM_ROWS, .content = 5};
}

/* A folder of the cache that is a test's own. */
static sf_cache_place place_of(char path[PATH_SIZE], const char *name) {
  return (sf_cache_place){.cache_dir = path_of(path, name), .db_url = "s3://b/p", .checkpoint_id = "c"};
}

static const char *file_in(const sf_cache_place *place, char path[PATH_SIZE + 32]) {
  snprintf(path, PATH_SIZE + 32, "%s/%s", place->cache_dir, SF_ROW_DIRECTORY_NAME);
  return path;
}

static void assert_finds(sf_shard *shard, const sf_cache_place *place) {
  const sf_row_id ids[] = {{.type = SF_ID_INTEGER, .integer = 3000},
                           {.type = SF_ID_INTEGER, .integer = 3001},
                           {.type = SF_ID_INTEGER, .integer = 27}}; /* of a deleted row */
  uint64_t rows[3];
  assert_int_equal(sf_shard_find_rows(shard, place, ids, 3, rows, NULL, NULL), SF_OK);
  assert_int_equal(rows[0], 1000);
  assert_int_equal(rows[1], SF_NO_ROW);
  assert_int_equal(rows[2], SF_NO_ROW);
}

/* Opens the directory anew, as another process would; how often the rows were read for it. */
static int reads_of_opening(const sf_cache_place *place) {
  sf_shard shard = make_shard();
  int before = atomic_load(&num_reads);
  assert_finds(&shard, place);
  sf_shard_close_directory(&shard);
  return atomic_load(&num_reads) - before;
}

static void a_directory_is_made_once_and_mapped_from_then_on(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_place place = place_of(path, "once");
  assert_int_equal(reads_of_opening(&place), 1);
  assert_int_equal(reads_of_opening(&place), 0);
}

static void a_directory_of_other_rows_is_not_used(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_place place = place_of(path, "other");
  sf_shard changed = make_shard();
  assert_int_equal(reads_of_opening(&place), 1);
  changed.content++;
  int before = atomic_load(&num_reads);
  assert_finds(&changed, &place);
  assert_int_equal(atomic_load(&num_reads) - before, 1);
  sf_shard_close_directory(&changed);
  place.checkpoint_id = "d";
  assert_int_equal(reads_of_opening(&place), 1);
}

/* Cut, and with a bit flipped at some places: the header, the ends, the slots, the last id. */
static void a_corrupt_file_is_replaced(void **state) {
  (void)state;
  char path[PATH_SIZE];
  char file_path[PATH_SIZE + 32];
  sf_cache_place place = place_of(path, "corrupt");
  assert_int_equal(reads_of_opening(&place), 1);
  sf_buffer whole = read_whole_file(file_in(&place, file_path));
  const size_t lengths[] = {0, 1, 127, 128, whole.length / 2, whole.length - 1};
  for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
    write_whole_file(file_path, whole.data, lengths[i]);
    assert_int_equal(reads_of_opening(&place), 1);
    assert_int_equal(reads_of_opening(&place), 0);
  }
  const size_t offsets[] = {3, 20, 100, 128, 128 + NUM_ROWS * 4 + 500, whole.length - 1};
  for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
    whole.data[offsets[i]] ^= 0x10;
    write_whole_file(file_path, whole.data, whole.length);
    whole.data[offsets[i]] ^= 0x10;
    assert_int_equal(reads_of_opening(&place), 1);
    assert_int_equal(reads_of_opening(&place), 0);
  }
  sf_buffer_free(&whole);
}

/* A file where the folder should be: so it is for root, too, whom permissions don't stop. */
static void rows_are_found_where_no_folder_can_be_made(void **state) {
  (void)state;
  char path[PATH_SIZE];
  put_text("file", "");
  sf_cache_place place = place_of(path, "file/shard_00001");
  assert_int_equal(reads_of_opening(&place), 1);
  assert_int_equal(reads_of_opening(&place), 1);
}

static void rows_are_found_where_the_disk_is_full(void **state) {
  (void)state;
  char path[PATH_SIZE];
  char file_path[PATH_SIZE + 32];
  struct rlimit before;
  sf_cache_place place = place_of(path, "full");
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max});
  int reads = reads_of_opening(&place);
  setrlimit(RLIMIT_FSIZE, &before);
  assert_int_equal(reads, 1);
  assert_int_not_equal(access(file_in(&place, file_path), F_OK), 0);
  assert_int_equal(reads_of_opening(&place), 1);
  assert_int_equal(reads_of_opening(&place), 0);
}

static void a_cancelled_caller_keeps_nothing(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cancellation cancellation = {0};
  sf_shard shard = make_shard();
  sf_cache_place place = place_of(path, "cancelled");
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_shard_open_directory(&shard, &place, &cancellation, NULL), SF_CANCELLED_ERROR);
  assert_null(sf_shard_directory(&shard));
  assert_int_equal(reads_of_opening(&place), 1);
}

typedef struct opening {
  sf_shard *shard;
  const sf_cache_place *place;
  const sf_row_directory *seen;
} opening;

static void *open_and_find(void *argument) {
  opening *of = argument;
  assert_finds(of->shard, of->place);
  of->seen = sf_shard_directory(of->shard);
  return NULL;
}

/* `num_shards` shards of the same folder, as of several processes. */
static void open_at_once(const sf_cache_place *place, size_t num_shards) {
  sf_shard shards[NUM_THREADS];
  pthread_t threads[NUM_THREADS];
  opening openings[NUM_THREADS];
  for (size_t i = 0; i < num_shards; i++)
    shards[i] = make_shard();
  for (size_t i = 0; i < NUM_THREADS; i++) {
    openings[i] = (opening){.shard = &shards[i % num_shards], .place = place};
    assert_int_equal(pthread_create(&threads[i], NULL, open_and_find, &openings[i]), 0);
  }
  for (size_t i = 0; i < NUM_THREADS; i++)
    pthread_join(threads[i], NULL);
  for (size_t i = 0; i < NUM_THREADS; i++) {
    assert_non_null(openings[i].seen);
    assert_ptr_equal(openings[i].seen, sf_shard_directory(&shards[i % num_shards]));
  }
  for (size_t i = 0; i < num_shards; i++)
    sf_shard_close_directory(&shards[i]);
}

/* All that wait for the folder's lock map what the first one made, also those of other processes. */
static void a_directory_that_threads_need_at_once_is_made_by_one(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_place place = place_of(path, "threads");
  int before = atomic_load(&num_reads);
  open_at_once(&place, 1);
  assert_int_equal(atomic_load(&num_reads) - before, 1);
  place.checkpoint_id = "others";
  before = atomic_load(&num_reads);
  open_at_once(&place, NUM_THREADS);
  assert_int_equal(atomic_load(&num_reads) - before, 1);
}

/* All read the rows before the first has made what it uses. */
static void threads_that_make_a_directory_in_memory_at_once_use_the_same(void **state) {
  (void)state;
  pthread_barrier_t barrier;
  assert_int_equal(pthread_barrier_init(&barrier, NULL, NUM_THREADS), 0);
  meeting = &barrier;
  open_at_once(&(sf_cache_place){.db_url = "s3://b/p"}, 1);
  meeting = NULL;
  pthread_barrier_destroy(&barrier);
}

static void shards_of_one_folder_can_be_opened_at_once(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_cache_place place = place_of(path, "shards");
  open_at_once(&place, NUM_THREADS);
  open_at_once(&place, 3);
  assert_int_equal(reads_of_opening(&place), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_directory_is_made_once_and_mapped_from_then_on),
      cmocka_unit_test(a_directory_of_other_rows_is_not_used),
      cmocka_unit_test(a_corrupt_file_is_replaced),
      cmocka_unit_test(rows_are_found_where_no_folder_can_be_made),
      cmocka_unit_test(rows_are_found_where_the_disk_is_full),
      cmocka_unit_test(a_cancelled_caller_keeps_nothing),
      cmocka_unit_test(a_directory_that_threads_need_at_once_is_made_by_one),
      cmocka_unit_test(threads_that_make_a_directory_in_memory_at_once_use_the_same),
      cmocka_unit_test(shards_of_one_folder_can_be_opened_at_once),
  };
  return cmocka_run_group_tests_name("row_directory", tests, NULL, NULL);
}
