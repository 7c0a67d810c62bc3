#include "storage/s3/fetch.h"

#include <inttypes.h>
#include <string.h>

#define MAX_PARTS ((uint64_t)1 << 20)
#define MAX_RESTARTS 4

typedef struct fetching fetching;

/* A place for a part under way. */
typedef struct place {
  sf_s3_sink sink; /* first: the sink is the place */
  fetching *owner;
  sf_s3_request request;
  sf_s3_call call;
  uint64_t index; /* of the part */
  bool is_used;
} place;

/* One fetch, on one version of the object. */
struct fetching {
  sf_s3_fetch *fetch;
  sf_s3_client *client;
  sf_waiter *waiter;
  sf_s3_request head_request;
  sf_s3_call head;
  bool has_plan; /* the head has answered: what follows is known */
  char *etag;
  uint64_t part_size;
  uint64_t num_parts;
  uint64_t next_part;
  uint8_t *arrived;      /* one for each part */
  uint64_t num_in_order; /* parts that have arrived, and all before them */
  uint64_t bytes_arrived;
  place *places;
  size_t num_places;
  bool is_outdated; /* the object was replaced */
};

static bool write_part(sf_s3_sink *sink, uint64_t offset, const uint8_t *bytes, size_t length) {
  place *written = (place *)sink;
  sf_s3_fetch *fetch = written->owner->fetch;
  uint64_t start = written->request.range_first - fetch->first;
  return fetch->write(fetch, start + offset, bytes, length, &sink->error);
}

/* Starts part `index`, of which the first one begins before there is a plan. */
static void start_part(fetching *state, place *used, uint64_t index) {
  sf_s3_fetch *fetch = state->fetch;
  uint64_t offset = index * state->part_size;
  uint64_t limit = state->has_plan ? fetch->size : fetch->length;
  uint64_t length = limit - offset < state->part_size ? limit - offset : state->part_size;
  used->sink = (sf_s3_sink){.write = write_part};
  used->owner = state;
  used->index = index;
  used->is_used = true;
  used->request = (sf_s3_request){
      .method = "GET",
      .key = fetch->key,
      .range_first = fetch->first + offset,
      .range_length = length,
      .if_match = state->etag,
      .max_body = SIZE_MAX,
      .sink = &used->sink,
      .is_bulk = true,
  };
  sf_s3_call_init(&used->call, state->client, &used->request, state->waiter);
}

static void stop_part(place *used) {
  if (used->is_used)
    sf_s3_call_clear(&used->call);
  used->is_used = false;
}

static sf_code begin(fetching *state, sf_error *error) {
  state->num_places = state->client->settings.max_connections;
  state->places = sf_calloc(state->num_places, sizeof(*state->places));
  if (state->places == NULL)
    return sf_fail_memory(error, "parts of an S3 object");
  state->part_size = SF_S3_PART_SIZE;
  state->head_request =
      (sf_s3_request){.method = "HEAD", .key = state->fetch->key, .wants_checksum = true, .may_hedge = true};
  sf_s3_call_init(&state->head, state->client, &state->head_request, state->waiter);
  start_part(state, &state->places[0], 0);
  state->next_part = 1;
  return SF_OK;
}

static void release(fetching *state) {
  for (size_t i = 0; i < state->num_places && state->places != NULL; i++)
    stop_part(&state->places[i]);
  sf_s3_call_clear(&state->head);
  free(state->places);
  free(state->arrived);
  free(state->etag);
}

/* ----------------------------------------------------------------------------------------------------------- The plan */

static sf_code size_of_wanted(fetching *state, sf_error *error) {
  sf_s3_fetch *fetch = state->fetch;
  uint64_t object_size = state->head.object_size;
  if (!state->head.has_object_size)
    return sf_fail(error, SF_ERROR, "s3://%s/%s: the store does not say how large it is", state->client->bucket,
                   fetch->key);
  if (fetch->length != UINT64_MAX && (fetch->first > object_size || fetch->length > object_size - fetch->first))
    return sf_fail(error, SF_ERROR,
                   "s3://%s/%s: expected %" PRIu64 " bytes at offset %" PRIu64 ", found %" PRIu64 " in all",
                   state->client->bucket, fetch->key, fetch->length, fetch->first, object_size);
  fetch->size = fetch->length != UINT64_MAX ? fetch->length : object_size - fetch->first;
  return SF_OK;
}

/* The first part was begun in good faith. One of another length than the plan has, or of a version that can't be named, is
 * begun anew. */
static void fit_first_part(fetching *state) {
  if (state->part_size == SF_S3_PART_SIZE && state->etag != NULL && state->num_parts > 0)
    return;
  stop_part(&state->places[0]);
  state->next_part = 0;
}

static sf_code make_plan(fetching *state, sf_error *error) {
  sf_s3_fetch *fetch = state->fetch;
  fetch->found = state->head.verdict == SF_S3_SUCCESS;
  if (!fetch->found)
    return SF_OK;
  SF_TRY(size_of_wanted(state, error));
  fetch->checksum = state->head.checksum;
  if (!sf_s3_copy_text(&state->etag, state->head.etag))
    return sf_fail_memory(error, "ETag");
  /* Without an ETag, parts could be of different versions: all in one then. */
  if (state->etag == NULL)
    state->part_size = fetch->size > 0 ? fetch->size : 1;
  else if (fetch->size >= SF_S3_LARGE_OBJECT)
    state->part_size = SF_S3_LARGE_PART_SIZE;
  state->num_parts = fetch->size / state->part_size + (fetch->size % state->part_size != 0);
  if (state->num_parts > MAX_PARTS)
    return sf_fail(error, SF_ERROR, "s3://%s/%s: %" PRIu64 " bytes are more than can be fetched", state->client->bucket,
                   fetch->key, fetch->size);
  state->arrived = sf_calloc((size_t)state->num_parts, 1);
  if (state->arrived == NULL)
    return sf_fail_memory(error, "parts of an S3 object");
  state->has_plan = true;
  fit_first_part(state);
  return SF_OK;
}

/* ----------------------------------------------------------------------------------------------------------- The parts */

static bool is_of_this_version(const fetching *state, const sf_s3_call *call) {
  return state->etag == NULL || call->etag == NULL || strcmp(state->etag, call->etag) == 0;
}

static uint64_t length_of_part(const fetching *state, uint64_t index) {
  uint64_t left = state->fetch->size - index * state->part_size;
  return left < state->part_size ? left : state->part_size;
}

static sf_code finish_part(fetching *state, place *used, sf_error *error) {
  const sf_s3_call *call = &used->call;
  if (call->code != SF_OK)
    return sf_fail(error, call->code, "%s", call->error.message);
  if (call->verdict != SF_S3_SUCCESS || !is_of_this_version(state, call) ||
      call->received != length_of_part(state, used->index)) {
    state->is_outdated = true;
    return SF_OK;
  }
  state->arrived[used->index] = 1;
  state->bytes_arrived += length_of_part(state, used->index);
  stop_part(used);
  if (state->fetch->arrived != NULL)
    state->fetch->arrived(state->fetch, state->bytes_arrived);
  return SF_OK;
}

static sf_code advance(fetching *state, const sf_cancellation *cancellation, sf_error *error) {
  uint64_t before = state->num_in_order;
  while (state->num_in_order < state->num_parts && state->arrived[state->num_in_order] != 0)
    state->num_in_order++;
  if (state->num_in_order == before || state->fetch->advance == NULL)
    return SF_OK;
  uint64_t length = state->num_in_order * state->part_size;
  if (length > state->fetch->size)
    length = state->fetch->size;
  return state->fetch->advance(state->fetch, length, cancellation, error);
}

static sf_code step_parts(fetching *state, uint64_t *wake_at, sf_error *error) {
  for (size_t i = 0; i < state->num_places; i++) {
    place *used = &state->places[i];
    if (!used->is_used && state->has_plan && state->next_part < state->num_parts)
      start_part(state, used, state->next_part++);
    if (!used->is_used || !sf_s3_call_step(&used->call, wake_at) || !state->has_plan)
      continue;
    SF_TRY(finish_part(state, used, error));
    if (state->is_outdated)
      return SF_OK;
    *wake_at = 0; /* the place is free: at once again */
  }
  return SF_OK;
}

static sf_code step_head(fetching *state, uint64_t *wake_at, sf_error *error) {
  if (state->has_plan || !sf_s3_call_step(&state->head, wake_at))
    return SF_OK;
  if (state->head.code != SF_OK)
    return sf_fail(error, state->head.code, "%s", state->head.error.message);
  *wake_at = 0;
  return make_plan(state, error);
}

static bool is_over(const fetching *state) {
  return state->is_outdated || (state->head.is_over && !state->fetch->found) ||
         (state->has_plan && state->num_in_order == state->num_parts);
}

static sf_code drive(fetching *state, const sf_cancellation *cancellation, sf_error *error) {
  SF_TRY(begin(state, error));
  while (true) {
    uint64_t wake_at = UINT64_MAX;
    SF_TRY(sf_cancellation_check(cancellation, error));
    SF_TRY(step_head(state, &wake_at, error));
    if (!is_over(state))
      SF_TRY(step_parts(state, &wake_at, error));
    if (state->has_plan && !state->is_outdated)
      SF_TRY(advance(state, cancellation, error));
    if (is_over(state))
      return SF_OK;
    if (wake_at > 0)
      sf_waiter_wait_or_cancelled(state->waiter, wake_at);
  }
}

sf_code sf_s3_fetch_run(sf_s3_client *client, sf_s3_fetch *fetch, const sf_cancellation *cancellation,
                        sf_error *error) {
  SF_TRY(sf_http_client_check_process(client->http, error));
  for (unsigned restart = 0; restart < MAX_RESTARTS; restart++) {
    sf_waiter waiter;
    SF_TRY(sf_waiter_init(&waiter, cancellation, error));
    fetching state = {.fetch = fetch, .client = client, .waiter = &waiter};
    sf_code code = fetch->advance != NULL ? fetch->advance(fetch, 0, cancellation, error) : SF_OK;
    if (code == SF_OK)
      code = drive(&state, cancellation, error);
    bool is_outdated = state.is_outdated;
    release(&state);
    sf_waiter_destroy(&waiter);
    if (code != SF_OK || !is_outdated)
      return code;
  }
  return sf_fail(error, SF_S3_TRANSIENT_ERROR, "s3://%s/%s: replaced again and again while it was read", client->bucket,
                 fetch->key);
}
