/* The threads that run tasks: order, lanes, and how an executor ends. */
#include "reader/executor.h"

#include "base/memory.h"
#include "base/thread.h"

#include <cmocka_includes.h>
#include <sys/resource.h>

/* A task that waits to be let go, and notes when it ran. */
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

#if defined(__linux__)
typedef struct priority_note {
  event noting; /* first: the executor hands it back */
  int nice;
} priority_note;

static void note_priority(sf_task *task) {
  ((priority_note *)task)->nice = getpriority(PRIO_PROCESS, 0);
  run_event(task);
}

static void its_threads_give_way_to_the_programs_own(void **state) {
  (void)state;
  int own = getpriority(PRIO_PROCESS, 0);
  for (int lane = 0; lane < SF_NUM_LANES; lane++) {
    board on;
    board_init(&on);
    sf_executor *executor = make_executor(1, 1);
    priority_note note = {.noting = {.task.run = note_priority, .on = &on}};
    assert_true(sf_executor_submit(executor, (sf_lane)lane, &note.noting.task));
    await(&on, &on.ended, 1);
    assert_int_equal(note.nice, own + 10 < 19 ? own + 10 : 19);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
    sf_executor_release(executor);
    board_destroy(&on);
  }
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
#if defined(__linux__)
    cmocka_unit_test(its_threads_give_way_to_the_programs_own),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
