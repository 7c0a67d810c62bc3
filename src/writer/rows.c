#include "writer/rows.h"

#include "base/memory.h"
#include "base/options.h"
#include "base/utf8.h"

#include <math.h>
#include <string.h>

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

void sf_row_batch_init(sf_row_batch *batch) {
  *batch = (sf_row_batch)SF_ROW_BATCH_INIT;
}

sf_code sf_row_batch_read(const sf_row_batch *given, sf_row_batch *batch, sf_error *error) {
  sf_row_batch_init(batch);
  SF_TRY(sf_options_read(given, SF_SIZE_WITH(sf_row_batch, first_number), batch, "rows: expected a batch", error));
  if (batch->vectors == NULL && batch->count > 0)
    return sf_fail(error, invalid, "%s: expected vectors, found none", sf_row_source(batch->vectors_name, "vectors"));
  return SF_OK;
}

static size_t element_size(sf_element_type type) {
  return type == SF_FLOAT16 ? 2 : type == SF_FLOAT32 ? 4 : 8;
}

sf_code sf_row_batch_check(const sf_row_batch *batch, const sf_build_plan *plan, sf_error *error) {
  const char *vectors = sf_row_source(batch->vectors_name, "vectors");
  if (batch->vector_type != SF_FLOAT16 && batch->vector_type != SF_FLOAT32 && batch->vector_type != SF_FLOAT64)
    return sf_fail(error, invalid, "%s: vector_type: expected float16, float32 or float64, found %d", vectors,
                   (int)batch->vector_type);
  if ((uintptr_t)batch->vectors % element_size(batch->vector_type) != 0 ||
      batch->row_stride % element_size(batch->vector_type) != 0)
    return sf_fail(error, invalid, "%s: expected vectors aligned to their %zu bytes a component", vectors,
                   element_size(batch->vector_type));
  if (batch->row_stride != 0 && batch->row_stride < batch->dim * element_size(batch->vector_type) && batch->count > 1)
    return sf_fail(error, invalid, "%s: row_stride: expected at least the %zu bytes of a row, found %zu", vectors,
                   batch->dim * element_size(batch->vector_type), batch->row_stride);
  const sf_routing_strategy *strategy = sf_build_plan_routing(plan);
  if (strategy->input == SF_ROUTE_BY_SHARD_ID && batch->shard_ids == NULL)
    return sf_fail(error, invalid, "shard_ids: expected one for each row, because the sharding is %s, found none",
                   strategy->name);
  if (strategy->input == SF_ROUTE_BY_CONTEXT && batch->routing_contexts == NULL)
    return sf_fail(error, invalid,
                   "routing_contexts: expected one for each row, because the sharding is %s, found none",
                   strategy->name);
  return SF_OK;
}

/* ---------------------------------------------------------------------------------------------------------- Vectors */

/* IEEE 754 binary16 to binary32, exactly. */
static float widen_f16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 31;
  uint32_t fraction = bits & 1023;
  uint32_t wide;
  float value;
  if (exponent == 0) {
    value = (float)fraction * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  wide = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
  memcpy(&value, &wide, sizeof(value));
  return value;
}

/* Whether no exponent is all ones. Without branches, so that it is done several components at a time. */
static bool is_finite(const float *vector, size_t dim) {
  uint32_t failures = 0;
  for (size_t i = 0; i < dim; i++) {
    uint32_t bits;
    memcpy(&bits, &vector[i], sizeof(bits));
    failures |= (bits & 0x7F800000u) == 0x7F800000u;
  }
  return failures == 0;
}

static sf_code fail_not_finite(const float *vector, size_t dim, sf_error *error) {
  size_t component = 0;
  while (component < dim && isfinite(vector[component]))
    component++;
  return sf_fail(error, invalid, "component %zu: expected a finite number (as float32), found %g", component,
                 (double)vector[component]);
}

bool sf_row_batch_needs_room(const sf_row_batch *batch) {
  return batch->vector_type != SF_FLOAT32 ||
         (batch->row_stride != 0 && batch->row_stride != batch->dim * sizeof(float));
}

sf_code sf_row_vector(const sf_row_batch *batch, size_t row, float *converted, const float **vector, sf_error *error) {
  size_t stride = batch->row_stride != 0 ? batch->row_stride : batch->dim * element_size(batch->vector_type);
  const void *at = (const char *)batch->vectors + row * stride;
  const float *taken = converted;
  if (batch->vector_type == SF_FLOAT32 && !sf_row_batch_needs_room(batch)) {
    taken = at;
  } else if (batch->vector_type == SF_FLOAT32) {
    memcpy(converted, at, batch->dim * sizeof(float));
  } else if (batch->vector_type == SF_FLOAT16) {
    const uint16_t *halves = at;
    for (size_t i = 0; i < batch->dim; i++)
      converted[i] = widen_f16(halves[i]);
  } else {
    const double *doubles = at;
    for (size_t i = 0; i < batch->dim; i++)
      converted[i] = (float)doubles[i];
  }
  if (!is_finite(taken, batch->dim))
    return fail_not_finite(taken, batch->dim, error);
  *vector = taken;
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------- Ids and payloads */

sf_code sf_row_read_id(const sf_row_batch *batch, size_t row, int64_t number, sf_shard_row *described,
                       sf_error *error) {
  const char *text = batch->string_ids != NULL ? batch->string_ids[row] : NULL;
  if (text == NULL) {
    if (batch->string_ids != NULL && batch->integer_ids == NULL)
      return sf_fail(error, invalid, "expected an id, found none");
    described->id_type = SF_ID_INTEGER;
    described->id_integer = batch->integer_ids != NULL ? batch->integer_ids[row] : number;
    return SF_OK;
  }
  described->id_type = SF_ID_STRING;
  described->id_string = text;
  described->id_length = batch->string_id_lengths != NULL ? batch->string_id_lengths[row] : strlen(text);
  size_t invalid_at;
  if (!sf_utf8_valid(text, described->id_length, &invalid_at))
    return sf_fail(error, invalid, "expected an id in UTF-8, found other bytes at byte %zu", invalid_at);
  return SF_OK;
}

/* Between the tokens of JSON a line's end is as good as a blank; within them it does not occur. */
static sf_code put_on_one_line(sf_shard_row *described, char **rewritten, sf_error *error) {
  size_t length = described->payload_length;
  if (memchr(described->payload, '\n', length) == NULL && memchr(described->payload, '\r', length) == NULL)
    return SF_OK;
  char *line = sf_memdup_string(described->payload, length);
  if (line == NULL)
    return sf_fail_memory(error, "payload");
  for (size_t i = 0; i < length; i++)
    if (line[i] == '\n' || line[i] == '\r')
      line[i] = ' ';
  *rewritten = line;
  described->payload = line;
  return SF_OK;
}

sf_code sf_row_payload(const sf_row_batch *batch, size_t row, sf_shard_row *described, char **rewritten,
                       sf_error *error) {
  const char *payload = batch->payloads != NULL ? batch->payloads[row] : NULL;
  if (payload == NULL)
    return SF_OK;
  size_t length = batch->payload_lengths != NULL ? batch->payload_lengths[row] : strlen(payload);
  SF_TRY(sf_json_check_object(payload, length, "payload", invalid, error));
  described->payload = payload;
  described->payload_length = length;
  return put_on_one_line(described, rewritten, error);
}

sf_code sf_row_name_failure(const sf_row_batch *batch, const char *source, uint64_t added, size_t row,
                            sf_error *error) {
  uint64_t number = (batch->has_first_number ? batch->first_number : added) + row;
  return sf_error_prefix(error, "%s: %s %llu", source, sf_row_source(batch->row_word, "row"),
                         (unsigned long long)number);
}

sf_code sf_row_vector_named(const sf_row_batch *batch, size_t row, float *converted, const float **vector,
                            sf_error *error) {
  sf_error failure;
  sf_code code = sf_row_vector(batch, row, converted, vector, &failure);
  if (code == SF_OK)
    return SF_OK;
  sf_row_name_failure(batch, sf_row_source(batch->vectors_name, "vectors"), 0, row, &failure);
  if (error != NULL)
    *error = failure;
  return code;
}
