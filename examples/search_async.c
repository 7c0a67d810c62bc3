/*
 * Asynchronous searches: every operation is submitted and arrives at one completion queue, whose descriptor is polled.
 *
 *     search_async ROOT
 *
 * searches for the unit vectors of the first axes, cancels one search, checks for a newer snapshot, and closes.
 */
#include <shardyfusion.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUM_QUERIES = 8, TO_CANCEL = 5 };

static void fail(sf_code code, const sf_error *error) {
  fprintf(stderr, "%s: %s\n", sf_code_name(code), error->message);
  exit(1);
}

/* Waits for the next operation to finish. A program that waits for other descriptors too would poll all of them here. */
static sf_operation *next_finished(sf_completion_queue *queue) {
  struct pollfd polled = {.fd = sf_completion_queue_fd(queue), .events = POLLIN};
  sf_operation *operation;
  while ((operation = sf_completion_queue_pop(queue)) == NULL) /* after NULL the descriptor is not readable */
    if (poll(&polled, 1, -1) < 0)
      perror("poll");
  return operation;
}

static sf_reader *open_reader(const char *root, sf_completion_queue *queue) {
  sf_operation *operation;
  sf_error error;
  sf_code code = sf_reader_open_submit(root, NULL, NULL, queue, NULL, &operation, &error);
  if (code == SF_OK)
    code = sf_operation_result(next_finished(queue), &error);
  if (code != SF_OK)
    fail(code, &error);
  sf_reader *reader = sf_operation_take_reader(operation);
  sf_operation_release(operation);
  return reader;
}

static size_t dim_of(sf_reader *reader) {
  sf_snapshot_info *info;
  sf_error error;
  sf_code code = sf_reader_snapshot_info(reader, &info, &error);
  if (code != SF_OK)
    fail(code, &error);
  size_t dim = info->dim;
  sf_free(info);
  return dim;
}

/* The request must be valid only until submit returns. The user data is the query's number. */
static sf_operation *submit_search(sf_reader *reader, size_t dim, size_t *number, sf_completion_queue *queue) {
  float *query = calloc(dim, sizeof(*query));
  if (query == NULL)
    exit(1);
  query[*number % dim] = 1;
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = query;
  request.dim = dim;
  request.top_k = 3;
  sf_operation *operation;
  sf_error error;
  sf_code code = sf_reader_search_submit(reader, &request, queue, number, &operation, &error);
  free(query);
  if (code != SF_OK)
    fail(code, &error);
  return operation;
}

static void print_search(sf_operation *operation) {
  const size_t *number = sf_operation_user_data(operation);
  sf_error error;
  sf_code code = sf_operation_result(operation, &error);
  if (code == SF_CANCELLED_ERROR) {
    printf("query %zu: cancelled\n", *number);
    return;
  }
  if (code != SF_OK)
    fail(code, &error);
  sf_search_response *response = sf_operation_take_response(operation);
  printf("query %zu:", *number);
  for (size_t i = 0; i < sf_search_response_count(response); i++) {
    const sf_search_result *result = sf_search_response_result(response, i);
    if (result->id_type == SF_ID_INTEGER)
      printf(" %lld (%.6f)", (long long)result->id_integer, result->score);
    else
      printf(" %s (%.6f)", result->id_string, result->score);
  }
  printf("\n");
  sf_search_response_free(response);
}

static void search_all(sf_reader *reader, sf_completion_queue *queue) {
  size_t numbers[NUM_QUERIES];
  size_t dim = dim_of(reader);
  for (size_t i = 0; i < NUM_QUERIES; i++) {
    numbers[i] = i;
    sf_operation *operation = submit_search(reader, dim, &numbers[i], queue);
    if (i == TO_CANCEL)
      sf_operation_cancel(operation); /* it still arrives: cancelled, or finished if the request came too late */
  }
  for (size_t i = 0; i < NUM_QUERIES; i++) {
    sf_operation *operation = next_finished(queue);
    print_search(operation);
    sf_operation_release(operation);
  }
}

static void refresh(sf_reader *reader, sf_completion_queue *queue) {
  sf_operation *operation;
  sf_error error;
  sf_code code = sf_reader_refresh_submit(reader, queue, NULL, &operation, &error);
  if (code == SF_OK)
    code = sf_operation_result(next_finished(queue), &error);
  if (code != SF_OK)
    fail(code, &error);
  printf("refresh: %s\n", sf_operation_refresh_changed(operation) ? "a newer snapshot" : "nothing new");
  sf_operation_release(operation);
}

static void close_reader(sf_reader *reader, sf_completion_queue *queue) {
  sf_operation *operation;
  sf_error error;
  sf_code code = sf_reader_close_submit(reader, 1000, queue, NULL, &operation, &error);
  if (code == SF_OK)
    code = sf_operation_result(next_finished(queue), &error);
  if (code != SF_OK)
    fail(code, &error);
  sf_operation_release(operation);
  sf_reader_free(reader);
  printf("closed\n");
}

int main(int argc, char **argv) {
  sf_completion_queue *queue;
  sf_error error;
  sf_code code = sf_completion_queue_create(&queue, &error);
  if (code != SF_OK)
    fail(code, &error);
  sf_reader *reader = open_reader(argc > 1 ? argv[1] : "examples/words/snapshot", queue);
  search_all(reader, queue);
  refresh(reader, queue);
  close_reader(reader, queue);
  sf_completion_queue_free(queue);
  return 0;
}
