/* Writing a partition file: lists grow in memory, and all of them are appended to the file when they are too large together. */
#include "writer/partition_file.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct list {
  sf_buffer pending;
  uint64_t num_pending;
} list;

struct sf_partition_writer {
  sf_partition_writer_params params;
  char *run_id;
  char *path;
  int file; /* -1: none */
  uint64_t token;
  uint64_t file_size;
  list *lists; /* num_dbs + SF_NUM_ID_LISTS */
  size_t pending_bytes;
  sf_partition_extent *extents;
  size_t num_extents;
  size_t extent_capacity;
  bool is_finished;
};

static size_t count_lists(const sf_partition_writer *writer) {
  return (size_t)writer->params.num_dbs + SF_NUM_ID_LISTS;
}

static sf_code choose_token(uint64_t *token, sf_error *error) {
  char digits[SF_HEX_ID_SIZE];
  SF_TRY(sf_hex_id_make(digits, error));
  digits[16] = '\0';
  *token = strtoull(digits, NULL, 16);
  return SF_OK;
}

/* Where the storage is a directory, the file's own place, whose folder the driver made; else one in the staging folder. */
static sf_code open_file(sf_partition_writer *writer, sf_error *error) {
  const sf_partition_writer_params *params = &writer->params;
  bool is_remote = params->storage->vtable->is_remote;
  SF_TRY(choose_token(&writer->token, error));
  char *key = sf_partition_key(writer->run_id, writer->token);
  writer->path = is_remote
                     ? sf_format("%s/partition-%016llx", params->staging_directory, (unsigned long long)writer->token)
                 : key != NULL ? sf_format("%s/%s", params->storage->root, key)
                               : NULL;
  free(key);
  if (writer->path == NULL)
    return sf_fail_memory(error, "path of a partition file");
  writer->file = open(writer->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (writer->file < 0 && errno == ENOENT)
    return sf_fail(error, SF_READER_STATE_ERROR,
                   "%s: expected the folder that a run's driver makes, found none: the run "
                   "%s has not begun, or has ended",
                   writer->path, writer->run_id);
  return writer->file >= 0 ? SF_OK : sf_fail_errno(error, "make", writer->path, errno);
}

sf_code sf_partition_writer_create(const sf_partition_writer_params *params, sf_partition_writer **created,
                                   sf_error *error) {
  sf_partition_writer *writer = sf_calloc(1, sizeof(*writer));
  if (writer == NULL)
    return sf_fail_memory(error, "rows of a partition");
  writer->params = *params;
  writer->file = -1;
  writer->run_id = sf_strdup(params->run_id);
  writer->lists = sf_calloc(count_lists(writer), sizeof(*writer->lists));
  sf_code code = writer->run_id == NULL || writer->lists == NULL ? sf_fail_memory(error, "rows of a partition")
                                                                 : open_file(writer, error);
  if (code == SF_OK)
    *created = writer;
  else
    sf_partition_writer_free(writer);
  return code;
}

void sf_partition_writer_free(sf_partition_writer *writer) {
  if (writer == NULL)
    return;
  if (writer->file >= 0)
    close(writer->file);
  if (writer->file >= 0 && (!writer->is_finished || writer->params.storage->vtable->is_remote))
    unlink(writer->path);
  for (size_t i = 0; writer->lists != NULL && i < count_lists(writer); i++)
    sf_buffer_free(&writer->lists[i].pending);
  free(writer->lists);
  free(writer->extents);
  free(writer->path);
  free(writer->run_id);
  free(writer);
}

/* ----------------------------------------------------------------------------------------------------------- Adding */

static sf_code write_list(sf_partition_writer *writer, size_t number, sf_error *error) {
  list *written = &writer->lists[number];
  size_t size = written->pending.length;
  if (size == 0)
    return SF_OK;
  if (!sf_array_make_room(&writer->extents, writer->num_extents, &writer->extent_capacity, sizeof(*writer->extents)))
    return sf_fail_memory(error, "extents of a partition");
  SF_TRY(sf_write_at(writer->file, writer->path, written->pending.data, size, writer->file_size, error));
  writer->extents[writer->num_extents++] = (sf_partition_extent){.list = number,
                                                                 .offset = writer->file_size,
                                                                 .num_bytes = size,
                                                                 .num_rows = written->num_pending,
                                                                 .checksum = XXH3_64bits(written->pending.data, size)};
  writer->file_size += size;
  sf_buffer_free(&written->pending);
  *written = (list){0};
  return SF_OK;
}

static sf_code flush(sf_partition_writer *writer, sf_error *error) {
  for (size_t i = 0; i < count_lists(writer); i++)
    SF_TRY(write_list(writer, i, error));
  writer->pending_bytes = 0;
  return SF_OK;
}

static bool add_id(sf_partition_writer *writer, XXH128_hash_t hash, uint64_t number) {
  const sf_partition_id id = {.high = hash.high64, .low = hash.low64, .row = number};
  list *to = &writer->lists[writer->params.num_dbs + sf_partition_id_list(id.high)];
  to->num_pending++;
  writer->pending_bytes += sizeof(id);
  return sf_buffer_append(&to->pending, &id, sizeof(id));
}

sf_code sf_partition_writer_add(sf_partition_writer *writer, const sf_partition_rows *added, sf_error *error) {
  for (size_t i = 0; i < added->count; i++) {
    list *to = &writer->lists[added->shard_ids[i]];
    size_t before = to->pending.length;
    uint64_t number = added->first + i;
    if (!sf_partition_append_row(&to->pending, &added->rows[i], number, writer->params.dim) ||
        (added->hashes != NULL && !add_id(writer, added->hashes[i], number)))
      return sf_fail_memory(error, "rows of a partition");
    to->num_pending++;
    writer->pending_bytes += to->pending.length - before;
    if (writer->pending_bytes > writer->params.max_bytes)
      SF_TRY(flush(writer, error));
  }
  return SF_OK;
}

/* -------------------------------------------------------------------------------------------------------- Finishing */

static sf_code store(sf_partition_writer *writer, const sf_cancellation *cancellation, sf_error *error) {
  if (!writer->params.storage->vtable->is_remote)
    return SF_OK;
  char *key = sf_partition_key(writer->run_id, writer->token);
  sf_code code = key == NULL ? sf_fail_memory(error, "key of a partition file")
                             : sf_storage_put_file(writer->params.storage, key, writer->path, cancellation, error);
  free(key);
  return code;
}

static sf_code describe(const sf_partition_writer *writer, uint64_t num_rows, sf_partition **described,
                        sf_error *error) {
  size_t bytes = writer->num_extents * sizeof(*writer->extents);
  sf_partition *partition = sf_calloc(1, sizeof(*partition) + bytes);
  if (partition == NULL)
    return sf_fail_memory(error, "extents of a partition");
  sf_partition_extent *extents = (void *)(partition + 1);
  if (bytes > 0)
    memcpy(extents, writer->extents, bytes);
  *partition = (sf_partition){
      .token = writer->token, .num_rows = num_rows, .num_extents = writer->num_extents, .extents = extents};
  *described = partition;
  return SF_OK;
}

sf_code sf_partition_writer_finish(sf_partition_writer *writer, uint64_t num_rows, const sf_cancellation *cancellation,
                                   sf_partition **partition, sf_error *error) {
  SF_TRY(flush(writer, error));
  if (num_rows > 0)
    SF_TRY(store(writer, cancellation, error));
  SF_TRY(describe(writer, num_rows, partition, error));
  writer->is_finished = num_rows > 0;
  return SF_OK;
}
