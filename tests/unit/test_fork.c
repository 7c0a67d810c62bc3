/* What a process inherits over a fork: nothing of it works, and nothing of it hangs. */
#include "cache/cache_folder.h"
#include "support/reader_fixture.h"
#include "support/scratch.h"

#include <cmocka_includes.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

/* All that the child inherits. */
typedef struct inheritance {
  const reader_fixture *fixture;
  sf_reader *reader;
  sf_executor *executor;
  sf_completion_queue *queue;
  sf_operation *under_way;
  sf_operation *finished;
} inheritance;

/* In the child, where a failed assertion can't be reported: its status is the line. */
#define CHECK(holds)                                                                                                   \
  do {                                                                                                                 \
    if (!(holds))                                                                                                      \
      _exit(__LINE__ % 255 + 1);                                                                                       \
  } while (0)

static void check_reader_calls(const inheritance *from) {
  sf_search_request request = fixture_request(from->fixture, 0);
  sf_search_response *response;
  sf_operation *operation;
  sf_snapshot_info *info;
  sf_shard_detail *details;
  sf_health *health;
  uint32_t *ids;
  size_t count;
  bool changed;
  sf_error error;
  CHECK(sf_reader_search(from->reader, &request, &response, &error) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_search_submit(from->reader, &request, NULL, NULL, &operation, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_batch_search(from->reader, &request, 1, &response, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_batch_search_submit(from->reader, &request, 1, NULL, NULL, &operation, NULL) ==
        SF_READER_STATE_ERROR);
  const sf_fetch_request fetch = SF_FETCH_REQUEST_INIT;
  const sf_count_request counted = SF_COUNT_REQUEST_INIT;
  uint64_t num_rows;
  CHECK(sf_reader_fetch(from->reader, &fetch, &response, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_fetch_submit(from->reader, &fetch, NULL, NULL, &operation, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_count(from->reader, &counted, &num_rows, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_count_submit(from->reader, &counted, NULL, NULL, &operation, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_route(from->reader, &request, &ids, &count, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_refresh(from->reader, &changed, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_refresh_submit(from->reader, NULL, NULL, &operation, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_snapshot_info(from->reader, &info, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_shard_details(from->reader, &details, &count, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_health(from->reader, -1, &health, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_close(from->reader, -1, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_close_submit(from->reader, -1, NULL, NULL, &operation, NULL) == SF_READER_STATE_ERROR);
}

static void check_operations(const inheritance *from) {
  sf_error error;
  CHECK(!sf_operation_is_done(from->under_way));
  CHECK(!sf_operation_wait(from->under_way, -1));
  CHECK(sf_operation_result(from->finished, &error) == SF_READER_STATE_ERROR);
  CHECK(sf_operation_take_response(from->finished) == NULL);
  CHECK(sf_completion_queue_pop(from->queue) == NULL);
  CHECK(sf_completion_queue_wait(from->queue, -1) == NULL);
  sf_operation_cancel(from->under_way);
  sf_operation_release(from->under_way);
  sf_operation_release(from->finished);
}

/* An executor and a queue of the parent's are of no use to a reader of the child's either. */
static void check_own_reader(const inheritance *from) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_search_request request = fixture_request(from->fixture, 0);
  sf_search_response *response;
  sf_operation *operation;
  sf_reader *reader;
  options.cache_dir = from->fixture->cache_dir;
  options.executor = from->executor;
  CHECK(sf_reader_open(from->fixture->root, &options, &reader, NULL) == SF_READER_STATE_ERROR);
  options.executor = NULL;
  CHECK(sf_reader_open_submit(from->fixture->root, &options, from->executor, NULL, NULL, &operation, NULL) ==
        SF_READER_STATE_ERROR);
  CHECK(sf_reader_open_submit(from->fixture->root, &options, NULL, from->queue, NULL, &operation, NULL) ==
        SF_READER_STATE_ERROR);
  CHECK(sf_reader_open(from->fixture->root, &options, &reader, NULL) == SF_OK);
  CHECK(sf_reader_search_submit(reader, &request, from->queue, NULL, &operation, NULL) == SF_READER_STATE_ERROR);
  CHECK(sf_reader_search(reader, &request, &response, NULL) == SF_OK);
  CHECK(fixture_answers(from->fixture, 0, 0, response));
  sf_search_response_free(response);
  sf_reader_free(reader);
}

/* The child's own threads, not counting this one; the last of them may just be ending. */
static bool has_other_threads(void) {
  DIR *tasks = opendir("/proc/self/task");
  size_t count = 0;
  for (const struct dirent *next; tasks != NULL && (next = readdir(tasks)) != NULL;)
    count += next->d_name[0] != '.';
  if (tasks != NULL)
    closedir(tasks);
  return count > 1;
}

static void run_child(const inheritance *from) {
  signal(SIGALRM, SIG_DFL);
  alarm(60); /* ends the child where a call hangs */
  check_reader_calls(from);
  check_operations(from);
  check_own_reader(from);
  while (has_other_threads()) /* until the alarm */
    sched_yield();
  sf_reader_free(from->reader);
  sf_executor_release(from->executor);
  sf_completion_queue_free(from->queue);
  _exit(0);
}

static inheritance leave(const reader_fixture *fixture) {
  inheritance left = {.fixture = fixture};
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  assert_int_equal(sf_executor_create(2, 2, &left.executor, NULL), SF_OK);
  assert_int_equal(sf_completion_queue_create(&left.queue, NULL), SF_OK);
  options.executor = left.executor;
  left.reader = fixture_open(fixture, &options);
  sf_search_request request = fixture_request(fixture, 1);
  request.num_shard_ids = 1;
  assert_int_equal(sf_reader_search_submit(left.reader, &request, left.queue, NULL, &left.finished, NULL), SF_OK);
  assert_true(sf_operation_wait(left.finished, -1));
  for (size_t shard = 0; shard < 3; shard++) { /* so that shard 3 alone has still to be loaded */
    sf_search_response *response = NULL;
    request.shard_ids = fixture->shard_ids + shard;
    assert_int_equal(sf_reader_search(left.reader, &request, &response, NULL), SF_OK);
    sf_search_response_free(response);
  }
  request.shard_ids = fixture->shard_ids;
  gate_shut("db=00003");
  request.num_shard_ids = FIXTURE_SHARDS;
  assert_int_equal(sf_reader_search_submit(left.reader, &request, left.queue, NULL, &left.under_way, NULL), SF_OK);
  gate_await_waiting(1);
  return left;
}

/* The child of a fork finds the locks of the address sanitizer's allocator as the threads that it does not have left them. */
#if defined(__SANITIZE_ADDRESS__)
enum { ALLOCATOR_CAN_BE_FORKED = 0 };
#elif defined(__has_feature)
enum { ALLOCATOR_CAN_BE_FORKED = !__has_feature(address_sanitizer) };
#else
enum { ALLOCATOR_CAN_BE_FORKED = 1 };
#endif

static void a_child_can_use_nothing_of_its_parents_and_hangs_nowhere(void **state) {
  if (!ALLOCATOR_CAN_BE_FORKED)
    skip();
  inheritance left = leave(*state);
  /* As if another thread had been in the middle of a call. */
  pthread_mutex_lock(&left.reader->mutex);
  pid_t child = fork();
  if (child == 0)
    run_child(&left);
  pthread_mutex_unlock(&left.reader->mutex);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  /* The parent has not lost a thing, its wake-up included. */
  struct pollfd polled = {.fd = sf_completion_queue_fd(left.queue), .events = POLLIN};
  assert_int_equal(poll(&polled, 1, 0), 1);
  assert_ptr_equal(sf_completion_queue_pop(left.queue), left.finished);
  gate_open();
  assert_ptr_equal(sf_completion_queue_wait(left.queue, -1), left.under_way);
  sf_search_response *response = sf_operation_take_response(left.under_way);
  assert_true(fixture_answers(left.fixture, 0, 1, response));
  sf_search_response_free(response);
  sf_operation_release(left.finished);
  sf_operation_release(left.under_way);
  sf_reader_free(left.reader);
  sf_executor_release(left.executor);
  sf_completion_queue_free(left.queue);
}

typedef struct busy_searcher {
  const reader_fixture *fixture;
  sf_reader *reader;
  atomic_bool stop;
  atomic_uint failed;
} busy_searcher;

static void *search_on(void *argument) {
  busy_searcher *busy = argument;
  while (!atomic_load(&busy->stop)) {
    sf_search_request request = fixture_request(busy->fixture, 0);
    sf_search_response *response = NULL;
    if (sf_reader_search(busy->reader, &request, &response, NULL) != SF_OK)
      atomic_fetch_add(&busy->failed, 1);
    sf_search_response_free(response);
  }
  return NULL;
}

static void search_in_child(const reader_fixture *fixture) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_search_request request = fixture_request(fixture, 0);
  sf_search_response *response;
  sf_reader *reader;
  signal(SIGALRM, SIG_DFL);
  alarm(60);
  options.cache_dir = fixture->cache_dir;
  CHECK(sf_reader_open(fixture->root, &options, &reader, NULL) == SF_OK);
  CHECK(sf_reader_search(reader, &request, &response, NULL) == SF_OK);
  CHECK(fixture_answers(fixture, 0, 0, response));
  _exit(0);
}

/* SQLite's global locks among others: some thread is in one of them at most moments. */
static void a_child_of_a_process_that_searches_opens_a_reader_of_its_own(void **state) {
  enum { NUM_THREADS = 3, NUM_FORKS = 60 };
  if (!ALLOCATOR_CAN_BE_FORKED)
    skip();
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  busy_searcher busy = {.fixture = *state, .reader = fixture_open(*state, &options)};
  pthread_t threads[NUM_THREADS];
  for (int i = 0; i < NUM_THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, search_on, &busy), 0);
  for (int i = 0; i < NUM_FORKS; i++) {
    pid_t child = fork();
    if (child == 0)
      search_in_child(*state);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
  }
  atomic_store(&busy.stop, true);
  for (int i = 0; i < NUM_THREADS; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(busy.failed, 0);
  sf_reader_free(busy.reader);
}

static void a_lock_of_the_cache_is_given_back_although_a_child_has_inherited_it(void **state) {
  const reader_fixture *fixture = *state;
  sf_cache_folder folder;
  bool found;
  int ends[2];
  char byte;
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(sf_cache_folder_open(fixture->cache_dir, true, &found, &folder, NULL), SF_OK);
  assert_int_equal(sf_cache_folder_lock(&folder, "url", NULL, NULL, NULL), SF_OK);
  pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    _exit((int)read(ends[0], &byte, 1)); /* lives until the parent is done */
  }
  sf_cache_folder_close(&folder);
  char *path = scratch_path(fixture->cache_dir, "shard.lock");
  int lock = open(path, O_RDWR);
  assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
  close(lock);
  close(ends[0]);
  close(ends[1]);
  assert_int_equal(waitpid(child, NULL, 0), child);
  free(path);
}

static int set_up(void **state) {
  *state = fixture_make(8, 20);
  return 0;
}

static int tear_down(void **state) {
  fixture_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_child_can_use_nothing_of_its_parents_and_hangs_nowhere, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_child_of_a_process_that_searches_opens_a_reader_of_its_own, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_lock_of_the_cache_is_given_back_although_a_child_has_inherited_it, set_up,
                                      tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
