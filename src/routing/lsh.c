/*
 * The strategy lsh: the signs of projections onto hyperplanes are a hash code (Charikar, Similarity Estimation Techniques from
 * Rounding Algorithms, STOC 2002), which modulo num_dbs is the shard. Further probes flip one bit each, least significant
 * first (as multi-probe LSH does, Lv et al., VLDB 2007, but in the format's fixed order rather than by the projections' sizes).
 */
#include "base/memory.h"
#include "routing/strategy.h"

typedef struct hash_code {
  uint32_t num_bits;
  uint32_t modulus;
  uint32_t remainder; /* of the whole code, modulo num_dbs: a code may have more bits than a word */
  bool *bits;         /* bit 0 is the least significant */
} hash_code;

/* 2^bit modulo the code's modulus, for each bit in turn. */
static uint32_t next_power(uint32_t power, uint32_t modulus) {
  return (uint32_t)((uint64_t)power * 2 % modulus);
}

static sf_code compute_code(const sf_router_params *params, const float *query, hash_code *code, sf_error *error) {
  *code = (hash_code){.num_bits = params->config->num_hash_bits, .modulus = params->num_dbs};
  code->bits = sf_calloc(code->num_bits, sizeof(bool));
  if (code->bits == NULL)
    return sf_fail_memory(error, "hash code");
  uint32_t power = 1 % code->modulus;
  for (uint32_t bit = 0; bit < code->num_bits; bit++, power = next_power(power, code->modulus)) {
    code->bits[bit] = sf_route_dot(params->artifact + (size_t)bit * params->dim, query, params->dim) > 0;
    if (code->bits[bit])
      code->remainder = (code->remainder + power) % code->modulus;
  }
  return SF_OK;
}

/* The shard of the code with one bit flipped, given 2^bit modulo the modulus. */
static uint32_t flipped_remainder(const hash_code *code, uint32_t bit, uint32_t power) {
  uint32_t change = code->bits[bit] ? code->modulus - power : power;
  return (uint32_t)(((uint64_t)code->remainder + change) % code->modulus);
}

static sf_code route(const sf_router_params *params, const void *state, const sf_route_request *request, size_t limit,
                     uint32_t *shard_ids, size_t *count, sf_error *error) {
  (void)state;
  hash_code code;
  SF_TRY(compute_code(params, request->query, &code, error));
  bool *chosen = sf_calloc(params->num_dbs, sizeof(bool));
  if (chosen == NULL) {
    free(code.bits);
    return sf_fail_memory(error, "probes");
  }
  shard_ids[0] = code.remainder;
  chosen[code.remainder] = true;
  *count = 1;
  uint32_t power = 1 % code.modulus;
  for (uint32_t bit = 0; bit < code.num_bits && *count < limit; bit++, power = next_power(power, code.modulus)) {
    uint32_t shard = flipped_remainder(&code, bit, power);
    if (chosen[shard])
      continue;
    chosen[shard] = true;
    shard_ids[(*count)++] = shard;
  }
  free(chosen);
  free(code.bits);
  return SF_OK;
}

static size_t num_hyperplanes(const sf_routing_config *config, uint32_t num_dbs) {
  (void)num_dbs;
  return config->num_hash_bits;
}

static void write_members(const sf_routing_config *config, sf_json_writer *writer) {
  sf_json_write_integer(writer, "num_hash_bits", config->num_hash_bits);
}

static const sf_routing_artifact hyperplanes = {.name = "hyperplanes",
                                                .file = "hyperplanes.npy",
                                                .ref_member = "hyperplanes_ref",
                                                .size_member = "num_hash_bits",
                                                .num_rows = num_hyperplanes};

const sf_routing_strategy sf_lsh_strategy = {
    .id = SF_SHARDING_LSH,
    .name = "lsh",
    .input = SF_ROUTE_BY_VECTOR,
    .artifact = &hyperplanes,
    .write = write_members,
    .route = route,
};
