#include "writer/worker.h"

#include "base/assert.h"
#include "base/files.h"
#include "base/memory.h"
#include "writer/upload.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct sf_worker {
  sf_worker_params params;
  char prefix[SF_SHARD_PREFIX_SIZE];
  char *folder; /* the attempt's, on this machine */
  sf_shard_writer *writer;
  uint64_t num_rows;
};

static sf_code open_shard(sf_worker *worker, sf_error *error) {
  const sf_worker_params *params = &worker->params;
  sf_shard_prefix(params->db_id, params->attempt, worker->prefix);
  worker->folder = sf_format("%s/%s", params->directory, worker->prefix);
  if (worker->folder == NULL)
    return sf_fail_memory(error, "path of a shard");
  const sf_shard_writer_options options = {.directory = worker->folder,
                                           .db_id = params->db_id,
                                           .dim = params->dim,
                                           .metric = params->metric,
                                           .page_size = params->page_size};
  SF_TRY(sf_make_folders(worker->folder, error));
  return params->format->create(&options, &worker->writer, error);
}

sf_code sf_worker_create(const sf_worker_params *params, sf_worker **created, sf_error *error) {
  sf_worker *worker = sf_calloc(1, sizeof(*worker));
  if (worker == NULL)
    return sf_fail_memory(error, "shard");
  worker->params = *params;
  sf_code code = open_shard(worker, error);
  if (code == SF_OK)
    *created = worker;
  else
    sf_worker_free(worker);
  return code;
}

void sf_worker_free(sf_worker *worker) {
  if (worker == NULL)
    return;
  sf_shard_writer_free(worker->writer);
  free(worker->folder);
  free(worker);
}

sf_code sf_worker_add(sf_worker *worker, const sf_shard_row *rows, size_t count, sf_error *error) {
  SF_ASSERT(worker->writer != NULL);
  worker->num_rows += count;
  return sf_shard_writer_add(worker->writer, rows, count, error);
}

/* Writes the sidecar beside the shard's files. `tag`: see sf_shard_sidecar. */
static sf_code write_sidecar(const sf_worker *worker, const char *tag, const sf_cancellation *cancellation,
                             bool *written, sf_error *error) {
  sf_error failure;
  sf_code code = worker->params.format->sidecar->write(worker->folder, tag, cancellation, written, &failure);
  if (code == SF_OK)
    return SF_OK;
  sf_error_prefix(&failure, "shard %u: its sidecar", (unsigned)worker->params.db_id);
  if (error != NULL)
    *error = failure;
  return code;
}

/* The tag is the ETag that the stored object has, which only the store knows: it is asked for it. */
static sf_code find_tag(const sf_worker *worker, const char *key, const char *path, const sf_cancellation *cancellation,
                        sf_object_info *info, sf_error *error) {
  sf_storage *storage = worker->params.storage;
  struct stat status;
  bool found = false;
  *info = (sf_object_info){0};
  if (stat(path, &status) != 0)
    return sf_fail_errno(error, "look at", path, errno);
  SF_TRY(sf_storage_head(storage, key, cancellation, &found, info, error));
  if (!found || info->size != (uint64_t)status.st_size)
    return sf_fail(error, SF_ERROR, "%s/%s: expected the %llu bytes that were stored, found %llu", storage->root, key,
                   (unsigned long long)status.st_size, (unsigned long long)info->size);
  return SF_OK;
}

/* After the files that are already stored below `key`. */
static sf_code upload_sidecar(const sf_worker *worker, const char *key, const sf_cancellation *cancellation,
                              sf_error *error) {
  const sf_shard_sidecar *sidecar = worker->params.format->sidecar;
  char *main_path = sf_format("%s/%s", worker->folder, sidecar->of);
  char *main_key = sf_format("%s/%s", key, sidecar->of);
  char *path = sf_format("%s/%s", worker->folder, sidecar->name);
  char *sidecar_key = sf_format("%s/%s", key, sidecar->name);
  sf_object_info info;
  bool written = false;
  sf_code code = main_path == NULL || main_key == NULL || path == NULL || sidecar_key == NULL
                     ? sf_fail_memory(error, "path of a sidecar")
                     : find_tag(worker, main_key, main_path, cancellation, &info, error);
  if (code == SF_OK)
    code = write_sidecar(worker, info.etag, cancellation, &written, error);
  if (code == SF_OK && written)
    code = sf_storage_put_file(worker->params.storage, sidecar_key, path, cancellation, error);
  free(main_path);
  free(main_key);
  free(path);
  free(sidecar_key);
  return code;
}

static sf_code upload(const sf_worker *worker, const sf_cancellation *cancellation, sf_error *error) {
  char *key = sf_format("%s/%s", worker->params.run_key, worker->prefix);
  if (key == NULL)
    return sf_fail_memory(error, "key of a shard");
  sf_code code = sf_upload_folder(worker->params.storage, key, worker->folder, cancellation, error);
  if (code == SF_OK && worker->params.emits_sidecar)
    code = upload_sidecar(worker, key, cancellation, error);
  free(key);
  sf_remove_tree(worker->folder);
  return code;
}

/* The names in "…/attempt=00" and "…/db=00003" are on disk once these folders are. */
static sf_code complete_in_place(const sf_worker *worker, const sf_cancellation *cancellation, sf_error *error) {
  bool written;
  if (worker->params.emits_sidecar)
    SF_TRY(write_sidecar(worker, "", cancellation, &written, error));
  char *above = sf_folder_of(worker->folder);
  if (above == NULL)
    return sf_fail_memory(error, "path of a folder");
  sf_sync_folder(worker->folder);
  sf_sync_folder(above);
  free(above);
  return SF_OK;
}

sf_code sf_worker_finish(sf_worker *worker, const sf_cancellation *cancellation, sf_shard_result *result,
                         sf_error *error) {
  const sf_worker_params *params = &worker->params;
  SF_ASSERT(worker->writer != NULL && worker->num_rows > 0);
  *result = (sf_shard_result){.db_id = params->db_id, .attempt = params->attempt, .num_rows = worker->num_rows};
  SF_TRY(sf_shard_writer_finish(worker->writer, error));
  /* Its buffers and open files are not needed while the shard is uploaded. */
  sf_shard_writer_free(worker->writer);
  worker->writer = NULL;
  SF_TRY(sf_hex_id_make(result->checkpoint_id, error));
  SF_TRY(sf_folder_size(worker->folder, &result->num_bytes, error));
  return params->storage->vtable->is_remote ? upload(worker, cancellation, error)
                                            : complete_in_place(worker, cancellation, error);
}
