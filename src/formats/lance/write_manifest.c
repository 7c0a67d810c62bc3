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

/* How a field's values lay in the first file version. */
enum { PLAIN = 1, OF_VARIABLE_LENGTH = 2 };

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
    field->encoding = i == SF_LANCE_VECTOR ? PLAIN : OF_VARIABLE_LENGTH;
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

/* The fragment of all rows. It points to `data_file` and `pointer`. */
static void describe_fragment(const sf_lance_written_file *file, char *name, Sf__Lance__DataFile *data_file,
                              Sf__Lance__DataFile **pointer, Sf__Lance__Fragment *fragment) {
  static int32_t numbers[SF_LANCE_NUM_COLUMNS] = {0, 1, 2}; /* of the fields, and of their columns */
  *data_file = (Sf__Lance__DataFile)SF__LANCE__DATA_FILE__INIT;
  *fragment = (Sf__Lance__Fragment)SF__LANCE__FRAGMENT__INIT;
  data_file->path = name;
  data_file->n_fields = data_file->n_column_indices = SF_LANCE_NUM_COLUMNS;
  data_file->fields = data_file->column_indices = numbers;
  data_file->has_file_major_version = data_file->has_file_size_bytes = true;
  data_file->file_major_version = 2;
  data_file->file_size_bytes = file->size;
  *pointer = data_file;
  fragment->n_files = 1;
  fragment->files = pointer;
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

static sf_code append_manifest(sf_buffer *buffer, uint32_t dim, const sf_lance_written_file *file, char *name,
                               sf_error *error) {
  static char library[] = "shardyfusion";
  static char library_version[] = SF_VERSION_STRING;
  static char file_format[] = "lance";
  static char file_version[] = "2.0";
  written_schema schema;
  Sf__Lance__DataFile data_file;
  Sf__Lance__DataFile *data_files;
  Sf__Lance__Fragment fragment;
  Sf__Lance__Fragment *fragments = &fragment;
  Sf__Lance__Timestamp timestamp = now();
  Sf__Lance__WriterVersion writer = SF__LANCE__WRITER_VERSION__INIT;
  Sf__Lance__DataStorageFormat format = SF__LANCE__DATA_STORAGE_FORMAT__INIT;
  Sf__Lance__Manifest manifest = SF__LANCE__MANIFEST__INIT;
  describe_schema(dim, &schema);
  manifest.n_fields = SF_LANCE_NUM_COLUMNS;
  manifest.fields = schema.pointers;
  if (file != NULL) {
    describe_fragment(file, name, &data_file, &data_files, &fragment);
    manifest.n_fragments = 1;
    manifest.fragments = &fragments;
    manifest.has_max_fragment_id = true;
  }
  manifest.has_version = true;
  manifest.version = 1;
  manifest.timestamp = &timestamp;
  writer.library = library;
  writer.version = library_version;
  manifest.writer_version = &writer;
  format.file_format = file_format;
  format.version = file_version;
  manifest.data_format = &format;
  return sf_lance_append_message(buffer, &manifest, error);
}

/* u32 length, the message, and the footer: u64 position of the length, two u16 versions, "LANC". */
static sf_code make_manifest_file(uint32_t dim, const sf_lance_written_file *file, sf_buffer *bytes, sf_error *error) {
  sf_buffer message = {0};
  char *name = sf_strdup(file != NULL ? file->name : "");
  sf_code code = name != NULL ? append_manifest(&message, dim, file, name, error) : sf_fail_memory(error, "manifest");
  if (code == SF_OK &&
      !(sf_lance_append_integer(bytes, message.length, 4) && sf_buffer_append(bytes, message.data, message.length) &&
        sf_lance_append_integer(bytes, 0, 8) && sf_lance_append_integer(bytes, 0, 2) &&
        sf_lance_append_integer(bytes, 2, 2) && sf_buffer_append(bytes, "LANC", 4)))
    code = sf_fail_memory(error, "manifest");
  sf_buffer_free(&message);
  free(name);
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

sf_code sf_lance_write_manifest(const char *root, uint32_t dim, const sf_lance_written_file *file, sf_error *error) {
  sf_buffer bytes = {0};
  /* Versions count down, so that a listing begins with the newest. */
  char *path = sf_format("%s/_versions/%020" PRIu64 ".manifest", root, UINT64_MAX - 1);
  char *temporary_path = sf_format("%s/_versions/.manifest.tmp", root);
  sf_code code = path != NULL && temporary_path != NULL ? make_manifest_file(dim, file, &bytes, error)
                                                        : sf_fail_memory(error, "path of a manifest");
  if (code == SF_OK)
    code = publish(temporary_path, path, &bytes, error);
  sf_buffer_free(&bytes);
  free(path);
  free(temporary_path);
  return code;
}
