#include "formats/lance/manifest.h"

#include "formats/lance/wire.h"

#include <stdlib.h>

/* Deletion files, stable row ids, v2 files, table config, base paths, no transaction file. The data of higher
 * flags (values stored elsewhere, a write-ahead log) would be missing from the results. */
#define KNOWN_READER_FLAGS 0x3Fu

/* u64 position of the message, two u16 versions, "LANC"; at the position, a u32 length before the message. */
#define FOOTER_LENGTH 16

static const char *const column_names[SF_LANCE_NUM_COLUMNS] = {"id", "vector", "payload"};

const char *sf_lance_column_name(sf_lance_column_role role) {
  return column_names[role];
}

size_t sf_lance_item_size(sf_lance_item_type type) {
  switch (type) {
  case SF_LANCE_FLOAT16:
  case SF_LANCE_BFLOAT16:
    return 2;
  case SF_LANCE_FLOAT32:
    return 4;
  case SF_LANCE_FLOAT64:
    return 8;
  }
  return 0;
}

bool sf_lance_manifest_version(const char *name, uint64_t *version) {
  uint64_t number = 0;
  size_t num_digits = 0;
  for (; name[num_digits] >= '0' && name[num_digits] <= '9'; num_digits++)
    if (__builtin_mul_overflow(number, 10u, &number) ||
        __builtin_add_overflow(number, (uint64_t)(name[num_digits] - '0'), &number))
      return false;
  if (num_digits == 0 || strcmp(name + num_digits, ".manifest") != 0)
    return false;
  *version = num_digits == 20 ? UINT64_MAX - number : number;
  return true;
}

static sf_code find_message(sf_lance_bytes file, sf_lance_bytes *message, sf_error *error) {
  if (file.length < FOOTER_LENGTH)
    return SF_LANCE_BAD(error, "expected a manifest, found %zu bytes", file.length);
  const uint8_t *footer = file.data + file.length - FOOTER_LENGTH;
  if (memcmp(footer + 12, "LANC", 4) != 0)
    return SF_LANCE_BAD(error, "expected a manifest that ends in LANC");
  uint64_t position = sf_load_u64(footer);
  size_t end = file.length - FOOTER_LENGTH;
  if (position > end || end - position < 4)
    return SF_LANCE_BAD(error, "the message begins at %llu, in a file of %zu bytes", (unsigned long long)position,
                        file.length);
  uint32_t length = sf_load_u32(file.data + position);
  if (length > end - position - 4)
    return SF_LANCE_BAD(error, "the message is %u bytes long at %llu, in a file of %zu bytes", length,
                        (unsigned long long)position, file.length);
  *message = (sf_lance_bytes){file.data + position + 4, length};
  return SF_OK;
}

static sf_code check_features(const Sf__Lance__Manifest *message, sf_error *error) {
  uint64_t unknown = message->reader_feature_flags & ~(uint64_t)KNOWN_READER_FLAGS;
  if (unknown != 0)
    return SF_LANCE_BAD(error, "the reader feature flag %llu is not supported",
                        (unsigned long long)(unknown & (~unknown + 1)));
  const Sf__Lance__DataStorageFormat *format = message->data_format;
  if (format != NULL && format->file_format != NULL && format->file_format[0] != '\0' &&
      strcmp(format->file_format, "lance") != 0)
    return SF_LANCE_BAD(error, "data files of format '%s' are not supported", format->file_format);
  return SF_OK;
}

/* Path segments of their own: `data/` and a name below it. */
static bool is_plain_path(const char *path) {
  return path != NULL && path[0] != '\0' && path[0] != '/' && strstr(path, "..") == NULL;
}

static sf_code check_fragment(const Sf__Lance__Fragment *fragment, sf_error *error) {
  unsigned long long id = fragment->id;
  for (size_t i = 0; i < fragment->n_files; i++) {
    const Sf__Lance__DataFile *file = fragment->files[i];
    if (!is_plain_path(file->path))
      return SF_LANCE_BAD(error, "fragment %llu: a data file has no usable path", id);
    if (file->has_base_id)
      return SF_LANCE_BAD(error, "fragment %llu: %s lies below another base path (%u), which is not supported", id,
                          file->path, file->base_id);
    if (file->n_fields != file->n_column_indices)
      return SF_LANCE_BAD(
          error, "fragment %llu: %s has %zu fields and %zu columns (files before version 2.0 are not supported)", id,
          file->path, file->n_fields, file->n_column_indices);
  }
  const Sf__Lance__DeletionFile *deletions = fragment->deletion_file;
  if (deletions != NULL && deletions->has_base_id)
    return SF_LANCE_BAD(error, "fragment %llu: its deletions lie below another base path (%u), which is not supported",
                        id, deletions->base_id);
  if (deletions != NULL && deletions->file_type > 1)
    return SF_LANCE_BAD(error, "fragment %llu: deletions of type %u are not supported", id, deletions->file_type);
  return SF_OK;
}

static const Sf__Lance__Field *find_field(const Sf__Lance__Manifest *message, const char *name) {
  for (size_t i = 0; i < message->n_fields; i++) {
    const Sf__Lance__Field *field = message->fields[i];
    /* A parent of 0 is not written: absent is not at the top. */
    bool is_top = field->has_parent_id && field->parent_id == -1;
    if (is_top && field->name != NULL && strcmp(field->name, name) == 0)
      return field;
  }
  return NULL;
}

static sf_code read_string_field(sf_lance_manifest *manifest, sf_lance_column_role role, bool required,
                                 sf_error *error) {
  const Sf__Lance__Field *field = find_field(manifest->message, column_names[role]);
  manifest->field_ids[role] = -1;
  if (field == NULL)
    return required ? SF_LANCE_BAD(error, "the schema has no column %s", column_names[role]) : SF_OK;
  const char *type = field->logical_type != NULL ? field->logical_type : "";
  if (strcmp(type, "string") != 0 && strcmp(type, "large_string") != 0)
    return SF_LANCE_BAD(error, "column %s: expected the type string, found '%s'", column_names[role], type);
  manifest->field_ids[role] = field->id;
  return SF_OK;
}

static bool read_item_type(const char *type, size_t length, sf_lance_item_type *item_type) {
  static const struct {
    const char *name;
    sf_lance_item_type type;
  } types[] = {
      {"float", SF_LANCE_FLOAT32},
      {"halffloat", SF_LANCE_FLOAT16},
      {"double", SF_LANCE_FLOAT64},
      {"lance.bfloat16", SF_LANCE_BFLOAT16},
  };
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
    if (strlen(types[i].name) == length && memcmp(types[i].name, type, length) == 0) {
      *item_type = types[i].type;
      return true;
    }
  return false;
}

/* "fixed_size_list:<item type>:<dim>" */
static sf_code read_vector_field(sf_lance_manifest *manifest, sf_error *error) {
  static const char prefix[] = "fixed_size_list:";
  const Sf__Lance__Field *field = find_field(manifest->message, column_names[SF_LANCE_VECTOR]);
  if (field == NULL)
    return SF_LANCE_BAD(error, "the schema has no column vector");
  const char *type = field->logical_type != NULL ? field->logical_type : "";
  const char *item = type + sizeof(prefix) - 1;
  const char *colon = strncmp(type, prefix, sizeof(prefix) - 1) == 0 ? strchr(item, ':') : NULL;
  if (colon == NULL || !read_item_type(item, (size_t)(colon - item), &manifest->item_type))
    return SF_LANCE_BAD(error, "column vector: the type '%s' is not supported", type);
  char *end;
  unsigned long dim = strtoul(colon + 1, &end, 10);
  if (*end != '\0' || dim == 0 || dim > INT32_MAX)
    return SF_LANCE_BAD(error, "column vector: the type '%s' is not supported", type);
  manifest->field_ids[SF_LANCE_VECTOR] = field->id;
  manifest->dim = (uint32_t)dim;
  return SF_OK;
}

sf_code sf_lance_manifest_parse(sf_lance_bytes file, sf_lance_manifest *manifest, sf_error *error) {
  sf_lance_bytes bytes;
  SF_TRY(find_message(file, &bytes, error));
  SF_TRY(sf_lance_wire_unpack(&sf__lance__manifest__descriptor, bytes, "manifest", &manifest->message, error));
  SF_TRY(check_features(manifest->message, error));
  SF_TRY(read_string_field(manifest, SF_LANCE_ID, true, error));
  SF_TRY(read_vector_field(manifest, error));
  SF_TRY(read_string_field(manifest, SF_LANCE_PAYLOAD, false, error));
  for (size_t i = 0; i < manifest->message->n_fragments; i++)
    SF_TRY(check_fragment(manifest->message->fragments[i], error));
  return SF_OK;
}

void sf_lance_manifest_free(sf_lance_manifest *manifest) {
  sf_lance_wire_free(manifest->message);
  *manifest = (sf_lance_manifest){0};
}

const Sf__Lance__DataFile *sf_lance_fragment_file(const Sf__Lance__Fragment *fragment, int32_t field_id,
                                                  uint32_t *column_index) {
  for (size_t i = 0; i < fragment->n_files; i++) {
    const Sf__Lance__DataFile *file = fragment->files[i];
    for (size_t j = 0; j < file->n_fields; j++)
      if (file->fields[j] == field_id && file->column_indices[j] >= 0) {
        *column_index = (uint32_t)file->column_indices[j];
        return file;
      }
  }
  return NULL;
}
