#include "writer/plan.h"

#include "base/memory.h"
#include "base/options.h"
#include "snapshot/manifest.h"
#include "vectors/metrics.h"

#include <unistd.h>

#define DEFAULT_BACKEND "lance"
#define DEFAULT_MEMORY_BYTES ((uint64_t)512 << 20)
#define MIN_MEMORY_BYTES ((uint64_t)16 << 20)
#define DEFAULT_TRAINING_ROWS ((uint64_t)100000)
#define DEFAULT_TRAINING_ITERATIONS 25
#define MAX_THREADS 1024
#define MIN_PAGE_SIZE 4096
#define MAX_PAGE_SIZE 65536

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

void sf_build_options_init(sf_build_options *options) {
  *options = (sf_build_options)SF_BUILD_OPTIONS_INIT;
}

sf_code sf_build_options_read(const sf_build_options *given, sf_build_options *options, sf_error *error) {
  sf_build_options_init(options);
  return sf_options_read(given, offsetof(sf_build_options, executor), options, "build options: expected them", error);
}

/* ---------------------------------------------------------------------------------------------------------- Numbers */

static uint32_t count_cpus(void) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : (uint32_t)count;
}

static sf_code take_numbers(const sf_build_options *options, sf_build_plan *plan, sf_error *error) {
  if (!sf_metric_is_known(options->metric))
    return sf_fail(error, invalid, "metric: expected cosine, l2 or dot_product, found %d", (int)options->metric);
  if (options->dim > SF_MAX_DIM)
    return sf_fail(error, invalid, "dim: expected 1 to %d, found %u", SF_MAX_DIM, (unsigned)options->dim);
  if (options->num_dbs > SF_MANIFEST_MAX_SHARDS)
    return sf_fail(error, invalid, "num_dbs: expected 1 to %d, found %u", SF_MANIFEST_MAX_SHARDS,
                   (unsigned)options->num_dbs);
  if (options->max_memory_bytes != 0 && options->max_memory_bytes < MIN_MEMORY_BYTES)
    return sf_fail(error, invalid, "max_memory_bytes: expected at least %llu, found %llu",
                   (unsigned long long)MIN_MEMORY_BYTES, (unsigned long long)options->max_memory_bytes);
  if (options->page_size != 0 && (options->page_size < MIN_PAGE_SIZE || options->page_size > MAX_PAGE_SIZE ||
                                  (options->page_size & (options->page_size - 1)) != 0))
    return sf_fail(error, invalid, "page_size: expected a power of 2 from %d to %d, found %u", MIN_PAGE_SIZE,
                   MAX_PAGE_SIZE, (unsigned)options->page_size);
  if (options->num_threads > MAX_THREADS)
    return sf_fail(error, invalid, "num_threads: expected at most %d, found %u", MAX_THREADS,
                   (unsigned)options->num_threads);
  plan->metric = options->metric;
  plan->dim = options->dim;
  plan->num_dbs = options->num_dbs;
  plan->seed = options->seed;
  plan->keeps_integer_ids = options->keep_integer_ids;
  plan->page_size = options->page_size;
  plan->emits_sidecar = options->emit_sidecar;
  plan->training_rows = options->training_rows;
  plan->training_iterations =
      options->training_iterations != 0 ? options->training_iterations : DEFAULT_TRAINING_ITERATIONS;
  plan->max_memory_bytes = options->max_memory_bytes != 0 ? options->max_memory_bytes : DEFAULT_MEMORY_BYTES;
  plan->num_threads = options->num_threads != 0 ? options->num_threads : count_cpus();
  plan->routing.strategy = options->strategy;
  plan->routing.num_probes = options->num_probes != 0 ? options->num_probes : 1;
  return SF_OK;
}

static sf_code make_plan(const sf_build_options *options, sf_build_plan *plan, sf_error *error) {
  SF_TRY(take_numbers(options, plan, error));
  SF_TRY(sf_shard_writer_find(options->backend != NULL ? options->backend : DEFAULT_BACKEND, &plan->format, error));
  SF_TRY(plan->format->check(plan->metric, plan->dim, error));
  if (plan->emits_sidecar)
    SF_TRY(sf_shard_writer_check_sidecar(plan->format, error));
  return sf_build_plan_strategy(options, plan, error);
}

sf_code sf_build_plan_make(const sf_build_options *options, sf_build_plan *plan, sf_error *error) {
  *plan = (sf_build_plan){0};
  sf_code code = make_plan(options, plan, error);
  if (code != SF_OK)
    sf_build_plan_free(plan);
  return code;
}

void sf_build_plan_free(sf_build_plan *plan) {
  sf_routing_config_free(&plan->routing);
  free(plan->artifact);
  *plan = (sf_build_plan){0};
}

/* -------------------------------------------------------------------------------------------------------- Dimension */

sf_code sf_build_plan_take_dim(sf_build_plan *plan, size_t dim, const char *what, sf_error *error) {
  if (dim < 1 || dim > SF_MAX_DIM)
    return sf_fail(error, invalid, "%s: expected 1 to %d components, found %zu", what, SF_MAX_DIM, dim);
  if (plan->dim != 0 && plan->dim != dim)
    return sf_fail(error, invalid, "%s: expected %u components, found %zu", what, (unsigned)plan->dim, dim);
  if (plan->dim == 0)
    SF_TRY(plan->format->check(plan->metric, (uint32_t)dim, error));
  plan->dim = (uint32_t)dim;
  return sf_build_plan_draw(plan, error);
}

uint64_t sf_build_plan_training_rows(const sf_build_plan *plan, size_t dim) {
  if (plan->training_rows != 0)
    return plan->training_rows;
  uint64_t affordable = plan->max_memory_bytes / 4 / (dim * sizeof(float));
  uint64_t rows = affordable < DEFAULT_TRAINING_ROWS ? affordable : DEFAULT_TRAINING_ROWS;
  return rows > plan->num_dbs ? rows : plan->num_dbs;
}
