#include "async/executor.h"

#include "async/thread_pool.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/process.h"

#include <stdatomic.h>
#include <stdlib.h>

#define DEFAULT_NUM_LOADERS 16
#define MAX_THREADS 1024
#define MAX_CONTROL_THREADS 64
#define MAX_NICE 19

struct sf_executor {
  sf_pool_client client; /* first: the pool frees it */
  atomic_uint references;
  long process;
};

void sf_executor_options_init(sf_executor_options *options) {
  *options = (sf_executor_options)SF_EXECUTOR_OPTIONS_INIT;
}

/* The option, or the environment variable where the option is 0. */
static sf_code read_nice(uint32_t given, uint32_t *nice, sf_error *error) {
  const char *text = getenv("SHARDYFUSION_THREAD_NICE");
  char *end = NULL;
  *nice = given;
  if (given > MAX_NICE)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "thread_nice: expected at most %d, found %u", MAX_NICE,
                   (unsigned)given);
  if (given > 0 || text == NULL || text[0] == '\0')
    return SF_OK;
  long value = strtol(text, &end, 10);
  if (*end != '\0' || value < 0 || value > MAX_NICE)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "SHARDYFUSION_THREAD_NICE in the environment: expected 0 to %d, found \"%.40s\"", MAX_NICE, text);
  *nice = (uint32_t)value;
  return SF_OK;
}

static uint32_t bound_threads(uint32_t given, uint32_t otherwise) {
  uint32_t wanted = given == 0 ? otherwise : given;
  return wanted < MAX_THREADS ? wanted : MAX_THREADS;
}

static sf_code read_options(const sf_executor_options *given, sf_executor_options *options, sf_error *error) {
  sf_executor_options_init(options);
  if (given == NULL)
    return SF_OK;
  return sf_options_read(given, SF_SIZE_WITH(sf_executor_options, thread_nice), options,
                         "executor options: expected them", error);
}

sf_code sf_executor_create_with(const sf_executor_options *given, sf_executor **created, sf_error *error) {
  sf_executor_options options;
  uint32_t nice = 0;
  SF_TRY(read_options(given, &options, error));
  SF_TRY(read_nice(options.thread_nice, &nice, error));
  sf_executor *executor = sf_calloc(1, sizeof(*executor));
  if (executor == NULL)
    return sf_fail_memory(error, "executor");
  atomic_init(&executor->references, 1);
  executor->process = sf_process_id();
  executor->client.shares[SF_LANE_SCAN].max_running = bound_threads(options.num_workers, sf_usable_cpus());
  executor->client.shares[SF_LANE_LOAD].max_running = bound_threads(options.num_loaders, DEFAULT_NUM_LOADERS);
  executor->client.shares[SF_LANE_CONTROL].max_running = MAX_CONTROL_THREADS;
  sf_code code = sf_pool_enter(&executor->client, nice, error);
  if (code != SF_OK) {
    free(executor);
    return code;
  }
  *created = executor;
  return SF_OK;
}

sf_code sf_executor_create(uint32_t num_workers, uint32_t num_loaders, sf_executor **executor, sf_error *error) {
  sf_executor_options options = SF_EXECUTOR_OPTIONS_INIT;
  options.num_workers = num_workers;
  options.num_loaders = num_loaders;
  return sf_executor_create_with(&options, executor, error);
}

bool sf_executor_submit(sf_executor *executor, sf_lane lane, sf_task *task) {
  return sf_pool_submit(&executor->client, lane, task, false);
}

bool sf_executor_resubmit(sf_executor *executor, sf_lane lane, sf_task *task) {
  return sf_pool_submit(&executor->client, lane, task, true);
}

bool sf_executor_should_yield(const sf_executor *executor, sf_lane lane) {
  return sf_pool_should_yield(&executor->client, lane);
}

void sf_executor_offer_cpu(const sf_executor *executor, sf_lane lane) {
  sf_pool_offer_cpu(&executor->client, lane);
}

uint32_t sf_executor_idle(sf_executor *executor, sf_lane lane) {
  return sf_pool_idle(&executor->client, lane);
}

void sf_executor_retain(sf_executor *executor) {
  atomic_fetch_add_explicit(&executor->references, 1, memory_order_relaxed);
}

sf_code sf_executor_check(const sf_executor *executor, sf_error *error) {
  return sf_process_check(executor->process, "the executor", error);
}

void sf_executor_release(sf_executor *executor) {
  if (executor == NULL || sf_executor_check(executor, NULL) != SF_OK)
    return;
  if (atomic_fetch_sub_explicit(&executor->references, 1, memory_order_acq_rel) == 1)
    sf_pool_leave(&executor->client);
}
