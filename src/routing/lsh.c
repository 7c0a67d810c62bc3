/* Routing by the signs of projections onto hyperplanes (Charikar, Similarity Estimation Techniques from Rounding
 * Algorithms, STOC 2002), with probes at one flipped bit. */
#include "base/memory.h"
#include "routing/router.h"

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

static sf_code compute_code(const sf_router_params *source, const float *query, hash_code *code, sf_error *error) {
  *code = (hash_code){.num_bits = source->config->num_hash_bits, .modulus = source->num_dbs};
  code->bits = sf_calloc(code->num_bits, sizeof(bool));
  if (code->bits == NULL)
    return sf_fail_memory(error, "hash code");
  uint32_t power = 1 % code->modulus;
  for (uint32_t bit = 0; bit < code->num_bits; bit++, power = next_power(power, code->modulus)) {
    code->bits[bit] = sf_route_dot(source->hyperplanes + (size_t)bit * source->dim, query, source->dim) > 0;
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

sf_code sf_route_lsh(const sf_router_params *source, const float *query, size_t limit, uint32_t *shard_ids,
                     size_t *count, sf_error *error) {
  hash_code code;
  SF_TRY(compute_code(source, query, &code, error));
  bool *chosen = sf_calloc(source->num_dbs, sizeof(bool));
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
