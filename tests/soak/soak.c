/*
 * A long run of one reader under everything at once: searches that block, that arrive, that are cancelled or released,
 * batches, refreshes between two snapshots, evictions; then closed and opened again. Every answer is checked, and what
 * the process holds (memory, descriptors, threads) must not grow from one round to the next.
 *
 *     soak SECONDS [SEED]
 */
#include "base/memory.h"
#include "base/time.h"
#include "random.h"
#include "support/reader_fixture.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NUM_SEARCHERS = 6, IN_FLIGHT = 16, SEARCHES_A_ROUND = 400, ROUNDS_TO_SETTLE = 5 };

static _Noreturn void stop(const char *what) {
  fprintf(stderr, "soak: %s\n", what);
  _exit(1);
}

static void require(bool holds, const char *what) {
  if (!holds)
    stop(what);
}

typedef struct soak {
  reader_fixture *fixture;
  sf_reader *reader;
  atomic_bool is_over; /* the round: searches have been made */
  atomic_ullong num_answers;
  atomic_ullong num_cancelled;
  unsigned long long num_refreshes;
} soak;

typedef struct searcher {
  soak *of;
  uint64_t random;
  pthread_t thread;
} searcher;

static void check_response(soak *of, size_t query, sf_search_response *response) {
  require(fixture_answers(of->fixture, 0, query, response) || fixture_answers(of->fixture, 1, query, response),
          "an answer that neither snapshot gives");
  atomic_fetch_add(&of->num_answers, 1);
  sf_search_response_free(response);
}

static void search_once(searcher *self) {
  size_t query = random_below(&self->random, FIXTURE_QUERIES);
  sf_search_request request = fixture_request(self->of->fixture, query);
  sf_search_response *response;
  sf_error error;
  if (sf_reader_search(self->of->reader, &request, &response, &error) != SF_OK)
    stop(error.message);
  check_response(self->of, query, response);
}

static void search_batch(searcher *self) {
  sf_search_request requests[5];
  sf_search_response *responses[5];
  size_t queries[5];
  sf_error error;
  for (size_t i = 0; i < 5; i++) {
    queries[i] = random_below(&self->random, FIXTURE_QUERIES);
    requests[i] = fixture_request(self->of->fixture, queries[i]);
  }
  if (sf_reader_batch_search(self->of->reader, requests, 5, responses, &error) != SF_OK)
    stop(error.message);
  for (size_t i = 0; i < 5; i++)
    check_response(self->of, queries[i], responses[i]);
}

static void take(searcher *self, sf_operation *operation) {
  const size_t *query = sf_operation_user_data(operation);
  sf_error error;
  sf_code code = sf_operation_result(operation, &error);
  if (code == SF_OK)
    check_response(self->of, *query, sf_operation_take_response(operation));
  else if (code == SF_CANCELLED_ERROR)
    atomic_fetch_add(&self->of->num_cancelled, 1);
  else
    stop(error.message);
  sf_operation_release(operation);
}

/* Several at once, of which some are cancelled and some released immediately. */
static void search_asynchronously(searcher *self) {
  sf_completion_queue *queue;
  size_t queries[IN_FLIGHT];
  size_t in_flight = 0;
  sf_error error;
  require(sf_completion_queue_create(&queue, &error) == SF_OK, "no queue");
  for (size_t i = 0; i < IN_FLIGHT; i++) {
    sf_operation *operation;
    queries[i] = random_below(&self->random, FIXTURE_QUERIES);
    sf_search_request request = fixture_request(self->of->fixture, queries[i]);
    if (sf_reader_search_submit(self->of->reader, &request, queue, &queries[i], &operation, &error) != SF_OK)
      stop(error.message);
    uint64_t fate = random_below(&self->random, 10);
    if (fate == 0)
      sf_operation_cancel(operation);
    if (fate == 1)
      sf_operation_release(operation);
    else
      in_flight++;
  }
  while (in_flight > 0) {
    struct pollfd polled = {.fd = sf_completion_queue_fd(queue), .events = POLLIN};
    require(poll(&polled, 1, 60000) == 1, "a wake-up is missing");
    for (sf_operation *next; (next = sf_completion_queue_pop(queue)) != NULL; in_flight--)
      take(self, next);
  }
  sf_completion_queue_free(queue);
}

static void *search(void *argument) {
  searcher *self = argument;
  for (int i = 0; i < SEARCHES_A_ROUND / NUM_SEARCHERS; i++) {
    uint64_t way = random_below(&self->random, 8);
    if (way == 0)
      search_batch(self);
    else if (way < 3)
      search_asynchronously(self);
    else
      search_once(self);
  }
  return NULL;
}

static void *refresh(void *argument) {
  soak *of = argument;
  while (!atomic_load(&of->is_over)) {
    bool changed;
    sf_error error;
    snapshot_publish(of->fixture->snapshots[++of->num_refreshes % 2]);
    if (sf_reader_refresh(of->reader, &changed, &error) != SF_OK)
      stop(error.message);
    require(changed, "a refresh that does not find what is new");
  }
  return NULL;
}

static sf_reader *open_reader(const soak *of, uint64_t *random) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader;
  sf_error error;
  options.cache_dir = of->fixture->cache_dir;
  options.max_cached_shards = (uint32_t)random_below(random, 4);
  options.max_concurrency = (uint32_t)random_below(random, 3);
  options.num_workers = (uint32_t)random_below(random, 4);
  options.num_loaders = (uint32_t)random_below(random, 3);
  options.preload_shards = random_below(random, 2) == 0;
  if (sf_reader_open(of->fixture->root, &options, &reader, &error) != SF_OK)
    stop(error.message);
  return reader;
}

static void run_round(soak *of, uint64_t *random) {
  searcher searchers[NUM_SEARCHERS];
  pthread_t refresher;
  of->reader = open_reader(of, random);
  atomic_store(&of->is_over, false);
  require(pthread_create(&refresher, NULL, refresh, of) == 0, "no thread");
  for (size_t i = 0; i < NUM_SEARCHERS; i++) {
    searchers[i] = (searcher){.of = of, .random = random_bits(random)};
    require(pthread_create(&searchers[i].thread, NULL, search, &searchers[i]) == 0, "no thread");
  }
  for (size_t i = 0; i < NUM_SEARCHERS; i++)
    pthread_join(searchers[i].thread, NULL);
  atomic_store(&of->is_over, true);
  pthread_join(refresher, NULL);
  sf_reader_free(of->reader);
}

/* What the process holds, as Linux tells it; all zero elsewhere. */
typedef struct holdings {
  unsigned long memory_kib;
  unsigned long threads;
  unsigned long descriptors;
} holdings;

static void read_field(const char *line, const char *name, unsigned long *value) {
  if (strncmp(line, name, strlen(name)) == 0)
    *value = strtoul(line + strlen(name), NULL, 10);
}

static holdings look(void) {
  holdings now = {0};
  char line[256];
  FILE *status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
    read_field(line, "RssAnon:", &now.memory_kib);
    read_field(line, "Threads:", &now.threads);
  }
  if (status != NULL)
    fclose(status);
  DIR *folder = opendir("/proc/self/fd");
  while (folder != NULL && readdir(folder) != NULL)
    now.descriptors++;
  if (folder != NULL)
    closedir(folder);
  return now;
}

/* Allocators keep what was freed: memory may grow by half and 16 MiB over what it was once it had settled. */
static void compare(const holdings *settled, const holdings *now) {
  require(now->threads <= settled->threads, "threads are left");
  require(now->descriptors <= settled->descriptors, "descriptors are left");
  require(now->memory_kib <= settled->memory_kib * 3 / 2 + 16 * 1024, "memory grows");
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? strtod(argv[1], NULL) : 10;
  uint64_t random = argc > 2 ? strtoull(argv[2], NULL, 10) : sf_monotonic_nanoseconds();
  uint64_t end = sf_monotonic_nanoseconds() + (uint64_t)(seconds * 1e9);
  soak of = {.fixture = fixture_make(16, 100)};
  holdings settled = {0};
  holdings now = {0};
  unsigned long rounds = 0;
  printf("soak: seed %llu\n", (unsigned long long)random);
  for (; rounds <= ROUNDS_TO_SETTLE || sf_monotonic_nanoseconds() < end; rounds++) {
    run_round(&of, &random);
    now = look();
    if (rounds < ROUNDS_TO_SETTLE)
      settled = now;
    else
      compare(&settled, &now);
  }
  fixture_free(of.fixture);
  printf("soak: %lu rounds, %llu answers, %llu cancelled, %llu refreshes; %lu KiB (%lu once settled), %lu threads, "
         "%lu descriptors\n",
         rounds, (unsigned long long)of.num_answers, (unsigned long long)of.num_cancelled, of.num_refreshes,
         now.memory_kib, settled.memory_kib, now.threads, now.descriptors);
  return 0;
}
