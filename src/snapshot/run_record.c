#include "snapshot/run_record.h"

#include "base/time.h"

#include <string.h>

#define MAX_RECORD_BYTES ((size_t)1 << 20)

static const char updated_label[] = "\nupdated_at: '";

/* A YAML scalar in single quotes, in which only these are doubled. */
static bool append_quoted(sf_buffer *text, const char *name, const char *value) {
  bool appended = sf_buffer_append_format(text, "%s: '", name);
  for (const char *next = value; appended && *next != '\0'; next++)
    appended =
        sf_buffer_append(text, "''", *next == '\'' ? 2 : 0) && (*next == '\'' || sf_buffer_append(text, next, 1));
  return appended && sf_buffer_append_text(text, "'\n");
}

static sf_code write_record(sf_run_record *record, sf_storage *storage, const char *status, const char *manifest_ref,
                            const sf_cancellation *cancellation, sf_error *error) {
  char now[SF_TIMESTAMP_SIZE];
  char lease[SF_TIMESTAMP_SIZE];
  sf_buffer text = {0};
  sf_timestamps_now(now, strcmp(status, "running") == 0 ? SF_RUN_LEASE_SECONDS : 0, lease);
  bool made = sf_buffer_append_text(&text, "db_path_template: db={db_id:05d}\n"
                                           "error_message: null\n"
                                           "error_type: null\n"
                                           "format_version: 1\n") &&
              append_quoted(&text, "lease_expires_at", lease) &&
              (manifest_ref != NULL ? append_quoted(&text, "manifest_ref", manifest_ref)
                                    : sf_buffer_append_text(&text, "manifest_ref: null\n")) &&
              append_quoted(&text, "run_id", record->run_id) && append_quoted(&text, "s3_prefix", record->s3_prefix) &&
              sf_buffer_append_text(&text, "shard_prefix: shards\n") &&
              append_quoted(&text, "started_at", record->started_at) &&
              sf_buffer_append_format(&text, "status: %s\n", status) && append_quoted(&text, "updated_at", now) &&
              sf_buffer_append_text(&text, "writer_type: vector-c\n");
  sf_code code = made ? sf_storage_put(storage, record->key, text.data, text.length, NULL, cancellation, NULL, error)
                      : sf_fail_memory(error, "run record");
  sf_buffer_free(&text);
  return code;
}

sf_code sf_run_record_begin(sf_run_record *record, sf_storage *storage, const char *run_id, const char *s3_prefix,
                            const sf_cancellation *cancellation, sf_error *error) {
  char digits[SF_HEX_ID_SIZE];
  SF_TRY(sf_hex_id_make(digits, error));
  *record = (sf_run_record){.run_id = run_id, .s3_prefix = s3_prefix};
  sf_timestamp_now(record->started_at);
  record->key = sf_format("runs/%s_run_id=%s_%s/run.yaml", record->started_at, run_id, digits);
  if (record->key == NULL)
    return sf_fail_memory(error, "run record");
  return write_record(record, storage, "running", NULL, cancellation, error);
}

sf_code sf_run_record_renew(sf_run_record *record, sf_storage *storage, const sf_cancellation *cancellation,
                            sf_error *error) {
  if (record->key == NULL)
    return SF_OK;
  return write_record(record, storage, "running", NULL, cancellation, error);
}

sf_code sf_run_record_succeed(sf_run_record *record, sf_storage *storage, const char *manifest_ref,
                              const sf_cancellation *cancellation, sf_error *error) {
  return write_record(record, storage, "succeeded", manifest_ref, cancellation, error);
}

sf_code sf_run_record_remove(const sf_run_record *record, sf_storage *storage, const sf_cancellation *cancellation,
                             sf_error *error) {
  if (record->key == NULL)
    return SF_OK;
  char *folder = sf_memdup_string(record->key, (size_t)(strrchr(record->key, '/') - record->key) + 1);
  if (folder == NULL)
    return sf_fail_memory(error, "run record");
  sf_code code = sf_storage_remove(storage, record->key, cancellation, error);
  if (code == SF_OK && !storage->vtable->is_remote)
    code = sf_storage_remove(storage, folder, cancellation, error);
  free(folder);
  return code;
}

void sf_run_record_free(sf_run_record *record) {
  free(record->key);
  *record = (sf_run_record){0};
}

bool sf_run_record_name_parse(const char *name, sf_run_record_name *parsed) {
  static const char separator[] = "_run_id=";
  const char *found = strstr(name, separator);
  const char *last = strrchr(name, '_');
  if (found == NULL || last <= found + sizeof(separator) - 1)
    return false;
  parsed->run_id = found + sizeof(separator) - 1;
  parsed->run_id_length = (size_t)(last - parsed->run_id);
  return sf_parse_timestamp(name, (size_t)(found - name), &parsed->started_seconds);
}

static void find_updated_at(const char *text, double *seconds) {
  const char *found = strstr(text, updated_label);
  const char *value = found == NULL ? NULL : found + sizeof(updated_label) - 1;
  double parsed;
  if (value != NULL && sf_parse_timestamp(value, strcspn(value, "'"), &parsed) && parsed > *seconds)
    *seconds = parsed;
}

static bool has_line(const char *text, const char *line) {
  const char *found = strstr(text, line);
  return found != NULL && (found == text || found[-1] == '\n') && found[strlen(line)] == '\n';
}

static void read_state(const char *text, sf_run_state *state) {
  find_updated_at(text, &state->updated_seconds);
  state->is_published_elsewhere = has_line(text, "status: succeeded") && has_line(text, "manifest_ref: null");
}

sf_code sf_run_record_read(sf_storage *storage, const char *folder, const sf_run_record_name *name,
                           const sf_cancellation *cancellation, sf_run_state *state, sf_error *error) {
  char *key = sf_format("runs/%s/run.yaml", folder);
  sf_buffer text = {0};
  bool found = false;
  *state = (sf_run_state){.updated_seconds = name->started_seconds};
  sf_code code = key == NULL ? sf_fail_memory(error, "run record")
                             : sf_storage_get(storage, key, MAX_RECORD_BYTES, cancellation, &found, &text, error);
  if (code == SF_OK && found && text.length > 0 && sf_buffer_append(&text, "", 1))
    read_state((const char *)text.data, state);
  sf_buffer_free(&text);
  free(key);
  return code;
}
