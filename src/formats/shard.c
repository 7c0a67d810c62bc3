#include "formats/shard.h"

#include "formats/formats.h"
#include "formats/shard_directory.h"

#include <string.h>

/* Failures of storage that may recover, of memory and by cancellation keep their code; all others become the
 * shard's. */
static sf_code name_shard(const sf_shard_params *params, sf_code code, sf_error *error) {
  if (code == SF_OK || code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR || sf_code_retryable(code))
    return code;
  sf_error_prefix(error, "shard %u (%s)", (unsigned)params->db_id, params->db_url);
  return code;
}

sf_code sf_shard_format_check(const char *name, sf_error *error) {
  return name == NULL || sf_format_find(name) != NULL
             ? SF_OK
             : sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "shard_format: expected the name of one, found %s", name);
}

/* The only format to look for; NULL: any. The manifest decides, where it names one. */
static sf_code choose_format(const sf_shard_params *params, const char **name, sf_error *error) {
  const char *said = params->manifest_format;
  const char *asked = params->format_name;
  if (said != NULL && asked != NULL && strcmp(said, asked) != 0)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "expected shard_format %s, as the manifest's backend says, found %s",
                   said, asked);
  *name = said != NULL ? said : asked;
  return SF_OK;
}

static sf_code fail_missing(const sf_shard_params *params, const char *format, sf_error *error) {
  return sf_fail(error, SF_DB_ADAPTER_ERROR,
                 "the shard is missing: expected shard.db or vector_index.lance/ at %s%s below %s, found neither%s%s",
                 params->key, params->is_unified ? "/ or its vector/" : "", params->storage->root,
                 format != NULL ? " of the format " : "", format != NULL ? format : "");
}

/* A store that does not allow listing refuses to say that an object is missing: the shard may be of another format all
 * the same. */
static void add_refusal(sf_error *first, const sf_error *failure) {
  if (first->code == SF_OK)
    *first = *failure;
  else
    sf_fail(first, failure->code, "%.480s; and %.480s", first->message, failure->message);
}

/*
 * Opens the shard with the first format that is detected and opens. Key-value data may be stored beside vectors: a
 * shard.db that is no sqlite-vec database is skipped where there is a Lance dataset. If no format opens, the first
 * failure is reported.
 */
static sf_code open_found(const sf_shard_params *params, const sf_cancellation *cancellation, sf_shard **shard,
                          sf_error *error) {
  const char *name = NULL;
  sf_error first;
  sf_error_clear(&first);
  SF_TRY(choose_format(params, &name, error));
  for (size_t i = 0; i < SF_NUM_FORMATS; i++) {
    bool detected = false;
    sf_error failure;
    sf_error_clear(&failure);
    if (name != NULL && strcmp(name, sf_formats[i]->name) != 0)
      continue;
    sf_code code = sf_formats[i]->detect(params, cancellation, &detected, &failure);
    if (code == SF_ERROR) {
      add_refusal(&first, &failure);
      continue;
    }
    if (code == SF_OK && !detected)
      continue;
    if (code == SF_OK)
      code = sf_formats[i]->open(params, cancellation, shard, &failure);
    if (code == SF_OK)
      return SF_OK;
    if (first.code == SF_OK || code != SF_DB_ADAPTER_ERROR)
      first = failure;
    if (code != SF_DB_ADAPTER_ERROR)
      break;
  }
  if (first.code == SF_OK)
    return fail_missing(params, name, error);
  if (error != NULL)
    *error = first;
  return first.code;
}

/* Where file descriptors run out, other shards' idle connections are closed for it. */
sf_code sf_shard_open(const sf_shard_params *params, const sf_cancellation *cancellation, sf_shard **shard,
                      sf_error *error) {
  sf_code code = open_found(params, cancellation, shard, error);
  if (code == SF_POOL_EXHAUSTED_ERROR && sf_shard_resources_shrink(params->resources))
    code = open_found(params, cancellation, shard, error);
  return name_shard(params, code, error);
}

void sf_shard_prepare(const sf_shard *shard, const sf_cancellation *cancellation) {
  for (size_t i = 0; i < shard->num_segments; i++) {
    const sf_vector_segment *segment = &shard->segments[i];
    if (segment->lazy_norms != NULL)
      sf_lazy_norms_complete(segment->lazy_norms, cancellation);
    if (segment->lazy_quantized != NULL)
      sf_lazy_quantized_complete(segment->lazy_quantized, cancellation);
  }
}

uint64_t sf_shard_num_not_finite(const sf_shard *shard) {
  uint64_t count = shard->num_not_finite;
  for (size_t i = 0; i < shard->num_segments; i++) {
    const sf_vector_segment *segment = &shard->segments[i];
    if (segment->lazy_norms != NULL)
      count += sf_lazy_norms_num_not_finite(segment->lazy_norms);
    if (segment->lazy_quantized != NULL)
      count += sf_lazy_quantized_num_not_finite(segment->lazy_quantized);
  }
  return count;
}

uint64_t sf_shard_num_rows(const sf_shard *shard) {
  return shard->num_rows - (sf_shard_num_not_finite(shard) - shard->num_not_finite);
}

sf_code sf_shard_fetch_rows(sf_shard *shard, const uint64_t *rows, size_t count, sf_row_sink *sink, sf_error *error) {
  return shard->format->fetch_rows(shard, rows, count, sink, error);
}

sf_code sf_shard_read_rows(sf_shard *shard, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                           sf_error *error) {
  return shard->format->read_rows(shard, visitor, cancellation, error);
}

sf_code sf_shard_find_rows(sf_shard *shard, const sf_cache_place *place, const sf_row_id *ids, size_t count,
                           uint64_t *rows, const sf_cancellation *cancellation, sf_error *error) {
  SF_TRY(sf_shard_open_directory(shard, place, cancellation, error));
  sf_find_rows_in_directory(sf_shard_directory(shard), shard->format->has_text_ids, ids, count, rows);
  return SF_OK;
}

sf_code sf_shard_verify(sf_shard *shard, const sf_cancellation *cancellation, sf_error *error) {
  return shard->format->verify(shard, cancellation, error);
}

void sf_shard_close(sf_shard *shard) {
  if (shard == NULL)
    return;
  sf_shard_close_directory(shard);
  shard->format->close(shard);
}
