/*
 * Shards of the LanceDB backend: a Lance dataset, vector_index.lance/, of the file versions 2.0 to 2.2. Plain float32
 * pages are scanned in the mapped data file, or in its mirror in the local cache; encoded pages are decoded into a
 * vector file first.
 */
#include "cache/cache_folder.h"
#include "formats/formats.h"
#include "formats/lance/mirror.h"
#include "formats/lance/rows.h"
#include "formats/lance/segments.h"
#include "formats/lance/write_manifest.h"

#include <string.h>
#include <xxhash.h>

typedef struct lance_shard {
  sf_shard base;
  char *name; /* "shard 3 (s3://…)", before messages */
  char *root; /* key of the dataset's folder */
  sf_lance_fragment *fragments;
  size_t num_fragments;
  uint64_t content;
  uint64_t row_span;
  sf_lance_segments vectors;
} lance_shard;

/* An sf_shard of this format is the first member of a lance_shard. */
static lance_shard *lance_of(sf_shard *shard) {
  return (lance_shard *)shard;
}

static sf_code lance_detect(const sf_shard_params *params, const sf_cancellation *cancellation, bool *detected,
                            sf_error *error) {
  char *root = sf_lance_dataset_root(params);
  if (root == NULL)
    return sf_fail_memory(error, "key of a shard");
  sf_code code = sf_lance_dataset_exists(params->storage, root, cancellation, detected, error);
  free(root);
  return code;
}

/* The context of open_data_file. */
typedef struct file_opener {
  const sf_shard_params *params;
  const lance_shard *shard;
  const sf_lance_manifest *manifest;
  const sf_cancellation *cancellation;
} file_opener;

static sf_code open_data_file(const Sf__Lance__DataFile *file, void *user_data, sf_lance_object **object,
                              sf_error *error) {
  const file_opener *opener = user_data;
  char *key = sf_format("%s/data/%s", opener->shard->root, file->path);
  char *name = sf_format("data/%s", file->path);
  sf_code code;
  if (key == NULL || name == NULL)
    code = sf_fail_memory(error, "key of a data file");
  else if (sf_lance_storage_is_local(opener->params->storage))
    code = sf_lance_object_open(opener->params->storage, key, name, file->file_size_bytes, opener->cancellation, object,
                                error);
  else
    code = sf_lance_mirror_open(opener->params, opener->manifest, file, key, name, opener->cancellation, object, error);
  free(key);
  free(name);
  return code;
}

/* A data file never changes, nor does a file of deletions; the fragments' order numbers their rows. */
static uint64_t hash_fragment(const Sf__Lance__Fragment *fragment, uint64_t seed) {
  XXH64_hash_t hash = seed;
  for (size_t i = 0; i < fragment->n_files; i++)
    hash = XXH3_64bits_withSeed(fragment->files[i]->path, strlen(fragment->files[i]->path) + 1, hash);
  uint64_t deletions[2] = {0};
  if (fragment->deletion_file != NULL) {
    deletions[0] = fragment->deletion_file->read_version;
    deletions[1] = fragment->deletion_file->id;
  }
  return XXH3_64bits_withSeed(deletions, sizeof(deletions), hash);
}

static sf_code open_fragments(lance_shard *shard, const file_opener *opener, sf_error *error) {
  const Sf__Lance__Manifest *message = opener->manifest->message;
  uint64_t first_row = 0;
  shard->fragments = sf_calloc(message->n_fragments, sizeof(*shard->fragments));
  if (shard->fragments == NULL)
    return sf_fail_memory(error, "fragments");
  for (size_t i = 0; i < message->n_fragments; i++) {
    sf_lance_fragment *fragment = &shard->fragments[i];
    shard->num_fragments = i + 1;
    fragment->first_row = first_row;
    shard->content = hash_fragment(message->fragments[i], shard->content);
    file_opener copy = *opener;
    SF_TRY(sf_lance_fragment_open(opener->params->storage, shard->root, opener->manifest, message->fragments[i],
                                  open_data_file, &copy, opener->cancellation, fragment, error));
    if (__builtin_add_overflow(first_row, fragment->num_rows, &first_row))
      return SF_LANCE_BAD(error, "the fragments have more than 2^64 rows");
    SF_TRY(sf_lance_segments_add(&shard->vectors, opener->params, fragment, opener->cancellation, error));
    uint64_t row_end = sf_lance_fragment_row_end(fragment);
    shard->row_span = row_end > fragment->first_row ? row_end : shard->row_span;
  }
  return SF_OK;
}

static sf_code load(lance_shard *shard, const sf_shard_params *params, const sf_cancellation *cancellation,
                    sf_error *error) {
  sf_lance_manifest manifest = {0};
  sf_code code = sf_lance_dataset_manifest(params->storage, shard->root, cancellation, &manifest, error);
  if (code == SF_OK && manifest.dim != params->dim)
    code = SF_LANCE_BAD(error, "column vector: expected dimension %u, found %u", params->dim, manifest.dim);
  if (code == SF_OK) {
    file_opener opener = {params, shard, &manifest, cancellation};
    code = open_fragments(shard, &opener, error);
  }
  sf_lance_manifest_free(&manifest);
  return code;
}

static void lance_close(sf_shard *closed) {
  lance_shard *shard = lance_of(closed);
  sf_lance_segments_free(&shard->vectors);
  for (size_t i = 0; i < shard->num_fragments; i++)
    sf_lance_fragment_close(&shard->fragments[i]);
  free(shard->fragments);
  free(shard->root);
  free(shard->name);
  free(shard);
}

/* How Lance's own engine states distances. */
enum { CONVENTIONS = 1 << SF_SCORE_COSINE | 1 << SF_SCORE_SQUARED_L2 | 1 << SF_SCORE_ONE_MINUS_DOT };

static void describe(lance_shard *shard, const sf_shard_params *params) {
  shard->base = (sf_shard){
      .format = &sf_lance_format,
      .db_id = params->db_id,
      .dim = params->dim,
      .segments = shard->vectors.segments,
      .num_segments = shard->vectors.num_segments,
      .content = shard->content,
      .row_span = shard->row_span,
      .num_rows = shard->vectors.num_rows,
      .num_not_finite = shard->vectors.num_not_finite,
      .first_not_finite = shard->vectors.first_not_finite,
  };
  (void)sf_score_convention_of(params->metric, CONVENTIONS, &shard->base.score_convention);
}

/* A shard that is searched in place stores only quantized vectors, beside the cache. A cache directory that is not
 * trusted is refused all the same; other failures of it show when it is needed. */
static sf_code use_cache(lance_shard *shard, const sf_shard_params *params, sf_error *error) {
  sf_error failure;
  if (params->verify_only)
    return SF_OK;
  if (!sf_lance_storage_is_local(params->storage))
    return sf_cache_use_folder(params->resources->cache_users, params->cache_dir, &shard->vectors.use, error);
  if (sf_cache_check(params->cache_dir, &failure) != SF_CONFIG_VALIDATION_ERROR)
    return SF_OK;
  if (error != NULL)
    *error = failure;
  return SF_CONFIG_VALIDATION_ERROR;
}

static sf_code lance_open(const sf_shard_params *params, const sf_cancellation *cancellation, sf_shard **opened,
                          sf_error *error) {
  lance_shard *shard = sf_calloc(1, sizeof(*shard));
  if (shard == NULL)
    return sf_fail_memory(error, "shard");
  shard->root = sf_lance_dataset_root(params);
  shard->name = sf_format("shard %u (%s)", (unsigned)params->db_id, params->db_url);
  sf_code code;
  if (shard->root == NULL || shard->name == NULL)
    code = sf_fail_memory(error, "shard");
  else
    code = use_cache(shard, params, error);
  if (code == SF_OK)
    code = load(shard, params, cancellation, error);
  describe(shard, params);
  if (code == SF_OK)
    *opened = &shard->base;
  else
    lance_close(&shard->base);
  return code;
}

/* Failures that are not the shard's own keep their message. */
static sf_code name_shard(const lance_shard *shard, sf_code code, sf_error *error) {
  if (code == SF_OK || code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR || sf_code_retryable(code))
    return code;
  sf_error_prefix(error, "%s", shard->name);
  return code;
}

static sf_code lance_fetch_rows(sf_shard *from, const uint64_t *rows, size_t count, sf_row_sink *sink,
                                sf_error *error) {
  const lance_shard *shard = lance_of(from);
  sf_lance_rows all = {shard->fragments, shard->num_fragments, sf_shard_directory(from)};
  return name_shard(shard, sf_lance_rows_fetch(&all, rows, count, sink, error), error);
}

static sf_code lance_read_rows(sf_shard *from, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                               sf_error *error) {
  const lance_shard *shard = lance_of(from);
  sf_lance_rows all = {shard->fragments, shard->num_fragments, NULL};
  return name_shard(shard, sf_lance_rows_read(&all, visitor, cancellation, error), error);
}

/* Opening has read the vectors. */
static sf_code lance_verify(sf_shard *verified, const sf_cancellation *cancellation, sf_error *error) {
  const lance_shard *shard = lance_of(verified);
  sf_lance_rows all = {shard->fragments, shard->num_fragments, NULL};
  return name_shard(shard, sf_lance_rows_check(&all, cancellation, error), error);
}

const sf_shard_format sf_lance_format = {
    .name = "lance",
    .detect = lance_detect,
    .open = lance_open,
    .fetch_rows = lance_fetch_rows,
    .read_rows = lance_read_rows,
    .has_text_ids = true,
    .verify = lance_verify,
    .close = lance_close,
    .writer = &sf_lance_writer,
};
