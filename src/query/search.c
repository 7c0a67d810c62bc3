#include "query/search.h"

#include "base/json_text.h"
#include "base/thread.h"
#include "base/time.h"
#include "query/merge.h"
#include "query/scan_task.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Searches for more results than this scan alone: what a company of searches holds in memory stays small. */
#define MAX_SHARED_TOP_K 1024

/* One shard of the search. */
typedef struct slot {
  sf_shard_waiter waiter; /* first: the cache hands it back */
  sf_scan_position place; /* on the board while it has slices to take, for others to take along */
  sf_search *search;
  sf_shard *shard; /* lent by the cache, until given back */
  uint32_t db_id;
  uint32_t num_out; /* slices being scanned */
  bool is_waiting;  /* the cache will call the waiter */
  bool has_winners; /* rows of it were among the winners: its shard stays until their ids are fetched */
  size_t segment;   /* where the next slice begins */
  size_t row;
  struct slot *next;     /* in the list of ready slots, or of those to give back */
  struct slot *previous; /* in the list of ready slots */
} slot;

/* What events tell of a slot. */
typedef struct slot_record {
  uint64_t lent;     /* when its shard was there to scan, and when that was done; sf_monotonic_nanoseconds */
  uint64_t finished; /* 0: not yet */
  uint64_t num_rows; /* of the shard, as are those that are not finite, as far as is known when that was done */
  uint64_t num_not_finite;
} slot_record;

struct sf_search {
  atomic_uint references;
  sf_cancellation cancellation;
  sf_served_snapshot *cache; /* holds a reference until the search ends */
  sf_executor *executor;
  sf_query_vector query_vector;
  float *query; /* dim components, and as many for the scaled query behind them */
  size_t num_slots;
  size_t max_in_flight;
  uint64_t started;
  const sf_event_listener *events;
  slot_record *records; /* of each slot; NULL where nobody listens */
  sf_search_callback done;
  void *context;
  pthread_mutex_t mutex;   /* guards all below, and the slots */
  pthread_cond_t changed;  /* for sf_search_run: there is something to scan, or the search has ended */
  atomic_uint num_changes; /* changed with the mutex held */
  size_t next_slot;        /* the first that was not started yet */
  size_t num_in_flight;    /* slots that were started and are not finished */
  size_t num_helpers;      /* threads that scan */
  size_t num_tickets;      /* threads that were asked to */
  slot *first_ready;       /* slots with slices to take */
  slot *last_ready;
  slot *to_give; /* slots whose shards go back to the cache once the mutex is free */
  sf_merge winners;
  sf_pruning_threshold limit; /* needs no mutex */
  bool has_started;
  bool is_blocking;       /* a thread is in sf_search_run */
  bool is_caller_waiting; /* that thread waits for something to scan, or is about to scan */
  bool is_ending;         /* somebody completes it */
  bool has_ended;
  sf_code code;
  sf_error error;
  sf_search_response *response;
  slot slots[];
};

/* A thread's part in a search. */
typedef struct ticket {
  sf_task task; /* first: the executor hands it back */
  sf_search *search;
} ticket;

/* What one thread scans at a time. */
typedef struct slice {
  slot *of;
  const sf_vector_segment *segment;
  size_t begin;
  size_t end;
} slice;

void sf_search_retain(sf_search *search) {
  atomic_fetch_add_explicit(&search->references, 1, memory_order_relaxed);
}

void sf_search_release(sf_search *search) {
  if (atomic_fetch_sub_explicit(&search->references, 1, memory_order_acq_rel) != 1)
    return;
  if (search->cache != NULL)
    sf_served_snapshot_release(search->cache);
  sf_pruning_threshold_free(&search->limit);
  sf_search_response_free(search->response);
  sf_merge_free(&search->winners);
  pthread_cond_destroy(&search->changed);
  pthread_mutex_destroy(&search->mutex);
  free(search->query);
  free(search->records);
  free(search);
}

static void shard_loaded(sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error);

static void init_slots(sf_search *search, const sf_search_params *source) {
  const sf_manifest *manifest = &sf_served_snapshot_metadata(source->cache)->manifest;
  for (size_t i = 0; i < source->num_shards; i++)
    if (manifest->shards[source->shard_ids[i]].db_url != NULL)
      search->slots[search->num_slots++] =
          (slot){.waiter.loaded = shard_loaded, .search = search, .db_id = source->shard_ids[i]};
  search->max_in_flight = source->max_concurrency == 0 ? search->num_slots : source->max_concurrency;
}

sf_code sf_search_create(const sf_search_params *source, sf_search **created, sf_error *error) {
  const sf_manifest *manifest = &sf_served_snapshot_metadata(source->cache)->manifest;
  /* The number of shards is a manifest's, which bounds it. */
  sf_search *search = sf_calloc(1, sizeof(*search) + source->num_shards * sizeof(slot));
  if (search == NULL || !sf_pruning_threshold_init(&search->limit, source->top_k, INFINITY)) {
    free(search);
    return sf_fail_memory(error, "search");
  }
  if ((search->query = sf_calloc((size_t)manifest->dim * 2, sizeof(float))) == NULL ||
      (sf_event_has_callback(source->events) &&
       (search->records = sf_calloc(source->num_shards, sizeof(slot_record))) == NULL) ||
      pthread_mutex_init(&search->mutex, NULL) != 0 || !sf_condition_init(&search->changed)) {
    sf_pruning_threshold_free(&search->limit);
    free(search->query);
    free(search->records);
    free(search);
    return sf_fail_memory(error, "search");
  }
  atomic_init(&search->references, 1);
  memcpy(search->query, source->query, manifest->dim * sizeof(float));
  /* Which convention is for each shard to say; what depends on the query alone does not depend on it. */
  sf_query_vector_init(&search->query_vector, search->query, manifest->dim,
                       manifest->metric == SF_METRIC_COSINE ? SF_SCORE_COSINE : SF_SCORE_SQUARED_L2,
                       search->query + manifest->dim);
  search->cache = source->cache;
  sf_served_snapshot_retain(search->cache);
  search->executor = source->executor;
  search->started = source->started;
  search->events = source->events;
  search->winners.top_k = source->top_k;
  init_slots(search, source);
  *created = search;
  return SF_OK;
}

/* From here to the next line of this kind: with the mutex held. ------------------------------------------------- */

/* Lets other searches see where the slot's next slice begins. */
static void show_place(const sf_search *search, slot *shown) {
  if (search->winners.top_k <= MAX_SHARED_TOP_K)
    sf_scan_registry_put(sf_served_snapshot_scans(search->cache), shown->db_id, &shown->place, shown->segment,
                         shown->row);
}

static void push_ready(sf_search *search, slot *ready) {
  ready->next = NULL;
  ready->previous = search->last_ready;
  *(search->last_ready != NULL ? &search->last_ready->next : &search->first_ready) = ready;
  search->last_ready = ready;
  show_place(search, ready);
}

static void remove_ready(sf_search *search, slot *removed) {
  *(removed->previous != NULL ? &removed->previous->next : &search->first_ready) = removed->next;
  *(removed->next != NULL ? &removed->next->previous : &search->last_ready) = removed->previous;
  sf_scan_registry_remove(sf_served_snapshot_scans(search->cache), removed->db_id, &removed->place);
}

/* Puts a shard that was lent on the list of those to give back. */
static void give_later(sf_search *search, slot *given) {
  if (given->shard == NULL)
    return;
  given->next = search->to_give;
  search->to_give = given;
}

static bool has_slices(const slot *of) {
  return of->shard != NULL && of->segment < of->shard->num_segments;
}

/* A slot with nothing left to scan. */
static void note_end(slot_record *record, const sf_shard *shard) {
  record->finished = sf_monotonic_nanoseconds();
  if (shard == NULL)
    return;
  record->num_rows = sf_shard_num_rows(shard);
  record->num_not_finite = sf_shard_num_not_finite(shard);
}

static void finish_slot(sf_search *search, slot *finished) {
  search->num_in_flight--;
  if (search->records != NULL)
    note_end(&search->records[finished - search->slots], finished->shard);
  if (!finished->has_winners)
    give_later(search, finished);
}

static void fail(sf_search *search, sf_code code, const sf_error *error);

/* Takes in a shard that was lent. */
static void add_shard(sf_search *search, slot *to, sf_shard *shard) {
  to->shard = shard;
  if (search->records != NULL)
    search->records[to - search->slots] = (slot_record){.lent = sf_monotonic_nanoseconds()};
  if (has_slices(to) && search->code == SF_OK)
    push_ready(search, to);
  else
    finish_slot(search, to);
}

/* Starts as many shards as may be in flight. */
static void start_slots(sf_search *search) {
  while (search->code == SF_OK && search->next_slot < search->num_slots &&
         search->num_in_flight < search->max_in_flight) {
    slot *started = &search->slots[search->next_slot++];
    sf_shard *shard;
    sf_error error;
    sf_error_clear(&error);
    search->num_in_flight++;
    started->is_waiting = true;
    sf_search_retain(search); /* for the waiter */
    sf_code code = sf_served_snapshot_acquire(search->cache, started->db_id, &started->waiter, &shard, &error);
    if (code == SF_OK && shard == NULL)
      continue;
    started->is_waiting = false;
    atomic_fetch_sub_explicit(&search->references, 1, memory_order_relaxed); /* never the last: the caller holds one */
    if (code != SF_OK) {
      search->num_in_flight--;
      fail(search, code, &error);
    } else
      add_shard(search, started, shard);
  }
}

/* Notes the first failure, and stops what is not being scanned right now. */
static void fail(sf_search *search, sf_code code, const sf_error *error) {
  if (search->code != SF_OK)
    return;
  search->code = code;
  search->error = *error;
  sf_cancellation_request(&search->cancellation);
  while (search->first_ready != NULL) {
    slot *stopped = search->first_ready;
    remove_ready(search, stopped);
    stopped->segment = stopped->shard->num_segments;
    if (stopped->num_out == 0)
      finish_slot(search, stopped);
  }
  for (size_t i = 0; i < search->next_slot; i++) {
    slot *waiting = &search->slots[i];
    if (!waiting->is_waiting || !sf_served_snapshot_stop_waiting(search->cache, waiting->db_id, &waiting->waiter))
      continue;
    waiting->is_waiting = false;
    search->num_in_flight--;
    atomic_fetch_sub_explicit(&search->references, 1, memory_order_relaxed); /* as above */
  }
}

/* The next slice of a slot that has any. */
static slice take_slice(sf_search *search, slot *from) {
  const sf_vector_segment *segment = &from->shard->segments[from->segment];
  size_t rows = sf_scan_task_rows(segment, search->query_vector.dim, from->row);
  slice taken = {.of = from, .segment = segment, .begin = from->row, .end = from->row + rows};
  from->row = taken.end;
  if (from->row == segment->num_rows) {
    from->segment++;
    from->row = 0;
  }
  from->num_out++;
  if (has_slices(from))
    show_place(search, from);
  else
    remove_ready(search, from);
  return taken;
}

static void merge_slice(sf_search *search, const slice *scanned, const sf_neighbour *neighbours, size_t count) {
  slot *of = scanned->of;
  size_t num_taken;
  if (search->code != SF_OK)
    return;
  if (!sf_merge_add(&search->winners, of->db_id, (uint32_t)(of - search->slots), neighbours, count, &num_taken)) {
    sf_error error;
    fail(search, sf_fail_memory(&error, "results"), &error);
  } else if (num_taken > 0) {
    of->has_winners = true;
    sf_pruning_threshold_lower(&search->limit, sf_merge_threshold(&search->winners));
  }
}

/* A slice comes back from whoever scanned it. */
static void return_slice(sf_search *search, const slice *scanned, sf_code code, const sf_error *error,
                         const sf_neighbour *neighbours, size_t count) {
  slot *of = scanned->of;
  if (code != SF_OK)
    fail(search, code, error);
  else
    merge_slice(search, scanned, neighbours, count);
  of->num_out--;
  if (of->num_out == 0 && !has_slices(of))
    finish_slot(search, of);
  start_slots(search);
}

/* Whether the caller is the one to complete the search: nothing is under way any more, and nobody else does. */
static bool begin_end(sf_search *search) {
  if (!search->has_started || search->is_ending || search->num_in_flight > 0 || search->num_helpers > 0)
    return false;
  search->is_ending = true;
  return true;
}

static void run_ticket(sf_task *task);

/* False, with errno set, when there is no memory or no thread for it. */
static bool issue_ticket(sf_search *search) {
  ticket *issued = sf_calloc(1, sizeof(*issued));
  if (issued == NULL)
    return false;
  *issued = (ticket){.task.run = run_ticket, .search = search};
  sf_search_retain(search);
  if (sf_executor_submit(search->executor, SF_LANE_SCAN, &issued->task)) {
    search->num_tickets++;
    return true;
  }
  atomic_fetch_sub_explicit(&search->references, 1, memory_order_relaxed); /* never the last: the caller holds one */
  int reason = errno;
  free(issued);
  errno = reason;
  return false;
}

/* How many slices are ready, or `limit` when there are at least as many. */
static size_t count_slices(const sf_search *search, size_t limit) {
  size_t row_bytes = (size_t)search->query_vector.dim * sizeof(float);
  size_t count = 0;
  for (const slot *next = search->first_ready; next != NULL && count < limit; next = next->next) {
    size_t bytes = (next->shard->segments[next->segment].num_rows - next->row) * row_bytes;
    count += 1 + bytes / SF_LEAST_TASK_BYTES + (next->shard->num_segments - next->segment - 1);
  }
  return count < limit ? count : limit;
}

/* Asks threads of the executor to help with what is ready: as many as are idle, and at least one where nobody else is
 * there to do it. */
static void ask_for_help(sf_search *search) {
  size_t helpers = search->num_helpers + search->num_tickets + search->is_caller_waiting;
  size_t idle = sf_executor_idle(search->executor, SF_LANE_SCAN);
  if (search->is_blocking && idle > 0)
    idle--; /* the thread that asked scans, too: in place of one of the executor's, not beside them all */
  size_t wanted = count_slices(search, helpers + (idle > 0 ? idle : 1));
  while (helpers < wanted) {
    if (helpers > 0 && idle == 0)
      return;
    if (!issue_ticket(search)) {
      sf_error error;
      if (helpers == 0 && !search->is_blocking)
        fail(search, sf_fail_thread(&error, errno, "to scan"), &error);
      return;
    }
    helpers++;
    idle -= idle > 0;
  }
}

/* The list of slots to give back, for the caller alone. It counts as a helper until it has given them, so that the
 * search does not end under it. */
static slot *take_to_give(sf_search *search) {
  slot *given = search->to_give;
  search->to_give = NULL;
  for (slot *next = given; next != NULL; next = next->next)
    next->shard = NULL;
  return given;
}

/* That there may be something to scan, or that the search has ended. */
static void tell_caller(sf_search *search) {
  atomic_fetch_add_explicit(&search->num_changes, 1, memory_order_release);
  pthread_cond_broadcast(&search->changed);
}

/* From here on: without the mutex. ------------------------------------------------------------------------------ */

static void give_back(sf_search *search, slot *given) {
  while (given != NULL) {
    slot *next = given->next;
    sf_served_snapshot_return(search->cache, given->db_id);
    given = next;
  }
}

/* Searches that one thread scans a slice for: the one that it helps, and others that stood at the same row. */
typedef struct company {
  size_t count;
  slice slices[SF_MAX_SCAN_PARTS]; /* the same rows, each of a slot of its own search */
  sf_query_vector queries[SF_MAX_SCAN_PARTS];
  sf_scan_part parts[SF_MAX_SCAN_PARTS];
  sf_error errors[SF_MAX_SCAN_PARTS];
  sf_neighbour *neighbours; /* room for all parts; kept for the next slice */
} company;

/* With the search's mutex held: takes a slot's next slice for the company. */
static void join(company *joined, sf_search *search, slot *from) {
  size_t i = joined->count++;
  joined->slices[i] = take_slice(search, from);
  joined->queries[i] = search->query_vector;
  joined->queries[i].score_convention = from->shard->score_convention;
  sf_error_clear(&joined->errors[i]);
  joined->parts[i] = (sf_scan_part){.query = &joined->queries[i],
                                    .top_k = search->winners.top_k,
                                    .limit = &search->limit,
                                    .cancellation = &search->cancellation,
                                    .error = &joined->errors[i]};
}

static slot *slot_at(sf_scan_position *place) {
  return (slot *)((char *)place - offsetof(slot, place));
}

static void keep_search_at(sf_scan_position *place) {
  sf_search_retain(slot_at(place)->search);
}

/* Whether the slot stands where a slice begins: it may have gone on since it was found. */
static bool stands_at(const slot *found, const slice *taken) {
  return found->place.is_registered && &found->shard->segments[found->segment] == taken->segment &&
         found->row == taken->begin;
}

/* Takes along what other searches have at the same rows. Each keeps a reference and a helper until it is let go. */
static void invite(company *inviting, const sf_search *search) {
  const slice taken = inviting->slices[0];
  sf_scan_position *found[SF_MAX_SCAN_PARTS - 1];
  if (search->winners.top_k > MAX_SHARED_TOP_K)
    return;
  size_t segment = (size_t)(taken.segment - taken.of->shard->segments);
  size_t count = sf_scan_registry_find(sf_served_snapshot_scans(search->cache), taken.of->db_id, segment, taken.begin,
                                       keep_search_at, found, SF_MAX_SCAN_PARTS - 1);
  for (size_t i = 0; i < count; i++) {
    slot *guest = slot_at(found[i]);
    sf_search *of = guest->search;
    pthread_mutex_lock(&of->mutex);
    bool joins = stands_at(guest, &taken);
    if (joins) {
      of->num_helpers++;
      join(inviting, of, guest);
    }
    pthread_mutex_unlock(&of->mutex);
    if (!joins)
      sf_search_release(of);
  }
}

/* Room for the neighbours of all. */
static bool make_room(company *of) {
  size_t rows = of->slices[0].end - of->slices[0].begin;
  size_t total = 0;
  for (size_t i = 0; i < of->count; i++) {
    if (of->parts[i].top_k > rows)
      of->parts[i].top_k = rows;
    total += of->parts[i].top_k;
  }
  sf_neighbour *room = sf_reallocarray(of->neighbours, total, sizeof(*room));
  if (room == NULL)
    return false;
  of->neighbours = room;
  for (size_t i = 0; i < of->count; room += of->parts[i++].top_k)
    of->parts[i].neighbours = room;
  return true;
}

static void scan_for(company *of) {
  if (make_room(of)) {
    const slice *scanned = &of->slices[0];
    sf_scan_segment_together(of->parts, of->count, scanned->segment, scanned->begin, scanned->end);
    return;
  }
  for (size_t i = 0; i < of->count; i++)
    of->parts[i].code = sf_fail_memory(&of->errors[i], "results");
}

/* With the mutex of the search held. */
static void return_part(sf_search *search, const company *of, size_t index) {
  const sf_scan_part *part = &of->parts[index];
  return_slice(search, &of->slices[index], part->code, part->error, part->neighbours, part->num_neighbours);
}

static void settle(sf_search *search);

/* Brings the guests' slices back. */
static void let_go(const company *of) {
  for (size_t i = 1; i < of->count; i++) {
    sf_search *guest = of->slices[i].of->search;
    pthread_mutex_lock(&guest->mutex);
    return_part(guest, of, i);
    guest->num_helpers--;
    pthread_mutex_unlock(&guest->mutex);
    settle(guest);
    sf_search_release(guest);
  }
}

/* With the mutex held: lets others have part of what is ready now, which may be more than before. */
static void share_slices(sf_search *search) {
  ask_for_help(search);
  if (search->is_caller_waiting)
    tell_caller(search);
}

/* Scans slices until none is ready; a thread of the executor, until others wait for it. */
static void help(sf_search *search, bool is_caller) {
  company scanning; /* large: each member is set when a search joins */
  scanning.neighbours = NULL;
  pthread_mutex_lock(&search->mutex);
  search->num_helpers++;
  if (is_caller)
    search->is_caller_waiting = false;
  while (search->first_ready != NULL) {
    scanning.count = 0;
    join(&scanning, search, search->first_ready);
    slot *given = take_to_give(search);
    pthread_mutex_unlock(&search->mutex);
    give_back(search, given);
    invite(&scanning, search);
    scan_for(&scanning);
    pthread_mutex_lock(&search->mutex);
    return_part(search, &scanning, 0);
    if (search->first_ready != NULL)
      share_slices(search);
    pthread_mutex_unlock(&search->mutex);
    let_go(&scanning);
    if (!is_caller)
      sf_executor_offer_cpu(search->executor, SF_LANE_SCAN);
    bool yields = !is_caller && sf_executor_should_yield(search->executor, SF_LANE_SCAN);
    pthread_mutex_lock(&search->mutex);
    if (yields)
      break;
  }
  search->num_helpers--;
  pthread_mutex_unlock(&search->mutex);
  free(scanning.neighbours);
}

/* Where the winners of one shard go in the response. */
typedef struct row_target {
  sf_row_sink sink; /* first: the shard hands it back */
  sf_search_response *response;
  const size_t *indexes;
  size_t next;
  bool has_integer_ids; /* text that is an integer is one */
} row_target;

/* Ids lie one after the other in a shard: nothing ends the digits of one but its length. */
static bool parse_integer_id(const char *text, size_t length, int64_t *id) {
  char digits[24];
  if (length >= sizeof(digits))
    return false;
  memcpy(digits, text, length);
  digits[length] = '\0';
  return sf_json_text_to_int64((sf_json_text){.data = digits, .length = length}, id);
}

static bool add_row(sf_row_sink *sink, sf_id_type id_type, int64_t id_integer, const char *id_string, size_t id_length,
                    const char *payload, size_t payload_length) {
  row_target *target = (row_target *)sink;
  if (target->has_integer_ids && id_type == SF_ID_STRING && parse_integer_id(id_string, id_length, &id_integer))
    id_type = SF_ID_INTEGER;
  return sf_search_response_set_row(target->response, target->indexes[target->next++], id_type, id_integer, id_string,
                                    id_length, payload, payload_length);
}

/* Fetches the ids and payloads of one shard's winners: those from `first` on whose slot is first's. */
static sf_code fetch_shard_rows(const sf_search *search, size_t first, uint64_t *rows, size_t *indexes,
                                sf_search_response *response, sf_error *error) {
  const sf_merged_row *winners = search->winners.items;
  size_t count = 0;
  for (size_t i = first; i < search->winners.count; i++)
    if (winners[i].slot == winners[first].slot) {
      rows[count] = winners[i].row;
      indexes[count++] = i;
    }
  row_target target = {.sink.add = add_row,
                       .response = response,
                       .indexes = indexes,
                       .has_integer_ids = sf_served_snapshot_metadata(search->cache)->manifest.has_integer_ids};
  return sf_shard_fetch_rows(search->slots[winners[first].slot].shard, rows, count, &target.sink, error);
}

static sf_code fetch_rows(const sf_search *search, sf_search_response *response, sf_error *error) {
  size_t count = search->winners.count;
  uint64_t *rows = sf_calloc(count, sizeof(*rows));
  size_t *indexes = sf_calloc(count, sizeof(*indexes));
  bool *fetched = sf_calloc(search->num_slots, sizeof(*fetched));
  sf_code code = SF_OK;
  if (rows == NULL || indexes == NULL || fetched == NULL)
    code = sf_fail_memory(error, "results");
  for (size_t i = 0; i < count && code == SF_OK; i++) {
    uint32_t of = search->winners.items[i].slot;
    if (fetched[of])
      continue;
    fetched[of] = true;
    code = sf_cancellation_check(&search->cancellation, error);
    if (code == SF_OK)
      code = fetch_shard_rows(search, i, rows, indexes, response, error);
  }
  free(rows);
  free(indexes);
  free(fetched);
  return code;
}

static sf_code make_response(const sf_search *search, sf_search_response **made, sf_error *error) {
  sf_search_response *response;
  size_t count = search->winners.count;
  SF_TRY(sf_search_response_create(count, (uint32_t)search->num_slots, &response, error));
  sf_code code = fetch_rows(search, response, error);
  if (code != SF_OK) {
    sf_search_response_free(response);
    return code;
  }
  sf_search_result *results = sf_search_response_mutable(response);
  for (size_t i = 0; i < count; i++) {
    results[i].score = search->winners.items[i].score;
    results[i].shard_id = search->winners.items[i].shard_id;
  }
  sf_search_response_seal(response, (double)(sf_monotonic_nanoseconds() - search->started) / 1e6);
  *made = response;
  return SF_OK;
}

static void give_all_back(sf_search *search) {
  for (size_t i = 0; i < search->num_slots; i++)
    if (search->slots[i].shard != NULL) {
      search->slots[i].shard = NULL;
      sf_served_snapshot_return(search->cache, search->slots[i].db_id);
    }
}

static double milliseconds_between(uint64_t started, uint64_t finished) {
  return (double)(finished - started) / 1e6;
}

/* Tells what the search did, once its outcome is certain. */
static void tell_of_search(const sf_search *search) {
  if (search->records == NULL)
    return;
  for (size_t i = 0; i < search->num_slots; i++) {
    const slot_record *record = &search->records[i];
    if (record->finished != 0 && record->lent != 0)
      sf_event_emit(search->events, (sf_event){.type = SF_EVENT_SHARD_SEARCH,
                                               .duration_ms = milliseconds_between(record->lent, record->finished),
                                               .shard_id = search->slots[i].db_id,
                                               .num_rows = record->num_rows,
                                               .num_not_finite = record->num_not_finite});
  }
  sf_event_emit(search->events,
                (sf_event){.type = SF_EVENT_SEARCH,
                           .code = search->code,
                           .message = search->code == SF_OK ? NULL : search->error.message,
                           .duration_ms = milliseconds_between(search->started, sf_monotonic_nanoseconds()),
                           .num_shards = (uint32_t)search->num_slots,
                           .num_results = search->code == SF_OK ? search->winners.count : 0,
                           .top_k = search->winners.top_k > INT64_MAX ? INT64_MAX : (int64_t)search->winners.top_k});
}

/* Completes the search. Only one thread comes here, and no other touches the search but to look whether it has ended. */
static void end(sf_search *search) {
  sf_search_response *response = NULL;
  if (search->code == SF_OK)
    search->code = make_response(search, &response, &search->error);
  give_all_back(search);
  sf_served_snapshot_release(search->cache);
  search->cache = NULL;
  tell_of_search(search);
  if (!search->is_blocking)
    search->done(search->context, search->code, &search->error, response);
  pthread_mutex_lock(&search->mutex);
  if (search->is_blocking)
    search->response = response;
  search->has_ended = true;
  tell_caller(search);
  pthread_mutex_unlock(&search->mutex);
  sf_search_release(search); /* the reference of the search under way */
}

/* After anything changed: asks for help with what is ready, gives back what is to go, and completes what is done. */
static void settle(sf_search *search) {
  pthread_mutex_lock(&search->mutex);
  if (search->first_ready != NULL)
    ask_for_help(search);
  for (slot *given; (given = take_to_give(search)) != NULL;) {
    search->num_helpers++;
    pthread_mutex_unlock(&search->mutex);
    give_back(search, given);
    pthread_mutex_lock(&search->mutex);
    search->num_helpers--;
  }
  bool ends = begin_end(search);
  tell_caller(search);
  pthread_mutex_unlock(&search->mutex);
  if (ends)
    end(search);
}

/* Takes a thread's part up again when its turn comes, if there is still something to scan. Whether it does. */
static bool continue_later(ticket *of) {
  sf_search *search = of->search;
  pthread_mutex_lock(&search->mutex);
  bool continues = search->first_ready != NULL;
  search->num_tickets += continues;
  pthread_mutex_unlock(&search->mutex);
  if (continues && !sf_executor_resubmit(search->executor, SF_LANE_SCAN, &of->task)) {
    pthread_mutex_lock(&search->mutex); /* no thread: can't be, here is one */
    search->num_tickets--;
    pthread_mutex_unlock(&search->mutex);
    continues = false;
  }
  return continues;
}

static void run_ticket(sf_task *task) {
  ticket *taken = (ticket *)task;
  sf_search *search = taken->search;
  pthread_mutex_lock(&search->mutex);
  search->num_tickets--;
  pthread_mutex_unlock(&search->mutex);
  help(search, false);
  if (continue_later(taken))
    return;
  settle(search);
  sf_search_release(search);
  free(taken);
}

static void shard_loaded(sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error) {
  slot *loaded = (slot *)waiter;
  sf_search *search = loaded->search;
  pthread_mutex_lock(&search->mutex);
  loaded->is_waiting = false;
  if (code == SF_OK)
    add_shard(search, loaded, shard);
  else {
    search->num_in_flight--;
    fail(search, code, error);
  }
  start_slots(search);
  pthread_mutex_unlock(&search->mutex);
  settle(search);
  sf_search_release(search);
}

/* Takes the reference of the search under way, and starts its first shards. */
static void begin(sf_search *search) {
  sf_search_retain(search);
  search->has_started = true;
  start_slots(search);
}

void sf_search_start(sf_search *search, sf_search_callback done, void *context) {
  sf_search_retain(search); /* for this call */
  pthread_mutex_lock(&search->mutex);
  search->done = done;
  search->context = context;
  begin(search);
  pthread_mutex_unlock(&search->mutex);
  settle(search);
  sf_search_release(search);
}

/* Waits until there is something to scan, for which the caller then counts as waiting still; false when the search has
 * ended. */
static bool wait_for_slices(sf_search *search) {
  pthread_mutex_lock(&search->mutex);
  search->is_caller_waiting = true;
  while (!search->has_ended && search->first_ready == NULL) {
    unsigned seen = atomic_load_explicit(&search->num_changes, memory_order_relaxed);
    pthread_mutex_unlock(&search->mutex);
    bool has_changed = sf_wait_awake(&search->num_changes, seen);
    pthread_mutex_lock(&search->mutex);
    if (!has_changed && !search->has_ended && search->first_ready == NULL)
      pthread_cond_wait(&search->changed, &search->mutex);
  }
  bool has_ended = search->has_ended;
  pthread_mutex_unlock(&search->mutex);
  return !has_ended;
}

sf_code sf_search_run(sf_search *search, sf_search_response **response, sf_error *error) {
  pthread_mutex_lock(&search->mutex);
  search->is_blocking = true;
  search->is_caller_waiting = true; /* for the first slice: help is asked for only where there are more */
  begin(search);
  if (search->first_ready != NULL)
    ask_for_help(search);
  pthread_mutex_unlock(&search->mutex);
  do {
    help(search, true);
    settle(search);
  } while (wait_for_slices(search));
  if (search->code != SF_OK) {
    if (error != NULL)
      *error = search->error;
    return search->code;
  }
  *response = search->response;
  search->response = NULL;
  return SF_OK;
}

void sf_search_cancel(sf_search *search) {
  sf_error error;
  sf_fail(&error, SF_CANCELLED_ERROR, "the search was cancelled");
  pthread_mutex_lock(&search->mutex);
  if (!search->is_ending)
    fail(search, error.code, &error);
  else
    sf_cancellation_request(&search->cancellation);
  pthread_mutex_unlock(&search->mutex);
  settle(search);
}
