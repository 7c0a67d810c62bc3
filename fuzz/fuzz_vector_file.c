/* The bytes are a vector file. Its checksums and its identity are corrected, so that the code after these checks is reached
 * too. */
#include "../tests/temporary_folder.h"
#include "cache/vector_file.h"
#include "cache/vector_layout.h"

#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const sf_vector_file_identity identity = {
    .db_url = "s3://b/p", .source_size = 8192, .source_modified = 17, .dim = 4, .metric = SF_METRIC_COSINE};

/* Reads all that a search would. */
static void use_file(const sf_vector_file *file) {
  const sf_vector_segment *segment = &file->segment;
  double sum = segment->max_norm;
  for (size_t i = 0; i < segment->num_rows; i++) {
    sum += segment->vectors[i * identity.dim + 3] + segment->inverse_norms[i] + (double)file->row_ids[i];
    if (segment->excluded != NULL)
      sum += segment->excluded[i >> 3];
  }
  volatile double kept = sum;
  (void)kept;
  if (file->num_not_finite > segment->num_rows || !(segment->max_norm >= 0))
    abort();
}

static const sf_folder *folder(void) {
  static sf_folder opened;
  bool found;
  if (opened.path == NULL && sf_folder_open(use_temporary_folder(), false, &found, &opened, NULL) != SF_OK)
    abort();
  return &opened;
}

static void map_bytes(const uint8_t *bytes, size_t size) {
  char path[256];
  snprintf(path, sizeof(path), "%s/vectors.sfv", use_temporary_folder());
  write_whole_file(path, bytes, size);
  sf_vector_file file;
  bool usable;
  if (sf_vector_file_map(folder(), "vectors.sfv", &identity, &usable, &file, NULL) != SF_OK)
    abort();
  if (usable)
    use_file(&file);
  sf_vector_file_unmap(&file);
}

/* The hash of the identity, as a file of that identity has it. */
static uint64_t identity_hash(void) {
  static uint64_t hash;
  if (hash != 0)
    return hash;
  char path[256];
  snprintf(path, sizeof(path), "%s/identity.sfv", use_temporary_folder());
  sf_vector_file_writer *writer;
  sf_vector_file_header header;
  if (sf_vector_file_create(folder(), "identity.sfv", &identity, 0, &writer, NULL) != SF_OK ||
      sf_vector_file_finish(writer, NULL) != SF_OK)
    abort();
  FILE *file = fopen(path, "rb");
  if (file == NULL || fread(&header, sizeof(header), 1, file) != 1)
    abort();
  fclose(file);
  hash = header.identity;
  return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  map_bytes(data, size);
  sf_vector_file_header header;
  if (size < sizeof(header))
    return 0;
  uint8_t *copy = malloc(size);
  if (copy == NULL)
    abort();
  memcpy(copy, data, size);
  memcpy(&header, data, sizeof(header));
  header.identity = identity_hash();
  header.data_checksum = XXH3_64bits(data + sizeof(header), size - sizeof(header));
  header.header_checksum = 0;
  header.header_checksum = XXH3_64bits(&header, sizeof(header));
  memcpy(copy, &header, sizeof(header));
  map_bytes(copy, size);
  free(copy);
  return 0;
}
