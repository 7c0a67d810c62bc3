/* The threads that run tasks: order, lanes, and how an executor ends. */
#include "async/executor.h"

#include "base/memory.h"
#include "base/thread.h"

#include <cmocka_includes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A task that waits until the test releases it, and notes when it ran. */
typedef struct event {
  sf_task task; /* first: the executor hands it back */
  struct board *on;
  unsigned number;
  bool waits;
  sf_executor *to_release;
} event;

typedef struct board {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  bool is_open;
  unsigned begun;
  unsigned ended;
  unsigned order[64];
} board;

static void board_init(board *made) {
  *made = (board){0};
  assert_int_equal(pthread_mutex_init(&made->mutex, NULL), 0);
  assert_true(sf_condition_init(&made->changed));
}

static void board_destroy(board *of) {
  pthread_cond_destroy(&of->changed);
  pthread_mutex_destroy(&of->mutex);
}

static void run_event(sf_task *task) {
  event *running = (event *)task;
  board *on = running->on;
  pthread_mutex_lock(&on->mutex);
  on->begun++;
  pthread_cond_broadcast(&on->changed);
  while (running->waits && !on->is_open)
    pthread_cond_wait(&on->changed, &on->mutex);
  pthread_mutex_unlock(&on->mutex);
  sf_executor_release(running->to_release);
  pthread_mutex_lock(&on->mutex);
  on->order[on->ended++] = running->number;
  pthread_cond_broadcast(&on->changed);
  pthread_mutex_unlock(&on->mutex);
}

static void await(board *on, const unsigned *counter, unsigned count) {
  pthread_mutex_lock(&on->mutex);
  while (*counter < count)
    pthread_cond_wait(&on->changed, &on->mutex);
  pthread_mutex_unlock(&on->mutex);
}

static void open_board(board *on) {
  pthread_mutex_lock(&on->mutex);
  on->is_open = true;
  pthread_cond_broadcast(&on->changed);
  pthread_mutex_unlock(&on->mutex);
}

static sf_executor *make_executor(uint32_t num_workers, uint32_t num_loaders) {
  sf_executor *executor = NULL;
  assert_int_equal(sf_executor_create(num_workers, num_loaders, &executor, NULL), SF_OK);
  return executor;
}

static void one_thread_runs_tasks_in_the_order_in_which_they_came(void **state) {
  (void)state;
  board on;
  board_init(&on);
  event events[32];
  sf_executor *executor = make_executor(1, 1);
  for (unsigned i = 0; i < 32; i++) {
    events[i] = (event){.task.run = run_event, .on = &on, .number = i, .waits = i == 0};
    assert_true(sf_executor_submit(executor, SF_LANE_SCAN, &events[i].task));
  }
  open_board(&on);
  await(&on, &on.ended, 32);
  for (unsigned i = 0; i < 32; i++)
    assert_int_equal(on.order[i], i);
  sf_executor_release(executor);
  board_destroy(&on);
}

static void a_lane_whose_threads_are_busy_holds_up_no_other(void **state) {
  (void)state;
  board blocked;
  board free_lanes;
  board_init(&blocked);
  board_init(&free_lanes);
  sf_executor *executor = make_executor(1, 1);
  event loads[2];
  for (unsigned i = 0; i < 2; i++) {
    loads[i] = (event){.task.run = run_event, .on = &blocked, .number = i, .waits = true};
    assert_true(sf_executor_submit(executor, SF_LANE_LOAD, &loads[i].task));
  }
  event others[2] = {{.task.run = run_event, .on = &free_lanes}, {.task.run = run_event, .on = &free_lanes}};
  assert_true(sf_executor_submit(executor, SF_LANE_SCAN, &others[0].task));
  assert_true(sf_executor_submit(executor, SF_LANE_CONTROL, &others[1].task));
  await(&free_lanes, &free_lanes.ended, 2);
  assert_int_equal(blocked.ended, 0);
  open_board(&blocked);
  await(&blocked, &blocked.ended, 2);
  sf_executor_release(executor);
  board_destroy(&blocked);
  board_destroy(&free_lanes);
}

static void as_many_tasks_run_at_once_as_the_lane_has_threads(void **state) {
  (void)state;
  board on;
  board_init(&on);
  sf_executor *executor = make_executor(3, 1);
  event events[5];
  assert_int_equal(sf_executor_idle(executor, SF_LANE_SCAN), 3);
  for (unsigned i = 0; i < 5; i++) {
    events[i] = (event){.task.run = run_event, .on = &on, .number = i, .waits = true};
    assert_true(sf_executor_submit(executor, SF_LANE_SCAN, &events[i].task));
  }
  await(&on, &on.begun, 3);
  assert_int_equal(on.begun, 3);
  assert_int_equal(sf_executor_idle(executor, SF_LANE_SCAN), 0);
  open_board(&on);
  await(&on, &on.ended, 5);
  sf_executor_release(executor);
  board_destroy(&on);
}

static void tasks_that_wait_when_the_executor_is_released_still_run(void **state) {
  (void)state;
  board on;
  board_init(&on);
  sf_executor *executor = make_executor(1, 1);
  event events[8];
  for (unsigned i = 0; i < 8; i++) {
    events[i] = (event){.task.run = run_event, .on = &on, .number = i, .waits = i == 0};
    assert_true(sf_executor_submit(executor, SF_LANE_LOAD, &events[i].task));
  }
  await(&on, &on.begun, 1);
  open_board(&on);
  sf_executor_release(executor);
  assert_int_equal(on.ended, 8);
  board_destroy(&on);
}

static void the_last_reference_may_go_on_one_of_its_own_threads(void **state) {
  (void)state;
  for (int lane = 0; lane < SF_NUM_LANES; lane++) {
    board on;
    board_init(&on);
    sf_executor *executor = make_executor(2, 2);
    event events[2] = {
        {.task.run = run_event, .on = &on, .waits = true, .to_release = executor},
        {.task.run = run_event, .on = &on, .number = 1, .waits = true},
    };
    assert_true(sf_executor_submit(executor, (sf_lane)lane, &events[0].task));
    assert_true(sf_executor_submit(executor, (sf_lane)((lane + 1) % SF_NUM_LANES), &events[1].task));
    await(&on, &on.begun, 2);
    open_board(&on);
    await(&on, &on.ended, 2);
    board_destroy(&on);
  }
}

static void threads_are_counted_once_however_often_they_are_used(void **state) {
  (void)state;
  board on;
  board_init(&on);
  sf_executor *executor = make_executor(2, 1);
  for (unsigned i = 0; i < 50; i++) {
    event next = {.task.run = run_event, .on = &on};
    on.ended = 0;
    assert_true(sf_executor_submit(executor, SF_LANE_SCAN, &next.task));
    await(&on, &on.ended, 1);
    assert_true(sf_executor_idle(executor, SF_LANE_SCAN) <= 2);
  }
  sf_executor_release(executor);
  board_destroy(&on);
}

static void a_client_runs_no_more_tasks_at_once_than_it_may(void **state) {
  (void)state;
  board on;
  board_init(&on);
  sf_executor *narrow = make_executor(1, 1);
  sf_executor *wide = make_executor(4, 1);
  event events[6];
  for (unsigned i = 0; i < 6; i++)
    events[i] = (event){.task.run = run_event, .on = &on, .number = i, .waits = true};
  for (unsigned i = 0; i < 3; i++)
    assert_true(sf_executor_submit(narrow, SF_LANE_SCAN, &events[i].task));
  for (unsigned i = 3; i < 6; i++)
    assert_true(sf_executor_submit(wide, SF_LANE_SCAN, &events[i].task));
  await(&on, &on.begun, 4); /* three of the wide one's, and one */
  assert_int_equal(sf_executor_idle(narrow, SF_LANE_SCAN), 0);
  assert_int_equal(on.begun, 4);
  open_board(&on);
  await(&on, &on.ended, 6);
  sf_executor_release(narrow);
  sf_executor_release(wide);
  board_destroy(&on);
}

static void executors_that_share_threads_take_turns(void **state) {
  (void)state;
  board on;
  board_init(&on);
  sf_executor *first = make_executor(1, 1);
  sf_executor *second = make_executor(1, 1);
  event events[12];
  for (unsigned i = 0; i < 12; i++) {
    events[i] = (event){.task.run = run_event, .on = &on, .number = i, .waits = i == 0};
    if (i < 10)
      assert_true(sf_executor_submit(first, SF_LANE_SCAN, &events[i].task));
  }
  await(&on, &on.begun, 1);
  for (unsigned i = 10; i < 12; i++)
    assert_true(sf_executor_submit(second, SF_LANE_SCAN, &events[i].task));
  open_board(&on);
  await(&on, &on.ended, 12);
  unsigned places[12];
  for (unsigned i = 0; i < 12; i++)
    places[on.order[i]] = i;
  assert_true(places[10] <= 2); /* behind what ran, and one more at most */
  assert_true(places[11] <= 4);
  sf_executor_release(first);
  sf_executor_release(second);
  board_destroy(&on);
}

static void a_task_should_yield_when_another_executor_waits_for_its_thread(void **state) {
  (void)state;
  board on;
  board_init(&on);
  sf_executor *busy = make_executor(1, 1);
  sf_executor *waiting = make_executor(1, 1);
  event events[3];
  for (unsigned i = 0; i < 3; i++)
    events[i] = (event){.task.run = run_event, .on = &on, .number = i, .waits = true};
  assert_true(sf_executor_submit(busy, SF_LANE_SCAN, &events[0].task));
  await(&on, &on.begun, 1);
  assert_true(sf_executor_submit(busy, SF_LANE_SCAN, &events[1].task));
  assert_false(sf_executor_should_yield(busy, SF_LANE_SCAN)); /* its own tasks come in their order */
  assert_true(sf_executor_submit(waiting, SF_LANE_SCAN, &events[2].task));
  assert_true(sf_executor_should_yield(busy, SF_LANE_SCAN));
  open_board(&on);
  await(&on, &on.ended, 3);
  sf_executor_release(busy);
  sf_executor_release(waiting);
  board_destroy(&on);
}

static void a_task_that_goes_back_comes_before_the_others_of_its_executor(void **state) {
  (void)state;
  board on;
  board_init(&on);
  event events[4];
  sf_executor *executor = make_executor(1, 1);
  for (unsigned i = 0; i < 4; i++)
    events[i] = (event){.task.run = run_event, .on = &on, .number = i, .waits = i == 0};
  for (unsigned i = 0; i < 3; i++)
    assert_true(sf_executor_submit(executor, SF_LANE_SCAN, &events[i].task));
  await(&on, &on.begun, 1);
  assert_true(sf_executor_resubmit(executor, SF_LANE_SCAN, &events[3].task));
  open_board(&on);
  await(&on, &on.ended, 4);
  assert_int_equal(on.order[1], 3);
  sf_executor_release(executor);
  board_destroy(&on);
}

/* An executor that can load nothing, because all of its loaders wait, leaves threads for others. */
static void an_executor_whose_loads_hang_keeps_no_other_from_loading(void **state) {
  (void)state;
  board hanging;
  board free_one;
  board_init(&hanging);
  board_init(&free_one);
  sf_executor *stuck = make_executor(1, 4);
  sf_executor *other = make_executor(1, 4);
  event loads[8];
  for (unsigned i = 0; i < 8; i++) {
    loads[i] = (event){.task.run = run_event, .on = &hanging, .number = i, .waits = true};
    assert_true(sf_executor_submit(stuck, SF_LANE_LOAD, &loads[i].task));
  }
  await(&hanging, &hanging.begun, 4);
  event load = {.task.run = run_event, .on = &free_one};
  assert_true(sf_executor_submit(other, SF_LANE_LOAD, &load.task));
  await(&free_one, &free_one.ended, 1);
  assert_int_equal(hanging.ended, 0);
  open_board(&hanging);
  await(&hanging, &hanging.ended, 8);
  sf_executor_release(stuck);
  sf_executor_release(other);
  board_destroy(&hanging);
  board_destroy(&free_one);
}

#if defined(__linux__)
typedef struct note {
  event noting; /* first: the executor hands it back */
  int nice;
  sigset_t blocked;
} note;

static void note_thread(sf_task *task) {
  note *noted = (note *)task;
  noted->nice = getpriority(PRIO_PROCESS, 0);
  pthread_sigmask(SIG_BLOCK, NULL, &noted->blocked);
  run_event(task);
}

/* What a thread of that lane is like. */
static note look_at_thread(sf_executor *executor, sf_lane lane) {
  board on;
  board_init(&on);
  note noted = {.noting = {.task.run = note_thread, .on = &on}};
  assert_true(sf_executor_submit(executor, lane, &noted.noting.task));
  await(&on, &on.ended, 1);
  board_destroy(&on);
  return noted;
}

static sf_executor *make_nice_executor(uint32_t nice) {
  sf_executor_options options = SF_EXECUTOR_OPTIONS_INIT;
  sf_executor *executor = NULL;
  options.thread_nice = nice;
  assert_int_equal(sf_executor_create_with(&options, &executor, NULL), SF_OK);
  return executor;
}

static void threads_run_at_the_priority_of_the_process(void **state) {
  (void)state;
  int own = getpriority(PRIO_PROCESS, 0);
  sf_executor *executor = make_executor(1, 1);
  for (int lane = 0; lane < SF_NUM_LANES; lane++)
    assert_int_equal(look_at_thread(executor, (sf_lane)lane).nice, own);
  sf_executor_release(executor);
}

static void an_option_lowers_the_priority_of_its_own_threads_alone(void **state) {
  (void)state;
  int own = getpriority(PRIO_PROCESS, 0);
  sf_executor *equal = make_nice_executor(0);
  sf_executor *lower = make_nice_executor(7);
  assert_int_equal(look_at_thread(lower, SF_LANE_SCAN).nice, own + 7 < 19 ? own + 7 : 19);
  assert_int_equal(look_at_thread(equal, SF_LANE_SCAN).nice, own);
  assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
  sf_executor_release(equal);
  sf_executor_release(lower);
}

typedef struct starter {
  event noting; /* first: the executor hands it back */
  sf_executor *executor;
  event *started;
} starter;

static void start_another(sf_task *task) {
  starter *running = (starter *)task;
  assert_true(sf_executor_submit(running->executor, SF_LANE_SCAN, &running->started->task));
  run_event(task);
}

static void a_thread_that_a_thread_of_lower_priority_starts_is_no_lower(void **state) {
  (void)state;
  board on;
  board_init(&on);
  int own = getpriority(PRIO_PROCESS, 0);
  sf_executor *executor = make_nice_executor(4);
  note noted = {.noting = {.task.run = note_thread, .on = &on}};
  starter starting = {.noting = {.task.run = start_another, .on = &on}, .executor = executor, .started = &noted.noting};
  assert_true(sf_executor_submit(executor, SF_LANE_LOAD, &starting.noting.task));
  await(&on, &on.ended, 2);
  assert_int_equal(noted.nice, own + 4 < 19 ? own + 4 : 19);
  sf_executor_release(executor);
  board_destroy(&on);
}

static void the_environment_may_lower_the_priority(void **state) {
  (void)state;
  sf_error error;
  sf_executor *executor = NULL;
  int own = getpriority(PRIO_PROCESS, 0);
  setenv("SHARDYFUSION_THREAD_NICE", "3", 1);
  executor = make_executor(1, 1);
  assert_int_equal(look_at_thread(executor, SF_LANE_LOAD).nice, own + 3 < 19 ? own + 3 : 19);
  sf_executor_release(executor);
  static const char *const wrong[] = {"20", "-1", "many", "5x"};
  for (size_t i = 0; i < 4; i++) {
    setenv("SHARDYFUSION_THREAD_NICE", wrong[i], 1);
    assert_int_equal(sf_executor_create(1, 1, &executor, &error), SF_CONFIG_VALIDATION_ERROR);
    assert_non_null(strstr(error.message, "SHARDYFUSION_THREAD_NICE"));
    assert_non_null(strstr(error.message, wrong[i]));
  }
  unsetenv("SHARDYFUSION_THREAD_NICE");
}

static void a_nice_value_that_does_not_exist_is_refused(void **state) {
  (void)state;
  sf_error error;
  sf_executor *executor = NULL;
  sf_executor_options options = SF_EXECUTOR_OPTIONS_INIT;
  options.thread_nice = 20;
  assert_int_equal(sf_executor_create_with(&options, &executor, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "thread_nice"));
  options.size = 3;
  assert_int_equal(sf_executor_create_with(&options, &executor, &error), SF_CONFIG_VALIDATION_ERROR);
}

static void threads_block_all_signals(void **state) {
  (void)state;
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE};
  sf_executor *executor = make_executor(1, 1);
  for (int lane = 0; lane < SF_NUM_LANES; lane++) {
    note noted = look_at_thread(executor, (sf_lane)lane);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
      assert_true(sigismember(&noted.blocked, numbers[i]));
  }
  sf_executor_release(executor);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_thread_runs_tasks_in_the_order_in_which_they_came),
    cmocka_unit_test(a_lane_whose_threads_are_busy_holds_up_no_other),
    cmocka_unit_test(as_many_tasks_run_at_once_as_the_lane_has_threads),
    cmocka_unit_test(tasks_that_wait_when_the_executor_is_released_still_run),
    cmocka_unit_test(the_last_reference_may_go_on_one_of_its_own_threads),
    cmocka_unit_test(threads_are_counted_once_however_often_they_are_used),
    cmocka_unit_test(a_client_runs_no_more_tasks_at_once_than_it_may),
    cmocka_unit_test(executors_that_share_threads_take_turns),
    cmocka_unit_test(a_task_should_yield_when_another_executor_waits_for_its_thread),
    cmocka_unit_test(a_task_that_goes_back_comes_before_the_others_of_its_executor),
    cmocka_unit_test(an_executor_whose_loads_hang_keeps_no_other_from_loading),
#if defined(__linux__)
    cmocka_unit_test(threads_run_at_the_priority_of_the_process),
    cmocka_unit_test(an_option_lowers_the_priority_of_its_own_threads_alone),
    cmocka_unit_test(a_thread_that_a_thread_of_lower_priority_starts_is_no_lower),
    cmocka_unit_test(the_environment_may_lower_the_priority),
    cmocka_unit_test(a_nice_value_that_does_not_exist_is_refused),
    cmocka_unit_test(threads_block_all_signals),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
