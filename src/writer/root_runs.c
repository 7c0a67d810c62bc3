#include "writer/root_runs.h"

#include "base/memory.h"
#include "snapshot/reference.h"
#include "snapshot/run_record.h"
#include "snapshot/snapshot.h"

#include <string.h>

static const char marker[] = "run_id=";

/* The run of an id, entered where it is new; NULL when memory is out. */
static sf_root_run *enter(sf_root_runs *runs, const char *run_id, size_t length) {
  for (size_t i = 0; i < runs->count; i++)
    if (strlen(runs->runs[i].run_id) == length && memcmp(runs->runs[i].run_id, run_id, length) == 0)
      return &runs->runs[i];
  if (!sf_array_make_room(&runs->runs, runs->count, &runs->capacity, sizeof(*runs->runs)))
    return NULL;
  char *copy = sf_memdup_string(run_id, length);
  if (copy == NULL)
    return NULL;
  runs->runs[runs->count] = (sf_root_run){.run_id = copy, .updated_seconds = -1};
  return &runs->runs[runs->count++];
}

static bool add_folder(sf_root_run *run, const char *prefix, const char *name) {
  char **folders = run == NULL ? NULL : sf_reallocarray(run->folders, run->num_folders + 1, sizeof(char *));
  if (folders == NULL)
    return false;
  run->folders = folders;
  run->folders[run->num_folders] = sf_format("%s%s/", prefix, name);
  return run->folders[run->num_folders] != NULL && ++run->num_folders > 0;
}

/* --------------------------------------------------------------------------------------------------------- Listings */

/* What is done with each folder below a prefix, by its name without the slash. */
typedef sf_code (*folder_function)(sf_storage *storage, const char *prefix, const char *name,
                                   const sf_cancellation *cancellation, sf_root_runs *runs, sf_error *error);

static sf_code for_each_folder(sf_storage *storage, const char *prefix, folder_function function,
                               const sf_cancellation *cancellation, sf_root_runs *runs, sf_error *error) {
  sf_storage_names names;
  SF_TRY(sf_storage_list_names(storage, prefix, cancellation, &names, error));
  sf_code code = SF_OK;
  for (size_t i = 0; i < names.count && code == SF_OK; i++) {
    char *slash = strchr(names.names[i], '/');
    if (slash == NULL || slash == names.names[i])
      continue;
    *slash = '\0';
    code = function(storage, prefix, names.names[i], cancellation, runs, error);
  }
  sf_storage_names_free(&names);
  return code;
}

/* "run_id=<run_id>", of shards, artifacts and lists. */
static sf_code take_objects(sf_storage *storage, const char *prefix, const char *name,
                            const sf_cancellation *cancellation, sf_root_runs *runs, sf_error *error) {
  (void)storage, (void)cancellation;
  if (strncmp(name, marker, sizeof(marker) - 1) != 0 || name[sizeof(marker) - 1] == '\0')
    return SF_OK;
  const char *run_id = name + sizeof(marker) - 1;
  return add_folder(enter(runs, run_id, strlen(run_id)), prefix, name) ? SF_OK : sf_fail_memory(error, "runs");
}

static sf_code take_record(sf_storage *storage, const char *prefix, const char *name,
                           const sf_cancellation *cancellation, sf_root_runs *runs, sf_error *error) {
  sf_run_record_name parsed;
  sf_run_state state;
  if (!sf_run_record_name_parse(name, &parsed))
    return SF_OK;
  SF_TRY(sf_run_record_read(storage, name, &parsed, cancellation, &state, error));
  sf_root_run *run = enter(runs, parsed.run_id, parsed.run_id_length);
  if (run != NULL && state.updated_seconds > run->updated_seconds)
    run->updated_seconds = state.updated_seconds;
  if (run != NULL && state.is_published_elsewhere)
    run->is_referenced = true;
  return add_folder(run, prefix, name) ? SF_OK : sf_fail_memory(error, "runs");
}

/* ------------------------------------------------------------------------------------------------------- References */

static sf_code refer_to(sf_root_runs *runs, const char *run_id, size_t length, sf_error *error) {
  sf_root_run *run = enter(runs, run_id, length);
  if (run == NULL)
    return sf_fail_memory(error, "runs");
  run->is_referenced = true;
  return SF_OK;
}

/* The run whose folder a reference lies in: its own, as a rule. */
static sf_code refer_to_url(sf_root_runs *runs, const char *url, sf_error *error) {
  sf_code code = SF_OK;
  for (const char *found = url; code == SF_OK && found != NULL && (found = strstr(found, marker)) != NULL;) {
    found += sizeof(marker) - 1;
    code = refer_to(runs, found, strcspn(found, "/"), error);
  }
  return code;
}

static sf_code take_references(const sf_manifest *manifest, sf_root_runs *runs, sf_error *error) {
  SF_TRY(refer_to(runs, manifest->run_id, strlen(manifest->run_id), error));
  for (size_t i = 0; i < SF_NUM_STRATEGIES; i++)
    SF_TRY(refer_to_url(runs, manifest->artifact_refs[i], error));
  for (uint32_t id = 0; id < manifest->num_dbs; id++)
    SF_TRY(refer_to_url(runs, manifest->shards[id].db_url, error));
  for (uint32_t id = 0; manifest->lists.shards != NULL && id < manifest->num_dbs; id++)
    SF_TRY(refer_to_url(runs, manifest->lists.shards[id].ref, error));
  return SF_OK;
}

/* A manifest that is malformed still refers to the run of its name. A folder without one is a leftover of its run. (The
 * folder of a run that is referred to is not removed, but may have leftovers of its own.) */
static sf_code take_manifest(sf_storage *storage, const char *prefix, const char *name,
                             const sf_cancellation *cancellation, sf_root_runs *runs, sf_error *error) {
  sf_manifest_name parsed;
  sf_manifest manifest = {0};
  sf_error failure;
  if (!sf_manifest_name_parse(name, &parsed))
    return SF_OK;
  char *key = sf_format("%s%s/manifest", prefix, name);
  if (key == NULL)
    return sf_fail_memory(error, "runs");
  sf_code code = sf_snapshot_read_manifest(storage, key, key, cancellation, &manifest, &failure);
  free(key);
  if (!add_folder(enter(runs, parsed.run_id, strlen(parsed.run_id)), prefix, name)) {
    sf_manifest_free(&manifest);
    return sf_fail_memory(error, "runs");
  }
  if (code == SF_MANIFEST_STORE_ERROR) /* there is none */
    return SF_OK;
  if (code == SF_OK) {
    code = take_references(&manifest, runs, error);
    sf_manifest_free(&manifest);
  } else if (code == SF_MANIFEST_PARSE_ERROR) {
    code = SF_OK;
  } else if (error != NULL) {
    *error = failure;
  }
  return code == SF_OK ? refer_to(runs, parsed.run_id, strlen(parsed.run_id), error) : code;
}

/* Whatever `_CURRENT` names stays, whether its manifest is there or not. */
static sf_code take_pointer(sf_storage *storage, const sf_cancellation *cancellation, sf_root_runs *runs,
                            sf_error *error) {
  sf_pointer pointer = {0};
  sf_error failure;
  sf_code code = sf_snapshot_read_pointer(storage, cancellation, &pointer, &failure);
  if (code == SF_READER_STATE_ERROR) /* there is none */
    return SF_OK;
  if (code != SF_OK) {
    if (error != NULL)
      *error = failure;
    return code;
  }
  code = refer_to(runs, pointer.run_id, strlen(pointer.run_id), error);
  if (code == SF_OK)
    code = refer_to_url(runs, pointer.manifest_ref, error);
  sf_pointer_free(&pointer);
  return code;
}

static sf_code read_runs(sf_storage *storage, const sf_cancellation *cancellation, sf_root_runs *runs,
                         sf_error *error) {
  SF_TRY(for_each_folder(storage, "shards/", take_objects, cancellation, runs, error));
  SF_TRY(for_each_folder(storage, "vector_meta/", take_objects, cancellation, runs, error));
  SF_TRY(for_each_folder(storage, "lists/", take_objects, cancellation, runs, error));
  SF_TRY(for_each_folder(storage, "manifests/", take_manifest, cancellation, runs, error));
  SF_TRY(for_each_folder(storage, "runs/", take_record, cancellation, runs, error));
  return take_pointer(storage, cancellation, runs, error);
}

sf_code sf_root_runs_read(sf_storage *storage, const sf_cancellation *cancellation, sf_root_runs *runs,
                          sf_error *error) {
  *runs = (sf_root_runs){0};
  sf_code code = read_runs(storage, cancellation, runs, error);
  if (code != SF_OK)
    sf_root_runs_free(runs);
  return code;
}

void sf_root_runs_free(sf_root_runs *runs) {
  for (size_t i = 0; i < runs->count; i++) {
    for (size_t folder = 0; folder < runs->runs[i].num_folders; folder++)
      free(runs->runs[i].folders[folder]);
    free(runs->runs[i].folders);
    free(runs->runs[i].run_id);
  }
  free(runs->runs);
  *runs = (sf_root_runs){0};
}
