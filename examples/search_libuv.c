/*
 * Searches from a libuv loop: one uv_poll handle on the completion queue's descriptor serves all operations of any number
 * of readers. Keeps several searches in flight; a timer checks for newer snapshots.
 *
 *     search_libuv ROOT [QUERIES]
 */
#include <shardyfusion.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { IN_FLIGHT = 16, REFRESH_MS = 10 };

typedef struct app {
  uv_loop_t loop;
  uv_poll_t poll;
  uv_timer_t timer;
  sf_completion_queue *queue;
  sf_reader *reader;
  size_t dim;
  size_t num_queries;
  size_t num_submitted;
  size_t num_finished;
  size_t num_in_flight; /* operations of all kinds */
  bool is_closing;
} app;

/* The user data of an operation: what to do when it has finished. */
typedef struct task {
  app *of;
  void (*finished)(struct task *task, sf_operation *operation);
  size_t number;
} task;

static void check(sf_code code, const sf_error *error) {
  if (code == SF_OK)
    return;
  fprintf(stderr, "%s: %s\n", sf_code_name(code), error->message);
  exit(1);
}

static task *make_task(app *of, void (*finished)(task *done, sf_operation *operation)) {
  task *made = calloc(1, sizeof(*made));
  if (made == NULL)
    exit(1);
  *made = (task){.of = of, .finished = finished};
  of->num_in_flight++;
  return made;
}

static void keep_searching(app *of);

static void print_search(task *done, sf_operation *operation) {
  sf_search_response *response = sf_operation_take_response(operation);
  printf("query %zu:", done->number);
  for (size_t i = 0; i < sf_search_response_count(response); i++) {
    const sf_search_result *result = sf_search_response_result(response, i);
    if (result->id_type == SF_ID_INTEGER)
      printf(" %lld (%.6f)", (long long)result->id_integer, result->score);
    else
      printf(" %s (%.6f)", result->id_string, result->score);
  }
  printf("\n");
  sf_search_response_free(response);
  done->of->num_finished++;
  keep_searching(done->of);
}

/* Searches for the unit vector of an axis. */
static void submit_search(app *of) {
  task *searching = make_task(of, print_search);
  float *query = calloc(of->dim, sizeof(*query));
  if (query == NULL)
    exit(1);
  searching->number = of->num_submitted++;
  query[searching->number % of->dim] = 1;
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = query;
  request.dim = of->dim;
  request.top_k = 3;
  sf_operation *operation; /* the queue returns it: no need to keep it */
  sf_error error;
  check(sf_reader_search_submit(of->reader, &request, of->queue, searching, &operation, &error), &error);
  free(query);
}

static void reader_closed(task *done, sf_operation *operation) {
  (void)operation;
  app *of = done->of;
  sf_reader_free(of->reader);
  uv_close((uv_handle_t *)&of->poll, NULL);
  uv_close((uv_handle_t *)&of->timer, NULL);
}

static void keep_searching(app *of) {
  while (of->num_submitted < of->num_queries && of->num_submitted - of->num_finished < IN_FLIGHT)
    submit_search(of);
}

static bool is_finished(const app *of) {
  return of->num_finished == of->num_queries;
}

static void close_reader(app *of) {
  sf_operation *operation;
  sf_error error;
  check(sf_reader_close_submit(of->reader, 1000, of->queue, make_task(of, reader_closed), &operation, &error), &error);
}

static void refreshed(task *done, sf_operation *operation) {
  (void)done;
  if (sf_operation_refresh_changed(operation))
    fprintf(stderr, "serving a newer snapshot\n");
}

/* Starts a refresh. Searches in flight continue on the snapshot on which they began. */
static void refresh(uv_timer_t *timer) {
  app *of = timer->data;
  sf_operation *operation;
  sf_error error;
  if (is_finished(of))
    return;
  check(sf_reader_refresh_submit(of->reader, of->queue, make_task(of, refreshed), &operation, &error), &error);
}

static void reader_opened(task *done, sf_operation *operation) {
  app *of = done->of;
  sf_snapshot_info *info;
  sf_error error;
  of->reader = sf_operation_take_reader(operation);
  check(sf_reader_snapshot_info(of->reader, &info, &error), &error);
  of->dim = info->dim;
  sf_free(info);
  uv_timer_start(&of->timer, refresh, REFRESH_MS, REFRESH_MS);
  keep_searching(of);
}

/* The descriptor is readable: pops finished operations until the queue is empty and the descriptor is not readable. */
static void drain(uv_poll_t *poll, int status, int events) {
  (void)events;
  app *of = poll->data;
  if (status < 0) {
    fprintf(stderr, "poll: %s\n", uv_strerror(status));
    exit(1);
  }
  for (sf_operation *operation; (operation = sf_completion_queue_pop(of->queue)) != NULL;) {
    task *done = sf_operation_user_data(operation);
    sf_error error;
    check(sf_operation_result(operation, &error), &error);
    of->num_in_flight--;
    done->finished(done, operation);
    sf_operation_release(operation);
    free(done);
  }
  if (is_finished(of) && of->num_in_flight == 0 && !of->is_closing) {
    of->is_closing = true;
    close_reader(of);
  }
}

int main(int argc, char **argv) {
  static app of;
  const char *root = argc > 1 ? argv[1] : "examples/words/snapshot";
  sf_operation *operation;
  sf_error error;
  of.num_queries = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
  check(sf_completion_queue_create(&of.queue, &error), &error);
  of.poll.data = of.timer.data = &of;
  if (uv_loop_init(&of.loop) != 0 || uv_timer_init(&of.loop, &of.timer) != 0 ||
      uv_poll_init(&of.loop, &of.poll, sf_completion_queue_fd(of.queue)) != 0 ||
      uv_poll_start(&of.poll, UV_READABLE, drain) != 0) {
    fprintf(stderr, "can't set up the loop\n");
    return 1;
  }
  check(sf_reader_open_submit(root, NULL, NULL, of.queue, make_task(&of, reader_opened), &operation, &error), &error);
  uv_run(&of.loop, UV_RUN_DEFAULT);
  uv_loop_close(&of.loop);
  sf_completion_queue_free(of.queue);
  fprintf(stderr, "%zu searches, %zu operations left\n", of.num_finished, of.num_in_flight);
  return of.num_in_flight == 0 ? 0 : 1;
}
