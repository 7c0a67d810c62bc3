#include "formats/lance/write_index.h"

#include "base/files.h"
#include "base/time.h"
#include "formats/lance/write_columns.h"

#include "lance_index.pb-c.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define CENTROID_FILE_NAME "index.idx"
#define VECTOR_FILE_NAME "auxiliary.idx"

#define MAX_FIELDS 2
#define MAX_ENTRIES 3
#define TENSOR_OF_FLOAT32 2

/* The order of the vector file's columns. */
enum { ROW_ID_COLUMN, FLAT_COLUMN };

typedef struct lance_metric {
  const char *name;
  uint32_t number;
} lance_metric;

static lance_metric lance_metric_of(sf_metric metric) {
  switch (metric) {
  case SF_METRIC_COSINE:
    return (lance_metric){"cosine", 1};
  case SF_METRIC_DOT_PRODUCT:
    return (lance_metric){"dot", 2};
  case SF_METRIC_L2:
    break;
  }
  return (lance_metric){"l2", 0};
}

bool sf_lance_metric_needs_index(sf_metric metric) {
  return metric != SF_METRIC_L2;
}

/* ------------------------------------------------------------------------------------------------- A file of an index */

typedef struct schema_field {
  const char *name;
  char type[48];
} schema_field;

typedef struct schema_entry {
  const char *key;
  char value[64];
} schema_entry;

/* What a file says of itself. */
typedef struct index_file {
  const char *name;
  uint64_t num_rows;
  schema_field fields[MAX_FIELDS];
  size_t num_fields;
  schema_entry entries[MAX_ENTRIES];
  size_t num_entries;
} index_file;

/* A field, and an entry of the schema's map, with the names that they point to. */
typedef struct described_field {
  Sf__Lance__Field message;
  char name[24];
} described_field;

typedef struct described_entry {
  Sf__Lance__SchemaMetadata message;
  char key[24];
} described_entry;

static void describe_field(schema_field *field, int32_t id, described_field *described) {
  Sf__Lance__Field *message = &described->message;
  *message = (Sf__Lance__Field)SF__LANCE__FIELD__INIT;
  snprintf(described->name, sizeof(described->name), "%s", field->name);
  message->name = described->name;
  message->logical_type = field->type;
  message->has_id = message->has_parent_id = message->has_nullable = message->has_encoding = true;
  message->id = id;
  message->parent_id = -1;
  message->nullable = true;
  message->encoding = SF_LANCE_PLAIN;
}

static void describe_entry(schema_entry *entry, described_entry *described) {
  described->message = (Sf__Lance__SchemaMetadata)SF__LANCE__SCHEMA_METADATA__INIT;
  snprintf(described->key, sizeof(described->key), "%s", entry->key);
  described->message.key = described->key;
  described->message.has_value = true;
  described->message.value = (ProtobufCBinaryData){strlen(entry->value), (uint8_t *)entry->value};
}

static sf_code append_descriptor(sf_buffer *buffer, index_file *file, sf_error *error) {
  described_field fields[MAX_FIELDS];
  described_entry entries[MAX_ENTRIES];
  Sf__Lance__Field *field_pointers[MAX_FIELDS];
  Sf__Lance__SchemaMetadata *entry_pointers[MAX_ENTRIES];
  Sf__Lance__Schema schema = SF__LANCE__SCHEMA__INIT;
  Sf__Lance__FileDescriptor descriptor = SF__LANCE__FILE_DESCRIPTOR__INIT;
  for (size_t i = 0; i < file->num_fields; i++) {
    describe_field(&file->fields[i], (int32_t)i, &fields[i]);
    field_pointers[i] = &fields[i].message;
  }
  for (size_t i = 0; i < file->num_entries; i++) {
    describe_entry(&file->entries[i], &entries[i]);
    entry_pointers[i] = &entries[i].message;
  }
  schema.n_fields = file->num_fields;
  schema.fields = field_pointers;
  schema.n_metadata = file->num_entries;
  schema.metadata = entry_pointers;
  descriptor.schema = &schema;
  descriptor.has_length = true;
  descriptor.length = file->num_rows;
  return sf_lance_append_message(buffer, &descriptor, error);
}

/* The one partition, of as many rows as the file. `centroid` NULL: the file does not have it. */
static sf_code append_partitions(sf_buffer *buffer, const index_file *file, float *centroid, uint32_t dim,
                                 sf_error *error) {
  uint64_t offset = 0;
  uint32_t length = (uint32_t)file->num_rows;
  uint32_t shape[2] = {1, dim};
  Sf__Lance__Partitions partitions = SF__LANCE__PARTITIONS__INIT;
  Sf__Lance__Tensor tensor = SF__LANCE__TENSOR__INIT;
  partitions.n_offsets = partitions.n_lengths = 1;
  partitions.offsets = &offset;
  partitions.lengths = &length;
  tensor.has_data_type = tensor.has_data = true;
  tensor.data_type = TENSOR_OF_FLOAT32;
  tensor.n_shape = 2;
  tensor.shape = shape;
  tensor.data = (ProtobufCBinaryData){dim * sizeof(float), (uint8_t *)centroid};
  if (centroid != NULL)
    partitions.centroids = &tensor;
  return sf_lance_append_message(buffer, &partitions, error);
}

/* The descriptor is the first global buffer, the partitions are the second: "lance:ivf" says so. */
static sf_code finish_file(sf_lance_file_writer *writer, index_file *file, float *centroid, uint32_t dim,
                           uint64_t *size, sf_error *error) {
  sf_buffer buffers[2] = {0};
  sf_code code = append_descriptor(&buffers[0], file, error);
  if (code == SF_OK)
    code = append_partitions(&buffers[1], file, centroid, dim, error);
  if (code == SF_OK)
    code = sf_lance_file_finish(writer, buffers, 2, size, error);
  sf_buffer_free(&buffers[0]);
  sf_buffer_free(&buffers[1]);
  return code;
}

static sf_code create_file(const char *folder, const index_file *file, sf_lance_file_writer *writer, sf_error *error) {
  char *path = sf_format("%s/%s", folder, file->name);
  if (path == NULL)
    return sf_fail_memory(error, "path of an index");
  sf_code code = sf_lance_file_create(path, file->num_fields, writer, error);
  free(path);
  return code;
}

/* The centroid; the column is there for its type, and has no rows. */
static sf_code write_centroid(const char *folder, lance_metric metric, float *centroid, uint32_t dim, uint64_t *size,
                              sf_error *error) {
  index_file file = {.name = CENTROID_FILE_NAME,
                     .num_fields = 1,
                     .fields = {{"__flat_marker", "uint64"}},
                     .num_entries = 3,
                     .entries = {{"lance:ivf", "1"}, {"lance:flat", "[\"\"]"}, {.key = "lance:index"}}};
  snprintf(file.entries[2].value, sizeof(file.entries[2].value), "{\"type\":\"IVF_FLAT\",\"distance_type\":\"%s\"}",
           metric.name);
  sf_lance_file_writer writer = {.descriptor = -1};
  sf_code code = create_file(folder, &file, &writer, error);
  if (code == SF_OK)
    code = finish_file(&writer, &file, centroid, dim, size, error);
  sf_lance_file_close(&writer);
  return code;
}

/* Row 0 of fragment 0 has the row id 0. */
static sf_code write_vector(const char *folder, lance_metric metric, float *vector, uint32_t dim, uint64_t *size,
                            sf_error *error) {
  index_file file = {.name = VECTOR_FILE_NAME,
                     .num_rows = 1,
                     .num_fields = 2,
                     .fields = {[ROW_ID_COLUMN] = {"_rowid", "uint64"}, [FLAT_COLUMN] = {.name = "flat"}},
                     .num_entries = 3,
                     .entries = {{"lance:ivf", "1"}, {.key = "distance_type"}, {.key = "storage_metadata"}}};
  snprintf(file.fields[FLAT_COLUMN].type, sizeof(file.fields[FLAT_COLUMN].type), "fixed_size_list:float:%" PRIu32, dim);
  snprintf(file.entries[1].value, sizeof(file.entries[1].value), "%s", metric.name);
  snprintf(file.entries[2].value, sizeof(file.entries[2].value), "[\"{\\\"dim\\\":%" PRIu32 "}\"]", dim);
  sf_lance_file_writer writer = {.descriptor = -1};
  sf_code code = create_file(folder, &file, &writer, error);
  if (code == SF_OK)
    code = sf_lance_add_number_page(&writer, ROW_ID_COLUMN, 0, error);
  if (code == SF_OK)
    code = sf_lance_add_vector_page(&writer, FLAT_COLUMN, vector, 1, dim, error);
  if (code == SF_OK)
    code = finish_file(&writer, &file, NULL, dim, size, error);
  sf_lance_file_close(&writer);
  return code;
}

/* ------------------------------------------------------------------------------------------------------ The index */

/* Lance's indexes by cosine have unit vectors. */
static void normalize(float *vector, uint32_t dim) {
  double square = 0;
  for (uint32_t i = 0; i < dim; i++)
    square += (double)vector[i] * vector[i];
  double norm = sqrt(square);
  if (norm == 0)
    return;
  for (uint32_t i = 0; i < dim; i++)
    vector[i] = (float)(vector[i] / norm);
}

static sf_code write_files(const char *folder, float *vector, uint32_t dim, sf_lance_written_index *index,
                           sf_error *error) {
  lance_metric metric = lance_metric_of(index->metric);
  SF_TRY(sf_make_folders(folder, error));
  SF_TRY(write_centroid(folder, metric, vector, dim, &index->centroid_file_size, error));
  SF_TRY(write_vector(folder, metric, vector, dim, &index->vector_file_size, error));
  sf_sync_folder(folder);
  return SF_OK;
}

sf_code sf_lance_write_index(const char *root, sf_metric metric, const float *vector, uint32_t dim,
                             sf_lance_written_index *index, sf_error *error) {
  char uuid[SF_UUID_SIZE];
  *index = (sf_lance_written_index){.metric = metric};
  SF_TRY(sf_uuid_bytes_make(index->uuid, error));
  sf_uuid_print(index->uuid, uuid);
  char *parent = sf_format("%s/_indices", root);
  char *folder = sf_format("%s/_indices/%s", root, uuid);
  float *stored = sf_calloc(dim, sizeof(float));
  sf_code code = SF_OK;
  if (parent == NULL || folder == NULL || stored == NULL) {
    code = sf_fail_memory(error, "an index");
  } else {
    memcpy(stored, vector, dim * sizeof(float));
    if (metric == SF_METRIC_COSINE)
      normalize(stored, dim);
    code = write_files(folder, stored, dim, index, error);
    sf_sync_folder(parent);
  }
  free(parent);
  free(folder);
  free(stored);
  return code;
}

static sf_code append_details(sf_buffer *buffer, sf_metric metric, sf_error *error) {
  Sf__Lance__FlatVectors flat = SF__LANCE__FLAT_VECTORS__INIT;
  Sf__Lance__VectorIndexDetails details = SF__LANCE__VECTOR_INDEX_DETAILS__INIT;
  details.has_metric = true;
  details.metric = lance_metric_of(metric).number;
  details.flat = &flat;
  return sf_lance_append_any(buffer, "/lance.index.pb.VectorIndexDetails", &details, error);
}

/* The index, but for its files and details. It points to `uuid`. */
static void describe_index(sf_lance_written_index *written, Sf__Lance__Uuid *uuid, Sf__Lance__Index *index) {
  /* The set {0}: the form without runs, one container, its upper half 0, one member, at 16, which is 0. */
  static uint8_t bitmap[18] = {0x3A, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 16};
  static int32_t field = SF_LANCE_VECTOR;
  static char index_name[] = "vector_idx"; /* as lancedb names it */
  *uuid = (Sf__Lance__Uuid)SF__LANCE__UUID__INIT;
  *index = (Sf__Lance__Index)SF__LANCE__INDEX__INIT;
  uuid->has_uuid = true;
  uuid->uuid = (ProtobufCBinaryData){sizeof(written->uuid), written->uuid};
  index->uuid = uuid;
  index->n_fields = 1;
  index->fields = &field;
  index->name = index_name;
  index->has_dataset_version = index->has_fragment_bitmap = index->has_index_version = index->has_created_at = true;
  index->dataset_version = index->index_version = 1;
  index->fragment_bitmap = (ProtobufCBinaryData){sizeof(bitmap), bitmap};
  index->created_at = (uint64_t)(sf_wall_clock_seconds() * 1000);
}

static void describe_file(char *name, uint64_t size, Sf__Lance__IndexFile *file) {
  *file = (Sf__Lance__IndexFile)SF__LANCE__INDEX_FILE__INIT;
  file->path = name;
  file->has_size = true;
  file->size = size;
}

sf_code sf_lance_append_index_section(sf_buffer *buffer, const sf_lance_written_index *written, sf_error *error) {
  static char centroid_file_name[] = CENTROID_FILE_NAME;
  static char vector_file_name[] = VECTOR_FILE_NAME;
  sf_lance_written_index copy = *written;
  Sf__Lance__Uuid uuid;
  Sf__Lance__Index index;
  Sf__Lance__Index *indices = &index;
  Sf__Lance__IndexFile files[2];
  Sf__Lance__IndexFile *file_pointers[2] = {&files[0], &files[1]};
  Sf__Lance__IndexSection section = SF__LANCE__INDEX_SECTION__INIT;
  sf_buffer details = {0};
  describe_index(&copy, &uuid, &index);
  describe_file(centroid_file_name, written->centroid_file_size, &files[0]);
  describe_file(vector_file_name, written->vector_file_size, &files[1]);
  index.n_files = 2;
  index.files = file_pointers;
  section.n_indices = 1;
  section.indices = &indices;
  sf_code code = append_details(&details, written->metric, error);
  index.has_details = true;
  index.details = (ProtobufCBinaryData){details.length, details.data};
  if (code == SF_OK)
    code = sf_lance_append_message(buffer, &section, error);
  sf_buffer_free(&details);
  return code;
}
