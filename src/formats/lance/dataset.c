#include "formats/lance/dataset.h"

#include <inttypes.h>

/* Manifests list every fragment and file of a dataset; ours have a few. */
#define MAX_MANIFEST_BYTES ((size_t)256 << 20)
/* A deletion file has at most 4 bytes for each row of a fragment, and fragments at most 2^32 rows. */
#define MAX_DELETION_BYTES ((size_t)1 << 30)

char *sf_lance_dataset_root(const sf_shard_params *params) {
  return sf_format("%s%s/vector_index.lance", params->key, params->is_unified ? "/vector" : "");
}

typedef struct newest_version {
  bool found;
  bool first_is_enough;
  uint64_t version;
  char name[64];
} newest_version;

static bool look_at_name(const char *name, void *user_data) {
  newest_version *newest = user_data;
  uint64_t version;
  if (!sf_lance_manifest_version(name, &version) || strlen(name) >= sizeof(newest->name))
    return true;
  if (!newest->found || version > newest->version) {
    newest->found = true;
    newest->version = version;
    memcpy(newest->name, name, strlen(name) + 1);
  }
  return !newest->first_is_enough;
}

static sf_code list_versions(sf_storage *storage, const char *root, const sf_cancellation *cancellation,
                             newest_version *newest, sf_error *error) {
  char *folder = sf_format("%s/_versions/", root);
  if (folder == NULL)
    return sf_fail_memory(error, "key of a dataset");
  sf_code code = sf_storage_list(storage, folder, cancellation, look_at_name, newest, error);
  free(folder);
  return code;
}

sf_code sf_lance_dataset_exists(sf_storage *storage, const char *root, const sf_cancellation *cancellation,
                                bool *exists, sf_error *error) {
  newest_version newest = {.first_is_enough = true};
  SF_TRY(list_versions(storage, root, cancellation, &newest, error));
  *exists = newest.found;
  return SF_OK;
}

sf_code sf_lance_dataset_manifest(sf_storage *storage, const char *root, const sf_cancellation *cancellation,
                                  sf_lance_manifest *manifest, sf_error *error) {
  newest_version newest = {0};
  SF_TRY(list_versions(storage, root, cancellation, &newest, error));
  if (!newest.found)
    return SF_LANCE_BAD(error, "%s/_versions/ has no manifest", root);
  char *key = sf_format("%s/_versions/%s", root, newest.name);
  if (key == NULL)
    return sf_fail_memory(error, "key of a manifest");
  sf_buffer contents = {0};
  bool found;
  sf_code code = sf_storage_get(storage, key, MAX_MANIFEST_BYTES, cancellation, &found, &contents, error);
  if (code == SF_OK && !found)
    code = SF_LANCE_BAD(error, "it is missing");
  if (code == SF_OK)
    code = sf_lance_manifest_parse((sf_lance_bytes){contents.data, contents.length}, manifest, error);
  if (code != SF_OK)
    code = sf_error_prefix(error, "_versions/%s", newest.name);
  sf_buffer_free(&contents);
  free(key);
  return code;
}

/* -------------------------------------------------------------------------------------------------------- Fragments */

/* The fragment's data file that has a column, opened when it is asked for first. */
static sf_code find_file(sf_lance_fragment *fragment, const Sf__Lance__DataFile *message, sf_lance_open_file open_file,
                         void *user_data, const sf_cancellation *cancellation, sf_lance_data_file **file,
                         sf_error *error) {
  for (size_t i = 0; i < fragment->num_files; i++) {
    const char *name = sf_lance_object_name(fragment->files[i].object);
    if (strcmp(name + strlen("data/"), message->path) == 0) {
      *file = &fragment->files[i];
      return SF_OK;
    }
  }
  sf_lance_object *object;
  *file = &fragment->files[fragment->num_files];
  SF_TRY(open_file(message, user_data, &object, error));
  SF_TRY(sf_lance_data_file_open(object, cancellation, *file, error));
  fragment->num_files++;
  return SF_OK;
}

/* The number of rows in the manifest; every column must have them. Manifests of old writers don't say. */
static sf_code check_rows(sf_lance_fragment *fragment, const sf_lance_column *column, sf_error *error) {
  if (fragment->num_rows == 0)
    fragment->num_rows = column->num_rows;
  if (fragment->num_rows == column->num_rows)
    return SF_OK;
  return SF_LANCE_BAD(error, "%s: column %s: expected %" PRIu64 " rows, found %" PRIu64,
                      sf_lance_object_name(column->file->object), column->name, fragment->num_rows, column->num_rows);
}

static sf_code open_strings(sf_lance_fragment *fragment, sf_lance_column *column, sf_lance_column_role role,
                            sf_error *error) {
  return sf_lance_string_column_open(column, role == SF_LANCE_ID ? &fragment->ids : &fragment->payloads, error);
}

static sf_code open_vectors(sf_lance_fragment *fragment, const sf_lance_manifest *manifest, sf_lance_column *column,
                            sf_error *error) {
  fragment->vectors = *column;
  *column = (sf_lance_column){0};
  fragment->vector_pages = sf_calloc(fragment->vectors.num_pages, sizeof(*fragment->vector_pages));
  if (fragment->vector_pages == NULL)
    return sf_fail_memory(error, "pages of vectors");
  for (size_t i = 0; i < fragment->vectors.num_pages; i++)
    SF_TRY(sf_lance_vector_page_open(&fragment->vectors, &fragment->vectors.pages[i], manifest->dim,
                                     manifest->item_type, &fragment->vector_pages[i], error));
  return SF_OK;
}

static sf_code open_column(sf_lance_fragment *fragment, const sf_lance_manifest *manifest,
                           const Sf__Lance__Fragment *message, sf_lance_column_role role, sf_lance_open_file open_file,
                           void *user_data, const sf_cancellation *cancellation, sf_error *error) {
  uint32_t index;
  const Sf__Lance__DataFile *in = NULL;
  if (manifest->field_ids[role] >= 0)
    in = sf_lance_fragment_file(message, manifest->field_ids[role], &index);
  if (in == NULL && role == SF_LANCE_ID)
    return SF_LANCE_BAD(error, "fragment %" PRIu64 ": no file has the column id", message->id);
  if (in == NULL)
    return SF_OK;
  sf_lance_data_file *file;
  sf_lance_column column;
  SF_TRY(find_file(fragment, in, open_file, user_data, cancellation, &file, error));
  SF_TRY(sf_lance_column_open(file, index, sf_lance_column_name(role), cancellation, &column, error));
  sf_code code = check_rows(fragment, &column, error);
  if (code != SF_OK) {
    sf_lance_column_close(&column);
    return code;
  }
  return role == SF_LANCE_VECTOR ? open_vectors(fragment, manifest, &column, error)
                                 : open_strings(fragment, &column, role, error);
}

static sf_code parse_deletions(sf_lance_fragment *fragment, const Sf__Lance__DeletionFile *message, sf_error *error) {
  sf_lance_bytes bytes = {fragment->deletion_file.data, fragment->deletion_file.length};
  if (message->file_type == 0)
    SF_TRY(sf_lance_deletions_parse_arrow(bytes, &fragment->deletions, error));
  else
    SF_TRY(sf_lance_deletions_parse_bitmap(bytes, &fragment->deletions, error));
  if (message->num_deleted_rows != 0 && message->num_deleted_rows != fragment->deletions.num_deleted)
    return SF_LANCE_BAD(error, "expected %" PRIu64 " deleted rows, found %" PRIu64, message->num_deleted_rows,
                        fragment->deletions.num_deleted);
  return SF_OK;
}

static sf_code read_deletions(sf_storage *storage, const char *root, const Sf__Lance__Fragment *message,
                              const sf_cancellation *cancellation, sf_lance_fragment *fragment, sf_error *error) {
  const Sf__Lance__DeletionFile *deletions = message->deletion_file;
  if (deletions == NULL)
    return SF_OK;
  char *key = sf_format("%s/_deletions/%" PRIu64 "-%" PRIu64 "-%" PRIu64 ".%s", root, message->id,
                        deletions->read_version, deletions->id, deletions->file_type == 0 ? "arrow" : "bin");
  if (key == NULL)
    return sf_fail_memory(error, "key of a deletion file");
  bool found;
  sf_code code =
      sf_storage_get(storage, key, MAX_DELETION_BYTES, cancellation, &found, &fragment->deletion_file, error);
  if (code == SF_OK && !found)
    code = SF_LANCE_BAD(error, "it is missing");
  if (code == SF_OK)
    code = parse_deletions(fragment, deletions, error);
  if (code != SF_OK)
    code = sf_error_prefix(error, "%s", key + strlen(root) + 1);
  free(key);
  return code;
}

sf_code sf_lance_fragment_open(sf_storage *storage, const char *root, const sf_lance_manifest *manifest,
                               const Sf__Lance__Fragment *message, sf_lance_open_file open_file, void *user_data,
                               const sf_cancellation *cancellation, sf_lance_fragment *fragment, sf_error *error) {
  fragment->num_rows = message->physical_rows;
  for (int role = 0; role < SF_LANCE_NUM_COLUMNS; role++)
    SF_TRY(open_column(fragment, manifest, message, (sf_lance_column_role)role, open_file, user_data, cancellation,
                       error));
  return read_deletions(storage, root, message, cancellation, fragment, error);
}

void sf_lance_fragment_close(sf_lance_fragment *fragment) {
  sf_lance_string_column_close(fragment->ids);
  sf_lance_string_column_close(fragment->payloads);
  free(fragment->vector_pages);
  sf_lance_column_close(&fragment->vectors);
  for (size_t i = 0; i < fragment->num_files; i++)
    sf_lance_data_file_close(&fragment->files[i]);
  sf_lance_deletions_free(&fragment->deletions);
  sf_buffer_free(&fragment->deletion_file);
  *fragment = (sf_lance_fragment){0};
}

static bool has_bytes_for_rows(const sf_lance_fragment *fragment) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < fragment->num_files; i++)
    if (__builtin_add_overflow(bytes, sf_lance_object_size(fragment->files[i].object), &bytes))
      return true;
  return fragment->num_rows <= bytes;
}

bool sf_lance_fragment_has_rows(const sf_lance_fragment *fragment, size_t page) {
  return fragment->vector_pages[page].kind != SF_LANCE_VECTORS_NULL || has_bytes_for_rows(fragment);
}

uint64_t sf_lance_fragment_row_end(const sf_lance_fragment *fragment) {
  uint64_t end = fragment->first_row;
  for (size_t i = 0; i < fragment->vectors.num_pages; i++) {
    const sf_lance_page *page = &fragment->vectors.pages[i];
    if (sf_lance_fragment_has_rows(fragment, i) && page->num_rows > 0)
      end = fragment->first_row + page->first_row + page->num_rows;
  }
  return end;
}
