#include "formats/lance/segments.h"

#include "base/files.h"
#include "base/memory.h"
#include "cache/scratch_folder.h"
#include "formats/formats.h"
#include "vectors/vector_statistics.h"

#include <math.h>

/* A bitmap of rows, all zero, that is freed with the segments. */
static sf_code add_bitmap(sf_lance_segments *segments, size_t num_rows, uint8_t **bitmap, sf_error *error) {
  void **owned = sf_reallocarray(segments->owned, segments->num_owned + 1, sizeof(*owned));
  if (owned == NULL)
    return sf_fail_memory(error, "segments of vectors");
  segments->owned = owned;
  *bitmap = sf_calloc(num_rows / 8 + 1, 1);
  if (*bitmap == NULL)
    return sf_fail_memory(error, "segments of vectors");
  segments->owned[segments->num_owned++] = *bitmap;
  return SF_OK;
}

static sf_code append(sf_lance_segments *segments, const sf_vector_segment *segment, sf_error *error) {
  if (!sf_array_make_room(&segments->segments, segments->num_segments, &segments->capacity,
                          sizeof(*segments->segments)))
    return sf_fail_memory(error, "segments of vectors");
  segments->segments[segments->num_segments++] = *segment;
  return SF_OK;
}

/* Distances of differences need no norms. */
static sf_code add_lazy_norms(sf_vector_segment *segment, const sf_shard_params *params, sf_error *error) {
  const sf_scoring *scoring = sf_scoring_of_metric(params->metric);
  if (scoring->is_of_differences)
    return SF_OK;
  segment->lazy_norms =
      sf_lazy_norms_create(segment->vectors, segment->num_rows, params->dim, scoring->is_normalised, segment->excluded);
  return segment->lazy_norms != NULL ? SF_OK : sf_fail_memory(error, "norms of vectors");
}

static sf_code add_lazy_quantized(sf_vector_segment *segment, const sf_shard_params *params, sf_error *error) {
  if (!sf_lazy_quantized_serve(segment->num_rows, params->dim))
    return SF_OK;
  segment->lazy_quantized = sf_lazy_quantized_create(segment->vectors, segment->num_rows, params->dim, params->metric,
                                                     segment->excluded, sf_scratch_file_open, params->cache_dir);
  return segment->lazy_quantized != NULL ? SF_OK : sf_fail_memory(error, "quantized vectors");
}

/* In a bitmap as it is made here: of num_rows / 8 + 1 bytes, with zeros after the last row. */
static size_t count_bits(const uint8_t *bits, size_t num_rows) {
  size_t count = 0;
  for (size_t i = 0; i < num_rows / 8 + 1; i++)
    count += bits[i] == 0 ? 0 : (size_t)__builtin_popcount(bits[i]);
  return count;
}

static uint64_t length_of_vectors(const sf_lance_vector_page *page) {
  return page->page->num_rows * page->dim * sizeof(float); /* is within the page's buffer */
}

/* From the first of the pages that are searched in place to the last, as one: each range that is advised by itself
 * costs the process a mapping, of which it can't have many. */
static void advise_plain_pages(const sf_lance_fragment *fragment) {
  const sf_lance_vector_page *first = NULL;
  uint64_t end = 0;
  for (size_t i = 0; i < fragment->vectors.num_pages; i++) {
    const sf_lance_vector_page *page = &fragment->vector_pages[i];
    if (page->kind != SF_LANCE_VECTORS_PLAIN)
      continue;
    if (first == NULL || page->offset < first->offset)
      first = page;
    if (page->offset + length_of_vectors(page) > end)
      end = page->offset + length_of_vectors(page);
  }
  const uint8_t *begin =
      first == NULL ? NULL
                    : sf_lance_object_mapped(first->column->file->object, first->offset, length_of_vectors(first));
  if (begin != NULL)
    sf_advise_scan(begin, (size_t)(end - first->offset)); /* the object is one mapping */
}

/* For few rows, where it costs nothing; in other pages scans find the rows that are not finite
 * (sf_shard_num_not_finite). */
static sf_code exclude_not_finite(const float *vectors, size_t num_rows, size_t dim, uint8_t *excluded,
                                  const sf_cancellation *cancellation, sf_error *error) {
  sf_vector_statistics statistics = {0};
  return sf_vector_statistics_add(&statistics, vectors, 0, num_rows, dim, excluded, NULL, cancellation, error);
}

/* A page whose vectors are searched in the mapped file. */
static sf_code add_plain_page(sf_lance_segments *segments, const sf_shard_params *params,
                              const sf_lance_fragment *fragment, const sf_lance_vector_page *page,
                              const sf_cancellation *cancellation, sf_error *error) {
  size_t num_rows = (size_t)page->page->num_rows;
  const void *vectors = sf_lance_object_mapped(page->column->file->object, page->offset, length_of_vectors(page));
  if (vectors == NULL)
    return sf_fail(error, SF_ERROR, "local cache: %s is not mapped where its vectors lie",
                   sf_lance_object_name(page->column->file->object));
  sf_vector_segment segment = {
      .vectors = vectors,
      .first_row = fragment->first_row + page->page->first_row,
      .num_rows = num_rows,
      .max_norm = INFINITY,
  };
  uint8_t *excluded;
  SF_TRY(add_bitmap(segments, num_rows, &excluded, error));
  sf_lance_deletions_mark(&fragment->deletions, page->page->first_row, num_rows, excluded);
  size_t num_deleted = count_bits(excluded, num_rows);
  SF_TRY(sf_lance_vector_page_nulls(page, cancellation, excluded, error));
  if (!sf_quantized_is_worth_it(num_rows, params->dim))
    SF_TRY(exclude_not_finite(vectors, num_rows, params->dim, excluded, cancellation, error));
  size_t num_excluded = count_bits(excluded, num_rows);
  segments->num_not_finite += num_excluded - num_deleted;
  segment.excluded = num_excluded > 0 ? excluded : NULL;
  segments->num_rows += num_rows - num_excluded;
  SF_TRY(append(segments, &segment, error));
  sf_vector_segment *added = &segments->segments[segments->num_segments - 1];
  SF_TRY(add_lazy_quantized(added, params, error));
  return add_lazy_norms(added, params, error);
}

/* ---------------------------------------------------------------------------------------------------- Decoded pages */

typedef struct decoding {
  sf_vector_file_writer *writer;
  size_t dim;
  uint64_t first_row; /* of the page, in the vector file */
} decoding;

static sf_code write_rows(uint64_t first_row, const float *values, size_t count, void *user_data, sf_error *error) {
  const decoding *target = user_data;
  int64_t row_ids[4096];
  const size_t most = sizeof(row_ids) / sizeof(row_ids[0]);
  uint64_t row = target->first_row + first_row;
  for (size_t done = 0; done < count;) {
    size_t rows = count - done < most ? count - done : most;
    for (size_t i = 0; i < rows; i++)
      row_ids[i] = (int64_t)(row + done + i);
    SF_TRY(sf_vector_file_write_rows(target->writer, row + done, values + done * target->dim, row_ids, rows, error));
    done += rows;
  }
  return SF_OK;
}

static sf_code decode_pages(const sf_lance_fragment *fragment, sf_vector_file_writer *writer,
                            const sf_cancellation *cancellation, sf_error *error) {
  decoding target = {.writer = writer, .dim = fragment->vectors.num_pages > 0 ? fragment->vector_pages[0].dim : 0};
  for (size_t i = 0; i < fragment->vectors.num_pages; i++) {
    const sf_lance_vector_page *page = &fragment->vector_pages[i];
    if (page->kind != SF_LANCE_VECTORS_ENCODED)
      continue;
    SF_TRY(sf_lance_vector_page_decode(page, cancellation, write_rows, &target, error));
    target.first_row += page->page->num_rows;
  }
  return SF_OK;
}

static uint64_t count_encoded_rows(const sf_lance_fragment *fragment) {
  uint64_t num_rows = 0;
  for (size_t i = 0; i < fragment->vectors.num_pages; i++)
    if (fragment->vector_pages[i].kind == SF_LANCE_VECTORS_ENCODED)
      num_rows += fragment->vector_pages[i].page->num_rows;
  return num_rows;
}

/* A vector file of the cache, and the pages that it is made from. */
typedef struct decoded_file {
  const sf_lance_fragment *fragment;
  uint64_t num_rows;
  char name[SF_LANCE_CACHE_NAME_SIZE];
  const sf_vector_file_identity *identity;
} decoded_file;

static sf_code fill_vector_file(void *context, sf_vector_file_writer *writer, const sf_cancellation *cancellation,
                                sf_error *error) {
  const decoded_file *decoded = context;
  return decode_pages(decoded->fragment, writer, cancellation, error);
}

static sf_code make_vector_file(void *context, const sf_folder *folder, const sf_cancellation *cancellation,
                                sf_error *error) {
  const decoded_file *decoded = context;
  return sf_vector_file_write(folder, decoded->name, decoded->identity, decoded->num_rows, fill_vector_file, context,
                              cancellation, error);
}

static sf_code map_decoded(const sf_shard_params *params, const sf_lance_fragment *fragment, uint64_t num_rows,
                           const sf_cancellation *cancellation, sf_vector_file *file, sf_error *error) {
  const sf_lance_object *object = fragment->vectors.file->object;
  decoded_file decoded = {.fragment = fragment, .num_rows = num_rows};
  sf_cached_vectors vectors = {.place = sf_shard_cache_place(params),
                               .name = decoded.name,
                               .identity = {.db_url = params->db_url,
                                            .checkpoint_id = params->checkpoint_id,
                                            .source_size = sf_lance_object_size(object),
                                            .dim = params->dim,
                                            .metric = params->metric},
                               .context = &decoded,
                               .make = make_vector_file};
  decoded.identity = &vectors.identity;
  vectors.num_bytes = sf_vector_file_size(&vectors.identity, num_rows);
  sf_lance_cache_name(sf_lance_object_name(object), "vectors", decoded.name);
  SF_TRY(sf_cached_vectors_open(&vectors, cancellation, file, error));
  if (file->segment.num_rows == num_rows)
    return SF_OK;
  sf_fail(error, SF_ERROR, "local cache: %s/%s: expected %llu rows, found %zu", params->cache_dir, decoded.name,
          (unsigned long long)num_rows, file->segment.num_rows);
  sf_vector_file_unmap(file);
  return SF_ERROR;
}

/* Rows [begin, begin + num_rows) of a vector file as the segment of a page. */
static sf_code add_decoded_page(sf_lance_segments *segments, const sf_shard_params *params,
                                const sf_lance_fragment *fragment, const sf_lance_page *page,
                                const sf_vector_segment *file, size_t begin, sf_error *error) {
  size_t num_rows = (size_t)page->num_rows;
  sf_vector_segment segment = {
      .vectors = file->vectors + begin * params->dim,
      .inverse_norms = file->inverse_norms != NULL ? file->inverse_norms + begin : NULL,
      .first_row = fragment->first_row + page->first_row,
      .num_rows = num_rows,
      .max_norm = file->max_norm,
      .quantized = file->quantized,
      .first_quantized = begin,
  };
  uint8_t *excluded;
  SF_TRY(add_bitmap(segments, num_rows, &excluded, error));
  sf_lance_deletions_mark(&fragment->deletions, page->first_row, num_rows, excluded);
  size_t num_deleted = count_bits(excluded, num_rows);
  for (size_t row = 0; file->excluded != NULL && row < num_rows; row++)
    if (sf_lance_bit(file->excluded, begin + row))
      sf_lance_set_bit(excluded, row);
  size_t num_excluded = count_bits(excluded, num_rows);
  segments->num_not_finite += num_excluded - num_deleted;
  segment.excluded = num_excluded > 0 ? excluded : NULL;
  segments->num_rows += num_rows - num_excluded;
  return append(segments, &segment, error);
}

static sf_code add_file(sf_lance_segments *segments, const sf_shard_params *params, const sf_lance_fragment *fragment,
                        const sf_cancellation *cancellation, const sf_vector_file **file, sf_error *error) {
  static const sf_vector_file none = {0};
  *file = &none;
  uint64_t num_rows = count_encoded_rows(fragment);
  if (num_rows == 0)
    return SF_OK;
  sf_vector_file *files = sf_reallocarray(segments->decoded, segments->num_decoded + 1, sizeof(*files));
  if (files == NULL)
    return sf_fail_memory(error, "vector files");
  segments->decoded = files;
  if (segments->use.users == NULL)
    SF_TRY(sf_cache_use_folder(params->resources->cache_users, params->cache_dir, &segments->use, error));
  SF_TRY(map_decoded(params, fragment, num_rows, cancellation, &files[segments->num_decoded], error));
  *file = &files[segments->num_decoded++];
  return SF_OK;
}

/* A page of a shard that is only verified. */
typedef struct checking {
  size_t dim;
  const uint8_t *deleted;
  uint64_t first_row; /* of the page, in the shard */
  uint64_t num_not_finite;
  sf_noted_rows *first_not_finite;
  const sf_cancellation *cancellation;
} checking;

static sf_code check_rows(uint64_t first_row, const float *values, size_t count, void *user_data, sf_error *error) {
  checking *check = user_data;
  SF_TRY(sf_cancellation_check(check->cancellation, error));
  uint64_t num_not_finite = sf_count_not_finite(values, count, check->dim, check->deleted, first_row);
  for (size_t i = 0; i < count && num_not_finite > 0; i++)
    if (sf_count_not_finite(values + i * check->dim, 1, check->dim, check->deleted, first_row + i) > 0)
      sf_note_row(check->first_not_finite, check->first_row + first_row + i);
  check->num_not_finite += num_not_finite;
  return SF_OK;
}

/* Reads the bytes that a search would, and keeps only the counts. */
static sf_code check_page(sf_lance_segments *segments, const sf_lance_fragment *fragment,
                          const sf_lance_vector_page *page, const sf_cancellation *cancellation, sf_error *error) {
  size_t num_rows = (size_t)page->page->num_rows;
  uint8_t *deleted = sf_calloc(num_rows / 8 + 1, 1);
  if (deleted == NULL)
    return sf_fail_memory(error, "a bitmap of rows");
  sf_lance_deletions_mark(&fragment->deletions, page->page->first_row, num_rows, deleted);
  checking check = {.dim = page->dim,
                    .deleted = deleted,
                    .first_row = fragment->first_row + page->page->first_row,
                    .first_not_finite = &segments->first_not_finite,
                    .cancellation = cancellation};
  sf_code code = sf_lance_vector_page_decode(page, cancellation, check_rows, &check, error);
  segments->num_rows += num_rows - count_bits(deleted, num_rows) - check.num_not_finite;
  segments->num_not_finite += check.num_not_finite;
  free(deleted);
  return code;
}

/* Rows of a page that has no vectors at all. */
static sf_code count_null_page(sf_lance_segments *segments, const sf_lance_fragment *fragment, size_t number,
                               sf_error *error) {
  const sf_lance_page *page = &fragment->vectors.pages[number];
  size_t num_rows = (size_t)page->num_rows;
  if (!sf_lance_fragment_has_rows(fragment, number))
    return SF_OK;
  uint8_t *deleted = sf_calloc(num_rows / 8 + 1, 1);
  if (deleted == NULL)
    return sf_fail_memory(error, "a bitmap of rows");
  sf_lance_deletions_mark(&fragment->deletions, page->first_row, num_rows, deleted);
  for (size_t row = 0; row < num_rows; row++)
    if (!sf_lance_bit(deleted, row))
      sf_note_row(&segments->first_not_finite, fragment->first_row + page->first_row + row);
  segments->num_not_finite += num_rows - count_bits(deleted, num_rows);
  free(deleted);
  return SF_OK;
}

static sf_code check_vectors(sf_lance_segments *segments, const sf_lance_fragment *fragment,
                             const sf_cancellation *cancellation, sf_error *error) {
  for (size_t i = 0; i < fragment->vectors.num_pages; i++) {
    const sf_lance_vector_page *page = &fragment->vector_pages[i];
    if (page->kind == SF_LANCE_VECTORS_NULL)
      SF_TRY(count_null_page(segments, fragment, i, error));
    else
      SF_TRY(check_page(segments, fragment, page, cancellation, error));
  }
  return SF_OK;
}

sf_code sf_lance_segments_add(sf_lance_segments *segments, const sf_shard_params *params,
                              const sf_lance_fragment *fragment, const sf_cancellation *cancellation, sf_error *error) {
  if (params->verify_only)
    return check_vectors(segments, fragment, cancellation, error);
  const sf_vector_file *file;
  size_t begin = 0;
  SF_TRY(add_file(segments, params, fragment, cancellation, &file, error));
  advise_plain_pages(fragment);
  for (size_t i = 0; i < fragment->vectors.num_pages; i++) {
    const sf_lance_vector_page *page = &fragment->vector_pages[i];
    if (page->kind == SF_LANCE_VECTORS_NULL)
      SF_TRY(count_null_page(segments, fragment, i, error));
    if (page->kind == SF_LANCE_VECTORS_PLAIN)
      SF_TRY(add_plain_page(segments, params, fragment, page, cancellation, error));
    if (page->kind != SF_LANCE_VECTORS_ENCODED)
      continue;
    SF_TRY(add_decoded_page(segments, params, fragment, page->page, &file->segment, begin, error));
    begin += (size_t)page->page->num_rows;
  }
  return SF_OK;
}

void sf_lance_segments_free(sf_lance_segments *segments) {
  for (size_t i = 0; i < segments->num_segments; i++) {
    sf_lazy_norms_free(segments->segments[i].lazy_norms);
    sf_lazy_quantized_free(segments->segments[i].lazy_quantized);
  }
  for (size_t i = 0; i < segments->num_decoded; i++)
    sf_vector_file_unmap(&segments->decoded[i]);
  for (size_t i = 0; i < segments->num_owned; i++)
    free(segments->owned[i]);
  sf_cache_use_end(&segments->use);
  free(segments->decoded);
  free(segments->owned);
  free(segments->segments);
  *segments = (sf_lance_segments){0};
}
