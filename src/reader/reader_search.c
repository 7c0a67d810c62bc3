/*
 * Searches by a reader: a request is checked, its query converted to float32 and routed to shards, and a search of these
 * shards created (query/search.h). A blocking search runs on the calling thread and others; submitted ones, alone or as a
 * batch, are a group: one activity and one operation, which the last search completes. A batch fails with the error of its
 * lowest failed request.
 *
 * Locks: a group's mutex is held only to count and store; nothing is called with it.
 */
#include "base/options.h"
#include "base/time.h"
#include "query/response_outcome.h"
#include "reader/reader.h"

#include <math.h>

void sf_search_request_init(sf_search_request *request) {
  *request = (sf_search_request)SF_SEARCH_REQUEST_INIT;
}

static sf_code read_request(const sf_search_request *given, sf_search_request *request, sf_error *error) {
  sf_search_request_init(request);
  return sf_options_read(given, SF_SIZE_WITH(sf_search_request, routing_context), request,
                         "search request: expected it", error);
}

/* Reads an element of the caller's array, whose stride is the size of its requests: the caller may have been compiled
 * against a header with more members. */
static sf_code read_request_at(const sf_search_request *requests, size_t index, sf_search_request *request,
                               sf_error *error) {
  const void *element = (const char *)requests + (index == 0 ? 0 : index * requests->size);
  const sf_search_request *given = element;
  SF_TRY(read_request(given, request, error));
  if (given->size == requests->size)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                 "search request %zu: expected the size of the first, %zu, found %zu", index, requests->size,
                 given->size);
}

/* One component at the precision of the stored vectors. */
static float component(const sf_search_request *request, size_t index) {
  if (request->query_type == SF_FLOAT32)
    return ((const float *)request->query)[index];
  return (float)((const double *)request->query)[index];
}

/* The query as `dim` finite float32, for the caller to free. */
static sf_code convert_query(const sf_search_request *request, uint32_t dim, float **converted, sf_error *error) {
  if (request->query == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "query: expected %u components, found none", (unsigned)dim);
  if (request->dim != dim)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "query: expected %u components, found %zu", (unsigned)dim,
                   request->dim);
  if (request->query_type != SF_FLOAT32 && request->query_type != SF_FLOAT64)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "query_type: expected float32 or float64, found %d",
                   (int)request->query_type);
  float *query = sf_calloc(dim, sizeof(*query));
  if (query == NULL)
    return sf_fail_memory(error, "query");
  for (size_t i = 0; i < dim; i++) {
    query[i] = component(request, i);
    if (!isfinite(query[i])) {
      sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "query: expected finite float32 components, found %g at position %zu",
              request->query_type == SF_FLOAT32 ? (double)query[i] : ((const double *)request->query)[i], i);
      free(query);
      return SF_CONFIG_VALIDATION_ERROR;
    }
  }
  *converted = query;
  return SF_OK;
}

static sf_route_request route_request(const sf_search_request *request, const float *query) {
  return (sf_route_request){.query = query,
                            .has_shard_ids = request->has_shard_ids,
                            .shard_ids = request->shard_ids,
                            .num_shard_ids = request->num_shard_ids,
                            .has_num_probes = request->has_num_probes,
                            .num_probes = request->num_probes,
                            .routing_context = request->routing_context};
}

/* Converts and routes; the caller frees both results. */
static sf_code route(const sf_served_snapshot *served, const sf_search_request *request, float **query,
                     uint32_t **shard_ids, size_t *count, sf_error *error) {
  const sf_snapshot *snapshot = sf_served_snapshot_metadata(served);
  SF_TRY(convert_query(request, snapshot->manifest.dim, query, error));
  uint32_t *ids = sf_calloc(snapshot->manifest.num_dbs, sizeof(*ids));
  sf_code code;
  if (ids == NULL)
    code = sf_fail_memory(error, "shard ids");
  else {
    sf_route_request routed = route_request(request, *query);
    code = sf_router_route(snapshot->router, &routed, ids, count, error);
  }
  if (code == SF_OK)
    *shard_ids = ids;
  else {
    free(ids);
    free(*query);
  }
  return code;
}

sf_code sf_reader_route(sf_reader *reader, const sf_search_request *given, uint32_t **shard_ids, size_t *count,
                        sf_error *error) {
  sf_search_request request;
  sf_served_snapshot *served;
  float *query = NULL;
  SF_TRY(read_request(given, &request, error));
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = route(served, &request, &query, shard_ids, count, error);
  if (code == SF_OK)
    free(query);
  sf_served_snapshot_release(served);
  return code;
}

static sf_code create_search(sf_reader *reader, sf_served_snapshot *served, const sf_search_request *request,
                             sf_search **search, sf_error *error) {
  uint64_t started = sf_monotonic_nanoseconds();
  float *query = NULL;
  uint32_t *shard_ids = NULL;
  size_t num_shards = 0;
  if (request->top_k < 1)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "top_k: expected at least 1, found %lld",
                   (long long)request->top_k);
  SF_TRY(route(served, request, &query, &shard_ids, &num_shards, error));
  size_t top_k = (uint64_t)request->top_k < SIZE_MAX ? (size_t)request->top_k : SIZE_MAX;
  const sf_search_params params = {.served = served,
                                   .executor = reader->executor,
                                   .query = query,
                                   .collector = {.kind = SF_COLLECT_TOP_K, .top_k = top_k},
                                   .shard_ids = shard_ids,
                                   .num_shards = num_shards,
                                   .max_concurrency = reader->max_concurrency,
                                   .started = started,
                                   .events = &reader->events};
  sf_code code = sf_search_create(&params, search, error);
  free(query);
  free(shard_ids);
  return code;
}

/* Checks a request and creates its search, on the snapshot that is served now. */
static sf_code prepare(sf_reader *reader, const sf_search_request *given, sf_search **search, sf_error *error) {
  sf_search_request request;
  sf_served_snapshot *served;
  SF_TRY(read_request(given, &request, error));
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = create_search(reader, served, &request, search, error);
  sf_served_snapshot_release(served);
  return code;
}

/* A blocking search as an activity. */
typedef struct running_search {
  sf_activity activity; /* first: the reader passes it to begin_cancel */
  sf_search *search;
} running_search;

static void finish_search_cancel(void *token) {
  sf_search_cancel(token);
  sf_search_release(token);
}

static void *begin_search_cancel(sf_activity *activity) {
  running_search *running = (running_search *)activity;
  sf_search_retain(running->search);
  return running->search;
}

sf_code sf_reader_search(sf_reader *reader, const sf_search_request *request, sf_search_response **response,
                         sf_error *error) {
  running_search running = {.activity = {.begin_cancel = begin_search_cancel, .finish_cancel = finish_search_cancel}};
  SF_TRY(prepare(reader, request, &running.search, error));
  sf_code code = sf_reader_begin_activity(reader, &running.activity, error);
  if (code == SF_OK) {
    code = sf_search_run(running.search, response, error);
    sf_reader_end_activity(reader, &running.activity);
  }
  sf_search_release(running.search);
  return code;
}

/* Searches that were submitted together: one, or a batch. */
typedef struct group {
  sf_activity activity;   /* first: the reader passes it to begin_cancel */
  atomic_uint references; /* of the searches together, of the operation, and of cancellations */
  sf_reader *reader;
  sf_operation *operation;
  bool is_batch;
  pthread_mutex_t mutex; /* guards num_left to responses */
  size_t num_left;
  size_t first_failure; /* the lowest index of a search that failed */
  sf_code code;
  sf_error error;
  sf_search_response **responses; /* count of them */
  size_t count;
  struct member *members; /* count of them; their searches live as long as the group */
} group;

typedef struct member {
  group *of;
  sf_search *search;
} member;

static void release_group(void *released) {
  group *of = released;
  if (atomic_fetch_sub_explicit(&of->references, 1, memory_order_acq_rel) != 1)
    return;
  for (size_t i = 0; i < of->count; i++) {
    if (of->members[i].search != NULL)
      sf_search_release(of->members[i].search);
    if (of->responses != NULL)
      sf_search_response_free(of->responses[i]);
  }
  pthread_mutex_destroy(&of->mutex);
  free(of->members);
  free(of->responses);
  free(of);
}

static void cancel_group(void *cancelled) {
  group *of = cancelled;
  for (size_t i = 0; i < of->count; i++)
    sf_search_cancel(of->members[i].search);
}

static void *begin_group_cancel(sf_activity *activity) {
  group *of = (group *)activity;
  atomic_fetch_add_explicit(&of->references, 1, memory_order_relaxed);
  return of;
}

static void finish_group_cancel(void *token) {
  cancel_group(token);
  release_group(token);
}

/* After the last search ended. */
static void complete_group(group *of) {
  sf_outcome outcome = {0};
  if (of->code == SF_OK && of->is_batch) {
    outcome = sf_search_responses_outcome(of->responses, of->count);
    of->responses = NULL;
  } else if (of->code == SF_OK) {
    outcome = sf_search_response_outcome(of->responses[0]);
    of->responses[0] = NULL;
  }
  sf_operation_complete(of->operation, of->code, &of->error, &outcome);
  if (of->count > 0) /* an empty batch never was an activity */
    sf_reader_end_activity(of->reader, &of->activity);
  release_group(of);
}

static void member_done(void *context, sf_code code, const sf_error *error, sf_search_response *response) {
  member *done = context;
  group *of = done->of;
  size_t index = (size_t)(done - of->members);
  pthread_mutex_lock(&of->mutex);
  of->responses[index] = response;
  if (code != SF_OK && (of->code == SF_OK || index < of->first_failure)) {
    of->first_failure = index;
    of->code = code;
    of->error = *error;
  }
  bool is_last = --of->num_left == 0;
  pthread_mutex_unlock(&of->mutex);
  if (is_last)
    complete_group(of);
}

static sf_code create_group(sf_reader *reader, size_t count, group **created, sf_error *error) {
  group *made = sf_calloc(1, sizeof(*made));
  if (made == NULL || pthread_mutex_init(&made->mutex, NULL) != 0) {
    free(made);
    return sf_fail_memory(error, "searches");
  }
  atomic_init(&made->references, 1);
  made->activity = (sf_activity){.begin_cancel = begin_group_cancel, .finish_cancel = finish_group_cancel};
  made->reader = reader;
  made->members = sf_calloc(count, sizeof(*made->members));
  made->responses = sf_calloc(count, sizeof(sf_search_response *));
  if (made->members == NULL || made->responses == NULL) {
    release_group(made);
    return sf_fail_memory(error, "searches");
  }
  made->count = count;
  made->num_left = count;
  *created = made;
  return SF_OK;
}

/* Creates the searches, all on one snapshot. */
static sf_code prepare_members(sf_reader *reader, const sf_search_request *requests, group *to, sf_error *error) {
  sf_served_snapshot *served;
  SF_TRY(sf_reader_acquire_served(reader, &served, error));
  sf_code code = SF_OK;
  for (size_t i = 0; i < to->count && code == SF_OK; i++) {
    sf_search_request request;
    to->members[i].of = to;
    code = read_request_at(requests, i, &request, error);
    if (code == SF_OK)
      code = create_search(reader, served, &request, &to->members[i].search, error);
  }
  sf_served_snapshot_release(served);
  return code;
}

static void start_group(group *started) {
  if (started->count == 0) {
    complete_group(started);
    return;
  }
  atomic_fetch_add_explicit(&started->references, 1, memory_order_relaxed);
  for (size_t i = 0; i < started->count; i++)
    sf_search_start(started->members[i].search, member_done, &started->members[i]);
  release_group(started);
}

static sf_code submit_group(sf_reader *reader, const sf_search_request *requests, size_t count, bool is_batch,
                            sf_completion_queue *queue, void *user_data, sf_operation **operation, sf_error *error) {
  group *submitted = NULL;
  SF_TRY(sf_reader_check_process(reader, error));
  SF_TRY(create_group(reader, count, &submitted, error));
  submitted->is_batch = is_batch;
  sf_code code = prepare_members(reader, requests, submitted, error);
  if (code == SF_OK)
    code = sf_operation_create(queue, user_data, &submitted->operation, error);
  if (code == SF_OK && count > 0) {
    code = sf_reader_begin_activity(reader, &submitted->activity, error);
    if (code != SF_OK)
      sf_operation_discard(submitted->operation);
  }
  if (code != SF_OK) {
    release_group(submitted);
    return code;
  }
  atomic_fetch_add_explicit(&submitted->references, 1, memory_order_relaxed); /* for the operation */
  sf_operation_on_cancel(submitted->operation, cancel_group, release_group, submitted);
  *operation = submitted->operation;
  start_group(submitted);
  return SF_OK;
}

sf_code sf_reader_search_submit(sf_reader *reader, const sf_search_request *request, sf_completion_queue *queue,
                                void *user_data, sf_operation **operation, sf_error *error) {
  return submit_group(reader, request, 1, false, queue, user_data, operation, error);
}

sf_code sf_reader_batch_search_submit(sf_reader *reader, const sf_search_request *requests, size_t count,
                                      sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                      sf_error *error) {
  return submit_group(reader, requests, count, true, queue, user_data, operation, error);
}

sf_code sf_reader_batch_search(sf_reader *reader, const sf_search_request *requests, size_t count,
                               sf_search_response **responses, sf_error *error) {
  sf_operation *operation;
  SF_TRY(sf_reader_batch_search_submit(reader, requests, count, NULL, NULL, &operation, error));
  sf_operation_wait(operation, -1);
  sf_code code = sf_operation_result(operation, error);
  if (code == SF_OK)
    sf_operation_take_responses(operation, responses, count);
  sf_operation_release(operation);
  return code;
}
