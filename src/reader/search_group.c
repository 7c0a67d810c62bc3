#include "reader/search_group.h"

#include "query/response.h"

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

sf_code sf_search_run_as_activity(sf_reader *reader, sf_search *search, sf_search_response **response,
                                  sf_error *error) {
  running_search running = {.activity = {.begin_cancel = begin_search_cancel, .finish_cancel = finish_search_cancel},
                            .search = search};
  sf_code code = sf_reader_begin_activity(reader, &running.activity, error);
  if (code == SF_OK) {
    code = sf_search_run(search, response, error);
    sf_reader_end_activity(reader, &running.activity);
  }
  sf_search_release(search);
  return code;
}

/* Searches that were submitted together: one, or a batch. */
typedef struct group {
  sf_activity activity;   /* first: the reader passes it to begin_cancel */
  atomic_uint references; /* of the searches together, of the operation, and of cancellations */
  sf_reader *reader;
  sf_operation *operation;
  sf_search_group_kind kind;
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
  if (of->code == SF_OK && of->kind == SF_GROUP_COUNT)
    outcome = sf_row_count_outcome(sf_search_response_num_matching(of->responses[0]));
  else if (of->code == SF_OK && of->kind == SF_GROUP_BATCH) {
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

/* Takes the searches over where it succeeds. */
static sf_code create_group(sf_reader *reader, sf_search *const *searches, size_t count, group **created,
                            sf_error *error) {
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
  for (size_t i = 0; i < count; i++)
    made->members[i] = (member){.of = made, .search = searches[i]};
  *created = made;
  return SF_OK;
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

sf_code sf_search_group_submit(sf_reader *reader, sf_search *const *searches, size_t count, sf_search_group_kind kind,
                               sf_completion_queue *queue, void *user_data, sf_operation **operation, sf_error *error) {
  group *submitted = NULL;
  sf_code code = create_group(reader, searches, count, &submitted, error);
  if (code != SF_OK) {
    for (size_t i = 0; i < count; i++)
      sf_search_release(searches[i]);
    return code;
  }
  submitted->kind = kind;
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
