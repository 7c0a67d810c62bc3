#include "formats/lance/write_manifest.h"

#include "base/files.h"
#include "base/time.h"
#include "shardyfusion.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

/* The schema, with the messages that it points to. */
typedef struct written_schema {
  Sf__Lance__Field fields[SF_LANCE_NUM_COLUMNS];
  Sf__Lance__Field *pointers[SF_LANCE_NUM_COLUMNS];
  char names[SF_LANCE_NUM_COLUMNS][16];
  char vector_type[48];
} written_schema;

/* Every column may be null, as those that lancedb makes: others may be appended to it. */
static void describe_schema(uint32_t dim, written_schema *schema) {
  static char string_type[] = "string";
  snprintf(schema->vector_type, sizeof(schema->vector_type), "fixed_size_list:float:%" PRIu32, dim);
  for (int i = 0; i < SF_LANCE_NUM_COLUMNS; i++) {
    Sf__Lance__Field *field = &schema->fields[i];
    *field = (Sf__Lance__Field)SF__LANCE__FIELD__INIT;
    snprintf(schema->names[i], sizeof(schema->names[i]), "%s", sf_lance_column_name((sf_lance_column_role)i));
    field->name = schema->names[i];
    field->has_id = field->has_parent_id = field->has_nullable = field->has_encoding = true;
    field->id = i;
    field->parent_id = -1;
    field->nullable = true;
    field->logical_type = i == SF_LANCE_VECTOR ? schema->vector_type : string_type;
    field->encoding = i == SF_LANCE_VECTOR ? SF_LANCE_PLAIN : SF_LANCE_OF_VARIABLE_LENGTH;
    schema->pointers[i] = field;
  }
}

sf_code sf_lance_append_file_descriptor(sf_buffer *buffer, uint32_t dim, uint64_t num_rows, sf_error *error) {
  written_schema fields;
  Sf__Lance__Schema schema = SF__LANCE__SCHEMA__INIT;
  Sf__Lance__FileDescriptor descriptor = SF__LANCE__FILE_DESCRIPTOR__INIT;
  describe_schema(dim, &fields);
  schema.n_fields = SF_LANCE_NUM_COLUMNS;
  schema.fields = fields.pointers;
  descriptor.schema = &schema;
  descriptor.has_length = true;
  descriptor.length = num_rows;
  return sf_lance_append_message(buffer, &descriptor, error);
}

void sf_lance_data_file_name(size_t number, char name[SF_LANCE_FILE_NAME_SIZE]) {
  snprintf(name, SF_LANCE_FILE_NAME_SIZE, "%u.lance", (unsigned)number);
}

/* A fragment, with the messages that it points to. */
typedef struct written_fragment {
  Sf__Lance__Fragment fragment;
  Sf__Lance__DataFile file;
  Sf__Lance__DataFile *files;
  char name[SF_LANCE_FILE_NAME_SIZE];
} written_fragment;

static void describe_fragment(const sf_lance_written_file *file, size_t number, written_fragment *described) {
  static int32_t numbers[SF_LANCE_NUM_COLUMNS] = {0, 1, 2}; /* of the fields, and of their columns */
  Sf__Lance__DataFile *data_file = &described->file;
  Sf__Lance__Fragment *fragment = &described->fragment;
  *data_file = (Sf__Lance__DataFile)SF__LANCE__DATA_FILE__INIT;
  *fragment = (Sf__Lance__Fragment)SF__LANCE__FRAGMENT__INIT;
  sf_lance_data_file_name(number, described->name);
  data_file->path = described->name;
  data_file->n_fields = data_file->n_column_indices = SF_LANCE_NUM_COLUMNS;
  data_file->fields = data_file->column_indices = numbers;
  data_file->has_file_major_version = data_file->has_file_size_bytes = true;
  data_file->file_major_version = 2;
  data_file->file_size_bytes = file->size;
  described->files = data_file;
  fragment->has_id = number != 0;
  fragment->id = number;
  fragment->n_files = 1;
  fragment->files = &described->files;
  fragment->has_physical_rows = true;
  fragment->physical_rows = file->num_rows;
}

static Sf__Lance__Timestamp now(void) {
  Sf__Lance__Timestamp timestamp = SF__LANCE__TIMESTAMP__INIT;
  double seconds = sf_wall_clock_seconds();
  timestamp.has_seconds = timestamp.has_nanos = true;
  timestamp.seconds = (int64_t)floor(seconds);
  timestamp.nanos = (int32_t)((seconds - floor(seconds)) * 1e9);
  return timestamp;
}

static sf_code append_manifest(sf_buffer *buffer, const sf_lance_written_dataset *dataset, sf_error *error) {
  static char library[] = "shardyfusion";
  static char library_version[] = SF_VERSION_STRING;
  static char file_format[] = "lance";
  static char file_version[] = "2.0";
  written_schema schema;
  written_fragment fragments[SF_LANCE_MAX_FILES];
  Sf__Lance__Fragment *fragment_pointers[SF_LANCE_MAX_FILES];
  Sf__Lance__Timestamp timestamp = now();
  Sf__Lance__WriterVersion writer = SF__LANCE__WRITER_VERSION__INIT;
  Sf__Lance__DataStorageFormat format = SF__LANCE__DATA_STORAGE_FORMAT__INIT;
  Sf__Lance__Manifest manifest = SF__LANCE__MANIFEST__INIT;
  describe_schema(dataset->dim, &schema);
  manifest.n_fields = SF_LANCE_NUM_COLUMNS;
  manifest.fields = schema.pointers;
  for (size_t i = 0; i < dataset->num_files; i++) {
    describe_fragment(&dataset->files[i], i, &fragments[i]);
    fragment_pointers[i] = &fragments[i].fragment;
    manifest.has_max_fragment_id = true;
    manifest.max_fragment_id = (uint32_t)i;
  }
  manifest.n_fragments = dataset->num_files;
  manifest.fragments = fragment_pointers;
  manifest.has_version = true;
  manifest.version = 1;
  manifest.has_index_section = dataset->has_index; /* at 0 */
  manifest.timestamp = &timestamp;
  writer.library = library;
  writer.version = library_version;
  manifest.writer_version = &writer;
  format.file_format = file_format;
  format.version = file_version;
  manifest.data_format = &format;
  return sf_lance_append_message(buffer, &manifest, error);
}

/* u32 length, and the message. */
static sf_code append_section(sf_buffer *bytes, const sf_buffer *message, sf_error *error) {
  if (message->length <= UINT32_MAX && sf_lance_append_integer(bytes, message->length, 4) &&
      sf_buffer_append(bytes, message->data, message->length))
    return SF_OK;
  return sf_fail_memory(error, "manifest");
}

static sf_code append_index(sf_buffer *bytes, const sf_lance_written_index *index, sf_error *error) {
  sf_buffer message = {0};
  sf_code code = sf_lance_append_index_section(&message, index, error);
  if (code == SF_OK)
    code = append_section(bytes, &message, error);
  sf_buffer_free(&message);
  return code;
}

/* The index's section, if there is an index; the manifest's; and the footer: u64 position of the manifest's, two u16
 * versions, "LANC". */
static sf_code make_manifest_file(const sf_lance_written_dataset *dataset, sf_buffer *bytes, sf_error *error) {
  sf_buffer message = {0};
  sf_code code = dataset->has_index ? append_index(bytes, &dataset->index, error) : SF_OK;
  size_t position = bytes->length;
  if (code == SF_OK)
    code = append_manifest(&message, dataset, error);
  if (code == SF_OK)
    code = append_section(bytes, &message, error);
  if (code == SF_OK && !(sf_lance_append_integer(bytes, position, 8) && sf_lance_append_integer(bytes, 0, 2) &&
                         sf_lance_append_integer(bytes, 2, 2) && sf_buffer_append(bytes, "LANC", 4)))
    code = sf_fail_memory(error, "manifest");
  sf_buffer_free(&message);
  return code;
}

static sf_code publish(const char *temporary_path, const char *path, const sf_buffer *bytes, sf_error *error) {
  int descriptor = open(temporary_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return sf_fail_errno(error, "make", temporary_path, errno);
  sf_code code = sf_write_at(descriptor, temporary_path, bytes->data, bytes->length, 0, error);
  if (code == SF_OK)
    code = sf_publish_file(descriptor, temporary_path, path, error);
  close(descriptor);
  return code;
}

sf_code sf_lance_write_manifest(const char *root, const sf_lance_written_dataset *dataset, sf_error *error) {
  sf_buffer bytes = {0};
  /* Versions count down, so that a listing begins with the newest. */
  char *path = sf_format("%s/_versions/%020" PRIu64 ".manifest", root, UINT64_MAX - 1);
  char *temporary_path = sf_format("%s/_versions/.manifest.tmp", root);
  sf_code code = path != NULL && temporary_path != NULL ? make_manifest_file(dataset, &bytes, error)
                                                        : sf_fail_memory(error, "path of a manifest");
  if (code == SF_OK)
    code = publish(temporary_path, path, &bytes, error);
  sf_buffer_free(&bytes);
  free(path);
  free(temporary_path);
  return code;
}
