#include "cache/vector_file.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/files.h"
#include "base/memory.h"
#include "cache/vector_layout.h"
#include "vectors/vector_statistics.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "vector files are mapped as they are: little-endian machines only"
#endif

/* Bytes of quantized vectors that are written at a time. */
enum { QUANTIZED_BYTES = 256 * 1024 };

static uint64_t hash_identity(const sf_vector_file_identity *identity) {
  /* The NULs keep ("ab", "c") and ("a", "bc") apart. */
  XXH64_hash_t hash = XXH3_64bits(identity->db_url, strlen(identity->db_url) + 1);
  const char *checkpoint = identity->checkpoint_id == NULL ? "" : identity->checkpoint_id;
  hash = XXH3_64bits_withSeed(checkpoint, strlen(checkpoint) + 1, hash);
  uint64_t numbers[] = {identity->source_size, (uint64_t)identity->source_modified};
  return XXH3_64bits_withSeed(numbers, sizeof(numbers), hash);
}

static uint64_t hash_header(const sf_vector_file_header *header) {
  sf_vector_file_header copy = *header;
  copy.header_checksum = 0;
  return XXH3_64bits(&copy, sizeof(copy));
}

/* Whether the header is whole and of the wanted identity. The sections' offsets follow from its numbers and are not
 * stored. */
static bool header_fits(const sf_vector_file_header *header, const sf_vector_file_identity *identity,
                        uint64_t file_size, sf_vector_layout *layout) {
  if (memcmp(header->magic, SF_VECTOR_FILE_MAGIC, sizeof(header->magic)) != 0 ||
      header->version != SF_VECTOR_FILE_VERSION || header->header_checksum != hash_header(header))
    return false;
  if (header->identity != hash_identity(identity) || header->dim != identity->dim ||
      header->metric != (uint32_t)identity->metric)
    return false;
  if (header->num_not_finite > header->num_rows || !(header->max_norm >= 0))
    return false;
  return sf_vector_layout_compute(header->num_rows, header->dim, identity->metric, header->num_not_finite > 0,
                                  layout) &&
         layout->file_size == file_size;
}

static bool data_checks_out(const uint8_t *bytes, const sf_vector_file_header *header, uint64_t file_size) {
  return XXH3_64bits(bytes + sizeof(*header), (size_t)file_size - sizeof(*header)) == header->data_checksum;
}

static void describe_mapping(const uint8_t *bytes, const sf_vector_file_header *header, const sf_vector_layout *layout,
                             sf_vector_file *file) {
  /* The sections' offsets are multiples of their items' sizes, and the mapping begins at a page. */
  SF_ASSERT(layout->vectors % 64 == 0 && layout->row_ids % 64 == 0 && layout->centre % 64 == 0);
  const void *norms = bytes + layout->norms;
  const void *vectors = bytes + layout->vectors;
  const void *row_ids = bytes + layout->row_ids;
  file->segment = (sf_vector_segment){
      .vectors = vectors,
      .inverse_norms = layout->has_norms ? norms : NULL,
      .excluded = layout->has_excluded ? bytes + layout->excluded : NULL,
      .num_rows = (size_t)header->num_rows,
      .max_norm = header->max_norm,
  };
  if (layout->has_quantized) {
    const void *centre = bytes + layout->centre;
    file->segment.quantized = (sf_quantized){.metric = (sf_metric)header->metric, .centre = centre};
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
      file->segment.quantized.groups[kind] = bytes + layout->groups[kind];
  }
  file->row_ids = row_ids;
  file->num_not_finite = header->num_not_finite;
}

static sf_code map_descriptor(int descriptor, const sf_folder *folder, const char *name, uint64_t file_size,
                              const sf_vector_file_identity *identity, bool *usable, sf_vector_file *file,
                              sf_error *error) {
  sf_vector_file_header header;
  sf_vector_layout layout;
  if (file_size < sizeof(header) || file_size > SIZE_MAX ||
      pread(descriptor, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
      !header_fits(&header, identity, file_size, &layout))
    return SF_OK;
  void *mapping = mmap(NULL, (size_t)file_size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "local cache: can't map %s/%s: %s", folder->path, name,
                   strerror(errno));
  sf_advise_scan(mapping, (size_t)file_size);
  if (!data_checks_out(mapping, &header, file_size)) {
    munmap(mapping, (size_t)file_size);
    return SF_OK;
  }
  file->mapping = mapping;
  file->mapping_length = (size_t)file_size;
  describe_mapping(mapping, &header, &layout, file);
  *usable = true;
  return SF_OK;
}

sf_code sf_vector_file_map(const sf_folder *folder, const char *name, const sf_vector_file_identity *identity,
                           bool *usable, sf_vector_file *file, sf_error *error) {
  int descriptor;
  struct stat status;
  *usable = false;
  *file = (sf_vector_file){0};
  SF_TRY(sf_folder_open_file(folder, name, &descriptor, &status, error));
  if (descriptor < 0)
    return SF_OK;
  sf_code code = map_descriptor(descriptor, folder, name, (uint64_t)status.st_size, identity, usable, file, error);
  close(descriptor);
  return code;
}

void sf_vector_file_unmap(sf_vector_file *file) {
  if (file->mapping != NULL)
    munmap(file->mapping, file->mapping_length);
  *file = (sf_vector_file){0};
}

struct sf_vector_file_writer {
  sf_new_file file;
  sf_vector_file_header header;
  sf_vector_layout layout; /* with a bitmap of excluded rows; it is cut off when there are none */
  sf_vector_statistics statistics;
  uint8_t *excluded;
};

void sf_vector_file_abandon(sf_vector_file_writer *writer) {
  if (writer == NULL)
    return;
  sf_new_file_end(&writer->file);
  free(writer->excluded);
  free(writer);
}

/* Of the file with a bitmap of excluded rows. */
uint64_t sf_vector_file_size(const sf_vector_file_identity *identity, uint64_t num_rows) {
  sf_vector_layout layout;
  return sf_vector_layout_compute(num_rows, identity->dim, identity->metric, true, &layout) ? layout.file_size : 0;
}

/* One temporary name for all writers: only one holds the folder's lock. */
static sf_code open_writer(sf_vector_file_writer *writer, const sf_folder *folder, const char *name, sf_error *error) {
  const uint64_t size = writer->layout.file_size;
  writer->excluded = sf_calloc((size_t)(writer->header.num_rows + 7) / 8, 1);
  if (writer->excluded == NULL)
    return sf_fail_memory(error, name);
  sf_code code = sf_new_file_make(folder, name, &writer->file, error);
  if (code == SF_OK)
    code = sf_reserve(writer->file.descriptor, writer->file.path, 0, size, size, error);
  return code == SF_ERROR ? sf_error_prefix(error, "local cache") : code;
}

sf_code sf_vector_file_create(const sf_folder *folder, const char *name, const sf_vector_file_identity *identity,
                              uint64_t num_rows, sf_vector_file_writer **created, sf_error *error) {
  sf_vector_file_writer *writer = sf_calloc(1, sizeof(*writer));
  if (writer == NULL)
    return sf_fail_memory(error, name);
  writer->file = (sf_new_file)SF_NEW_FILE_NONE;
  writer->header = (sf_vector_file_header){.version = SF_VECTOR_FILE_VERSION,
                                           .dim = identity->dim,
                                           .metric = (uint32_t)identity->metric,
                                           .num_rows = num_rows,
                                           .identity = hash_identity(identity)};
  memcpy(writer->header.magic, SF_VECTOR_FILE_MAGIC, sizeof(writer->header.magic));
  sf_code code = SF_OK;
  if (!sf_vector_layout_compute(num_rows, identity->dim, identity->metric, true, &writer->layout))
    code = sf_fail(error, SF_DB_ADAPTER_ERROR, "expected a number of rows that fits memory, found %llu",
                   (unsigned long long)num_rows);
  else
    code = open_writer(writer, folder, name, error);
  if (code == SF_OK)
    *created = writer;
  else
    sf_vector_file_abandon(writer);
  return code;
}

/* Norms of a batch of rows: as many as fit the stack are computed and written at a time. */
static sf_code write_statistics(sf_vector_file_writer *writer, uint64_t first_row, const float *vectors, size_t count,
                                sf_error *error) {
  float norms[512];
  const size_t batch = sizeof(norms) / sizeof(norms[0]);
  const size_t dim = writer->header.dim;
  for (size_t done = 0; done < count;) {
    size_t rows = count - done < batch ? count - done : batch;
    SF_TRY(sf_vector_statistics_add(&writer->statistics, vectors + done * dim, first_row + done, rows, dim,
                                    writer->excluded, writer->layout.has_norms ? norms : NULL, NULL, error));
    if (writer->layout.has_norms)
      SF_TRY(sf_write_at(writer->file.descriptor, writer->file.path, norms, rows * sizeof(float),
                         writer->layout.norms + (first_row + done) * sizeof(float), error));
    done += rows;
  }
  return SF_OK;
}

sf_code sf_vector_file_write_rows(sf_vector_file_writer *writer, uint64_t first_row, const float *vectors,
                                  const int64_t *row_ids, size_t count, sf_error *error) {
  const size_t row_bytes = (size_t)writer->header.dim * sizeof(float);
  SF_ASSERT(first_row <= writer->header.num_rows && count <= writer->header.num_rows - first_row);
  SF_TRY(sf_write_at(writer->file.descriptor, writer->file.path, vectors, count * row_bytes,
                     writer->layout.vectors + first_row * row_bytes, error));
  SF_TRY(sf_write_at(writer->file.descriptor, writer->file.path, row_ids, count * sizeof(int64_t),
                     writer->layout.row_ids + first_row * sizeof(int64_t), error));
  return write_statistics(writer, first_row, vectors, count, error);
}

/* Room for some groups of each kind. */
typedef struct group_buffer {
  size_t capacity; /* groups of each kind */
  float *centre;
  uint8_t *groups[SF_QUANTIZED_KINDS];
} group_buffer;

static sf_code write_groups(sf_vector_file_writer *writer, const float *vectors, const group_buffer *buffer,
                            sf_error *error) {
  const sf_vector_file_header *header = &writer->header;
  const sf_metric metric = (sf_metric)header->metric;
  const size_t num_rows = (size_t)header->num_rows;
  const size_t capacity = buffer->capacity * SF_QUANTIZED_GROUP_ROWS;
  for (size_t row = 0; row < num_rows; row += capacity) {
    size_t count = num_rows - row < capacity ? num_rows - row : capacity;
    sf_quantized_make_groups(vectors + row * header->dim, count, header->dim, metric, buffer->centre, buffer->groups);
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
      uint64_t group_size = sf_quantized_group_size(kind, header->dim, metric);
      SF_TRY(sf_write_at(writer->file.descriptor, writer->file.path, buffer->groups[kind],
                         (size_t)(sf_quantized_num_groups(count) * group_size),
                         writer->layout.groups[kind] + row / SF_QUANTIZED_GROUP_ROWS * group_size, error));
    }
  }
  return SF_OK;
}

static bool make_buffer(const sf_vector_file_header *header, group_buffer *buffer) {
  uint64_t largest = sf_quantized_group_size(SF_QUANTIZED_4BIT, header->dim, (sf_metric)header->metric);
  *buffer = (group_buffer){.capacity = QUANTIZED_BYTES / (size_t)largest + 1,
                           .centre = sf_calloc(header->dim, sizeof(float))};
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    buffer->groups[kind] =
        sf_calloc(buffer->capacity, (size_t)sf_quantized_group_size(kind, header->dim, (sf_metric)header->metric));
  return buffer->centre != NULL && buffer->groups[SF_QUANTIZED_2BIT] != NULL &&
         buffer->groups[SF_QUANTIZED_4BIT] != NULL;
}

static void free_buffer(group_buffer *buffer) {
  free(buffer->centre);
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    free(buffer->groups[kind]);
}

/* Of the vectors that were just written. */
static sf_code write_quantized(sf_vector_file_writer *writer, const float *vectors, sf_error *error) {
  const sf_vector_file_header *header = &writer->header;
  group_buffer buffer;
  sf_code code = SF_OK;
  if (make_buffer(header, &buffer)) {
    sf_quantized_choose_centre(vectors, (size_t)header->num_rows, header->dim, (sf_metric)header->metric,
                               buffer.centre);
    code = sf_write_at(writer->file.descriptor, writer->file.path, buffer.centre, header->dim * sizeof(float),
                       writer->layout.centre, error);
  } else {
    code = sf_fail_memory(error, "quantized vectors");
  }
  if (code == SF_OK)
    code = write_groups(writer, vectors, &buffer, error);
  free_buffer(&buffer);
  return code;
}

static sf_code add_quantized(sf_vector_file_writer *writer, sf_error *error) {
  size_t length = (size_t)writer->layout.row_ids; /* the vectors come before it */
  if (!writer->layout.has_quantized)
    return SF_OK;
  uint8_t *mapping = mmap(NULL, length, PROT_READ, MAP_SHARED, writer->file.descriptor, 0);
  if (mapping == MAP_FAILED)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "local cache: can't map %s: %s", writer->file.path,
                   strerror(errno));
  const void *vectors = mapping + writer->layout.vectors;
  sf_code code = write_quantized(writer, vectors, error);
  munmap(mapping, length);
  return code;
}

/* The checksum of all bytes after the header, over the pages that were just written. */
static sf_code checksum_data(sf_vector_file_writer *writer, uint64_t *checksum, sf_error *error) {
  size_t length = (size_t)writer->layout.file_size;
  uint8_t *mapping = mmap(NULL, length, PROT_READ, MAP_SHARED, writer->file.descriptor, 0);
  if (mapping == MAP_FAILED)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "local cache: can't map %s: %s", writer->file.path,
                   strerror(errno));
  *checksum = XXH3_64bits(mapping + sizeof(writer->header), length - sizeof(writer->header));
  munmap(mapping, length);
  return SF_OK;
}

static sf_code complete(sf_vector_file_writer *writer, sf_error *error) {
  sf_vector_file_header *header = &writer->header;
  const char *path = writer->file.path;
  header->num_not_finite = writer->statistics.num_not_finite;
  header->max_norm = writer->statistics.max_norm;
  bool has_excluded = header->num_not_finite > 0;
  SF_TRY(add_quantized(writer, error));
  if (has_excluded)
    SF_TRY(sf_write_at(writer->file.descriptor, path, writer->excluded, (size_t)(header->num_rows + 7) / 8,
                       writer->layout.excluded, error));
  sf_vector_layout_compute(header->num_rows, header->dim, (sf_metric)header->metric, has_excluded, &writer->layout);
  if (ftruncate(writer->file.descriptor, (off_t)writer->layout.file_size) != 0)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "local cache: can't set the length of %s: %s", path,
                   strerror(errno));
  /* The header's page, too, has to be there before it is read through the mapping: a hole on a full disk is a
   * SIGBUS. */
  SF_TRY(sf_write_at(writer->file.descriptor, path, header, sizeof(*header), 0, error));
  SF_TRY(checksum_data(writer, &header->data_checksum, error));
  header->header_checksum = hash_header(header);
  SF_TRY(sf_write_at(writer->file.descriptor, path, header, sizeof(*header), 0, error));
  return sf_new_file_publish(&writer->file, error);
}

sf_code sf_vector_file_finish(sf_vector_file_writer *writer, sf_error *error) {
  sf_code code = complete(writer, error);
  sf_vector_file_abandon(writer); /* what was published stays */
  return code;
}

sf_code sf_vector_file_write(const sf_folder *folder, const char *name, const sf_vector_file_identity *identity,
                             uint64_t num_rows, sf_vector_file_fill fill, void *context,
                             const sf_cancellation *cancellation, sf_error *error) {
  sf_vector_file_writer *writer;
  SF_TRY(sf_vector_file_create(folder, name, identity, num_rows, &writer, error));
  sf_code code = fill(context, writer, cancellation, error);
  if (code == SF_OK)
    return sf_vector_file_finish(writer, error);
  sf_vector_file_abandon(writer);
  return code;
}

typedef struct opening {
  const sf_cached_vectors *vectors;
  sf_vector_file *file;
} opening;

static sf_code map_vectors(void *context, const sf_folder *folder, bool *usable, sf_error *error) {
  const opening *of = context;
  return sf_vector_file_map(folder, of->vectors->name, &of->vectors->identity, usable, of->file, error);
}

static sf_code make_vectors(void *context, const sf_folder *folder, const sf_cancellation *cancellation,
                            sf_error *error) {
  const opening *of = context;
  return of->vectors->make(of->vectors->context, folder, cancellation, error);
}

sf_code sf_cached_vectors_open(const sf_cached_vectors *vectors, const sf_cancellation *cancellation,
                               sf_vector_file *file, sf_error *error) {
  opening of = {vectors, file};
  const sf_cached_file cached = {.place = vectors->place,
                                 .name = vectors->name,
                                 .num_bytes = vectors->num_bytes,
                                 .context = &of,
                                 .map = map_vectors,
                                 .make = make_vectors};
  *file = (sf_vector_file){0};
  return sf_cached_file_open(&cached, cancellation, error);
}
