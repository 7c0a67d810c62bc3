/*
 * Shards of the sqlite-vec backend: shard.db, read with plain SQLite. Its vectors are decoded once into a vector file
 * of the local cache, which is mapped and scanned; ids and payloads are queried from the database itself, by row id. Once the shard has a
 * row directory, ids come from there, and payloads from the mapped database's pages, as far as those are as simple as expected.
 */
#include "cache/cache_folder.h"
#include "cache/cache_limit.h"
#include "cache/cache_use.h"
#include "cache/scratch_folder.h"
#include "cache/vector_file.h"
#include "formats/formats.h"
#include "formats/sqlite_vec/connection_pool.h"
#include "formats/sqlite_vec/payload_pages.h"
#include "formats/sqlite_vec/vec0_rows.h"
#include "formats/sqlite_vec/vec0_tables.h"
#include "formats/sqlite_vec/write_vec0.h"
#include "vectors/vector_statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* "shard.<16 digits>.db" */
#define DOWNLOAD_NAME_SIZE 32

/* shard.db, mapped for its payloads. */
typedef struct mapped_payloads {
  void *bytes; /* NULL: the payloads can't be read so */
  size_t length;
  sf_payload_pages pages;
} mapped_payloads;

typedef struct sqlite_vec_shard {
  sf_shard base;
  sf_connection_pool *connections; /* shared by the reader's shards */
  char *path;                      /* of shard.db on this machine */
  sf_cache_use use;                /* of the cache's folder */
  sf_cache_use download;           /* of the file that was downloaded into it */
  sf_scratch_folder scratch;       /* of a download that is only verified, removed with the shard */
  char *name;                      /* "shard 3 (s3://…)", before messages */
  sf_vector_file file;
  _Atomic(mapped_payloads *) payloads; /* NULL until a fetch first needs it */
} sqlite_vec_shard;

/* An sf_shard of this format is the first member of a sqlite_vec_shard. */
static sqlite_vec_shard *sqlite_vec_of(sf_shard *shard) {
  return (sqlite_vec_shard *)shard;
}

/* Where shard.db may be: at the shard's key, or in `vector/` beside key-value data that are no SQLite database. */
static const char *const places[] = {"shard.db", "vector/shard.db"};

static size_t num_places(const sf_shard_params *params) {
  return params->is_unified ? 2 : 1;
}

static sf_code sqlite_vec_detect(const sf_shard_params *params, const sf_cancellation *cancellation, bool *detected,
                                 sf_error *error) {
  *detected = false;
  for (size_t i = 0; i < num_places(params) && !*detected; i++) {
    char *key = sf_format("%s/%s", params->key, places[i]);
    if (key == NULL)
      return sf_fail_memory(error, "key of a shard");
    sf_object_info info;
    sf_code code = sf_storage_head(params->storage, key, cancellation, detected, &info, error);
    free(key);
    if (code != SF_OK)
      return code;
  }
  return SF_OK;
}

/* Makes room for a download that does not exist yet. Without a bound, the storage is not asked for its size. */
static sf_code make_room_for_download(const sf_shard_params *params, const char *key, const char *download_path,
                                      const sf_cancellation *cancellation, sf_error *error) {
  struct stat status;
  sf_object_info info;
  bool found;
  if (params->max_cache_bytes == 0 || lstat(download_path, &status) == 0)
    return SF_OK;
  SF_TRY(sf_storage_head(params->storage, key, cancellation, &found, &info, error));
  if (found)
    sf_cache_make_room(params->cache_dir, params->max_cache_bytes, info.size);
  return SF_OK;
}

/* The folder has to belong to this shard before anything is downloaded into it, since claiming it removes other files.
 * Where it does, nothing is written. */
static sf_code claim_cache_folder(const sf_shard_params *params, const sf_cancellation *cancellation, sf_error *error) {
  sf_cache_folder folder;
  bool found;
  bool matches;
  SF_TRY(sf_cache_folder_open(params->cache_dir, true, &found, &folder, error));
  sf_code code = sf_cache_folder_matches(&folder, params->db_url, params->checkpoint_id, &matches, error);
  if (code == SF_OK && !matches)
    code = sf_cache_folder_lock(&folder, params->db_url, params->checkpoint_id, cancellation, error);
  sf_cache_folder_close(&folder);
  return code;
}

/* A download has a name that depends on the shard's URL, so that a path that is open never comes to name another
 * shard's file. It is held before it exists: a newer snapshot's shard may claim the folder while this one is still
 * searched. To verify a shard, it is read from the storage, whatever the cache holds. */
static sf_code choose_download_path(const sf_shard_params *params, sqlite_vec_shard *shard,
                                    const sf_cancellation *cancellation, char **path, sf_error *error) {
  char name[DOWNLOAD_NAME_SIZE];
  snprintf(name, sizeof(name), "shard.%016llx.db",
           (unsigned long long)XXH3_64bits(params->db_url, strlen(params->db_url)));
  if (params->verify_only) {
    SF_TRY(sf_scratch_folder_make(params->cache_dir, &shard->scratch, error));
    *path = sf_format("%s/shard.db", shard->scratch.path);
  } else {
    SF_TRY(sf_cache_use_file(params->resources->cache_users, params->cache_dir, name, &shard->download, error));
    SF_TRY(claim_cache_folder(params, cancellation, error));
    *path = sf_format("%s/%s", params->cache_dir, name);
  }
  return *path != NULL ? SF_OK : sf_fail_memory(error, "path of a shard");
}

/* The path of shard.db on this machine: in place, or in the cache after a download. */
static sf_code localize(const sf_shard_params *params, sqlite_vec_shard *shard, const sf_cancellation *cancellation,
                        sf_error *error) {
  char *download_path = NULL;
  bool found = false;
  const bool is_remote = params->storage->vtable->is_remote;
  sf_code code = is_remote ? choose_download_path(params, shard, cancellation, &download_path, error) : SF_OK;
  for (size_t i = 0; i < num_places(params) && code == SF_OK && !found; i++) {
    char *key = sf_format("%s/%s", params->key, places[i]);
    code = key == NULL ? sf_fail_memory(error, "key of a shard") : SF_OK;
    if (code == SF_OK && is_remote && !params->verify_only)
      code = make_room_for_download(params, key, download_path, cancellation, error);
    if (code == SF_OK)
      code = sf_storage_local_file(params->storage, key, download_path, cancellation, &found, &shard->path, error);
    free(key);
  }
  if (code == SF_OK && !found)
    code = sf_fail(error, SF_DB_ADAPTER_ERROR, "the shard is missing: expected an object at %s/shard.db, found none",
                   params->key);
  free(download_path);
  return code;
}

static int64_t nanoseconds_modified(const struct stat *status) {
#if defined(__APPLE__)
  const struct timespec modified = status->st_mtimespec;
#else
  const struct timespec modified = status->st_mtim;
#endif
  return (int64_t)modified.tv_sec * 1000000000 + modified.tv_nsec;
}

/* sf_shard.content */
static uint64_t hash_content(uint64_t size, int64_t modified) {
  const uint64_t content[] = {size, (uint64_t)modified};
  return XXH3_64bits(content, sizeof(content));
}

static sf_code identify(const sf_shard_params *params, const char *path, sf_vector_file_identity *identity,
                        sf_error *error) {
  struct stat status;
  if (stat(path, &status) != 0)
    return sf_fail(error, sf_errno_code(errno, SF_DB_ADAPTER_ERROR), "can't look at %s: %s", path, strerror(errno));
  *identity = (sf_vector_file_identity){.db_url = params->db_url,
                                        .checkpoint_id = params->checkpoint_id,
                                        .source_size = (uint64_t)status.st_size,
                                        .source_modified = nanoseconds_modified(&status),
                                        .dim = params->dim,
                                        .metric = params->metric};
  return SF_OK;
}

static sf_code write_rows(uint64_t first_row, const float *vectors, const int64_t *row_ids, size_t count,
                          void *user_data, sf_error *error) {
  return sf_vector_file_write_rows(user_data, first_row, vectors, row_ids, count, error);
}

/* Verification only counts rows that are not finite. */
static sf_code check_rows(uint64_t first_row, const float *vectors, const int64_t *row_ids, size_t count,
                          void *user_data, sf_error *error) {
  (void)first_row, (void)error;
  sf_shard *shard = user_data;
  uint64_t num_not_finite = sf_count_not_finite(vectors, count, shard->dim, NULL, 0);
  for (size_t i = 0; i < count && num_not_finite > 0; i++)
    if (sf_count_not_finite(vectors + i * shard->dim, 1, shard->dim, NULL, 0) > 0)
      sf_note_row(&shard->first_not_finite, (uint64_t)row_ids[i]);
  shard->num_not_finite += num_not_finite;
  shard->num_rows -= num_not_finite;
  return SF_OK;
}

/* A pass over the tables of shard.db: it writes a vector file to `folder`, or (with NULL) only checks every row. */
typedef struct decoding {
  const sf_shard_params *params;
  const char *path;
  const sf_vector_file_identity *identity;
  const sf_folder *folder;
  sf_shard *checked;
  sqlite3 *database;
  sf_vec0_rows rows;
} decoding;

static sf_code fill_vector_file(void *context, sf_vector_file_writer *writer, const sf_cancellation *cancellation,
                                sf_error *error) {
  const decoding *pass = context;
  return sf_vec0_read(pass->database, pass->identity->dim, &pass->rows, cancellation, write_rows, writer, error);
}

static sf_code decode_tables(decoding *pass, const sf_cancellation *cancellation, sf_error *error) {
  const sf_vector_file_identity *identity = pass->identity;
  sf_code code;
  SF_TRY(sf_vec0_check_schema(pass->database, identity->dim, identity->metric, error));
  SF_TRY(sf_vec0_survey(pass->database, identity->dim, identity->source_size, cancellation, &pass->rows, error));
  if (pass->folder != NULL) {
    sf_cache_make_room(pass->params->cache_dir, pass->params->max_cache_bytes,
                       sf_vector_file_size(identity, pass->rows.count));
    code = sf_vector_file_write(pass->folder, SF_VECTOR_FILE_NAME, identity, pass->rows.count, fill_vector_file, pass,
                                cancellation, error);
  } else {
    pass->checked->num_rows = pass->rows.count;
    code = sf_vec0_read(pass->database, identity->dim, &pass->rows, cancellation, check_rows, pass->checked, error);
  }
  sf_vec0_rows_free(&pass->rows);
  return code;
}

static sf_code decode(decoding *pass, const sf_cancellation *cancellation, sf_error *error) {
  SF_TRY(sf_vec0_check_length(pass->path, error));
  SF_TRY(sf_sqlite_open_immutable(pass->path, "shard.db", SF_DB_ADAPTER_ERROR, &pass->database, error));
  sf_code code = decode_tables(pass, cancellation, error);
  sqlite3_close(pass->database);
  return code;
}

static sf_code make_vector_file(void *context, const sf_folder *folder, const sf_cancellation *cancellation,
                                sf_error *error) {
  decoding *pass = context;
  pass->folder = folder;
  return decode(pass, cancellation, error);
}

/* The number of rows, and so the size of their file, is known only once the tables have been read. */
static sf_code load_vectors(const sf_shard_params *params, sqlite_vec_shard *shard, const sf_cancellation *cancellation,
                            sf_error *error) {
  sf_vector_file_identity identity;
  SF_TRY(identify(params, shard->path, &identity, error));
  shard->base.content = hash_content(identity.source_size, identity.source_modified);
  decoding pass = {.params = params, .path = shard->path, .identity = &identity};
  const sf_cached_vectors vectors = {.place = sf_shard_cache_place(params),
                                     .name = SF_VECTOR_FILE_NAME,
                                     .identity = identity,
                                     .context = &pass,
                                     .make = make_vector_file};
  return sf_cached_vectors_open(&vectors, cancellation, &shard->file, error);
}

static sf_code check_shard(const sf_shard_params *params, sqlite_vec_shard *shard, const sf_cancellation *cancellation,
                           sf_error *error) {
  sf_vector_file_identity identity;
  SF_TRY(identify(params, shard->path, &identity, error));
  decoding pass = {.params = params, .path = shard->path, .identity = &identity, .checked = &shard->base};
  return decode(&pass, cancellation, error);
}

static void free_payloads(mapped_payloads *freed) {
  if (freed != NULL && freed->bytes != NULL)
    munmap(freed->bytes, freed->length);
  free(freed);
}

static void sqlite_vec_close(sf_shard *closed) {
  sqlite_vec_shard *shard = sqlite_vec_of(closed);
  sf_connection_pool_forget(shard->connections, shard);
  free_payloads(atomic_load_explicit(&shard->payloads, memory_order_acquire));
  sf_vector_file_unmap(&shard->file);
  sf_scratch_folder_remove(&shard->scratch);
  sf_cache_use_end(&shard->download);
  sf_cache_use_end(&shard->use);
  free(shard->path);
  free(shard->name);
  free(shard);
}

static void describe(const sf_shard_params *params, sf_score_convention score_convention, sqlite_vec_shard *shard) {
  shard->base.format = &sf_sqlite_vec_format;
  shard->base.db_id = params->db_id;
  shard->base.dim = params->dim;
  shard->base.score_convention = score_convention;
  shard->connections = sf_shard_resources_of(params->resources, &sf_sqlite_vec_format);
}

static void describe_vectors(sqlite_vec_shard *shard) {
  shard->base.segments = &shard->file.segment;
  shard->base.num_segments = shard->file.segment.num_rows > 0 ? 1 : 0;
  shard->base.row_span = shard->file.segment.num_rows;
  shard->base.num_not_finite = shard->file.num_not_finite;
  shard->base.num_rows = shard->file.segment.num_rows - shard->file.num_not_finite;
}

static sf_code sqlite_vec_open(const sf_shard_params *params, const sf_cancellation *cancellation, sf_shard **opened,
                               sf_error *error) {
  sf_score_convention score_convention;
  if (!sf_score_convention_of(params->metric, SF_VEC0_CONVENTIONS, &score_convention))
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "shard.db: expected metric cosine or l2, found %s",
                   sf_metric_name(params->metric));
  sqlite_vec_shard *shard = sf_calloc(1, sizeof(*shard));
  if (shard == NULL)
    return sf_fail_memory(error, "shard");
  describe(params, score_convention, shard);
  shard->name = sf_format("shard %u (%s)", (unsigned)params->db_id, params->db_url);
  sf_code code = shard->name == NULL ? sf_fail_memory(error, "shard") : SF_OK;
  if (code == SF_OK && !params->verify_only)
    code = sf_cache_use_folder(params->resources->cache_users, params->cache_dir, &shard->use, error);
  if (code == SF_OK)
    code = localize(params, shard, cancellation, error);
  if (code == SF_OK && params->verify_only)
    code = check_shard(params, shard, cancellation, error);
  else if (code == SF_OK) {
    code = load_vectors(params, shard, cancellation, error);
    describe_vectors(shard);
  }
  if (code == SF_OK)
    *opened = &shard->base;
  else
    sf_shard_close(&shard->base);
  return code;
}

/* Ids from the directory: only payloads need the database. */
static sf_code fetch_ids(const sf_row_directory *directory, const uint64_t *rows, size_t count, sf_row_sink *sink,
                         sf_error *error) {
  for (size_t i = 0; i < count; i++) {
    sf_directory_id id = sf_row_directory_id(directory, rows[i]);
    if (!sink->add(sink, id.text == NULL ? SF_ID_INTEGER : SF_ID_STRING, id.integer, id.text, id.length, NULL, 0))
      return sf_fail_memory(error, "results");
  }
  return SF_OK;
}

/* Maps shard.db if it is what the shard was made from. */
static void map_database(const sqlite_vec_shard *shard, mapped_payloads *to) {
  struct stat status;
  int descriptor = open(shard->path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return;
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
      (uint64_t)status.st_size <= SIZE_MAX &&
      hash_content((uint64_t)status.st_size, nanoseconds_modified(&status)) == shard->base.content) {
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (bytes != MAP_FAILED)
      *to = (mapped_payloads){.bytes = bytes, .length = (size_t)status.st_size};
  }
  close(descriptor);
}

/* Finds the payloads in the mapped database, for all fetches to come. Of several threads that do so at once, the first one's are
 * used. Fails only where memory is out. */
static sf_code open_payloads(sqlite_vec_shard *shard, const sf_connection *connection, sf_error *error) {
  mapped_payloads *opened = sf_calloc(1, sizeof(*opened));
  if (opened == NULL)
    return sf_fail_memory(error, "payloads of a shard");
  sf_code code = SF_OK;
  bool usable = false;
  map_database(shard, opened);
  if (opened->bytes != NULL)
    code = sf_payload_pages_find(connection->database, opened->bytes, opened->length, &opened->pages, &usable, error);
  if (opened->bytes != NULL && !usable) {
    munmap(opened->bytes, opened->length);
    opened->bytes = NULL;
  }
  mapped_payloads *none = NULL;
  if (code != SF_OK || !atomic_compare_exchange_strong_explicit(&shard->payloads, &none, opened, memory_order_release,
                                                                memory_order_relaxed))
    free_payloads(opened);
  return code;
}

/* A fetch of some rows. */
typedef struct row_fetch {
  sqlite_vec_shard *shard;
  const sf_row_directory *directory; /* NULL: it is not open yet */
  sf_connection *connection;         /* NULL until it is needed */
} row_fetch;

static sf_code need_connection(row_fetch *fetch, sf_error *error) {
  sqlite_vec_shard *shard = fetch->shard;
  return fetch->connection != NULL
             ? SF_OK
             : sf_connection_pool_acquire(shard->connections, shard, shard->path, &fetch->connection, error);
}

/* The payload of a row from the mapped database; *found is false where SQLite has to be asked. */
static sf_code find_payload(row_fetch *fetch, int64_t row_id, const char **text, size_t *length, bool *found,
                            sf_error *error) {
  sqlite_vec_shard *shard = fetch->shard;
  const mapped_payloads *payloads = atomic_load_explicit(&shard->payloads, memory_order_acquire);
  if (payloads == NULL) {
    SF_TRY(need_connection(fetch, error));
    SF_TRY(open_payloads(shard, fetch->connection, error));
    payloads = atomic_load_explicit(&shard->payloads, memory_order_acquire);
  }
  *found = payloads->bytes != NULL && sf_payload_pages_get(&payloads->pages, row_id, text, length);
  return SF_OK;
}

/* With its payload. */
static sf_code fetch_row(row_fetch *fetch, uint64_t row, sf_row_sink *sink, sf_error *error) {
  int64_t row_id = fetch->shard->file.row_ids[row];
  if (fetch->directory == NULL) {
    SF_TRY(need_connection(fetch, error));
    return sf_vec0_fetch_row(fetch->connection, row_id, sink, error);
  }
  sf_directory_id id = sf_row_directory_id(fetch->directory, row);
  const char *payload = NULL;
  size_t length = 0;
  bool found;
  SF_TRY(find_payload(fetch, row_id, &payload, &length, &found, error));
  if (!found) {
    SF_TRY(need_connection(fetch, error));
    return sf_vec0_fetch_payload(fetch->connection, row_id, &id, sink, error);
  }
  return sink->add(sink, id.text == NULL ? SF_ID_INTEGER : SF_ID_STRING, id.integer, id.text, id.length, payload,
                   length)
             ? SF_OK
             : sf_fail_memory(error, "results");
}

static sf_code sqlite_vec_fetch_rows(sf_shard *from, const uint64_t *rows, size_t count, sf_row_sink *sink,
                                     sf_error *error) {
  row_fetch fetch = {.shard = sqlite_vec_of(from), .directory = sf_shard_directory(from)};
  if (fetch.directory != NULL && sink->omits_payloads)
    return fetch_ids(fetch.directory, rows, count, sink, error);
  sf_code code = SF_OK;
  for (size_t i = 0; i < count && code == SF_OK; i++)
    code = fetch_row(&fetch, rows[i], sink, error);
  if (fetch.connection != NULL)
    sf_connection_pool_release(fetch.shard->connections, fetch.connection);
  if (code != SF_OK && code != SF_OUT_OF_MEMORY_ERROR)
    sf_error_prefix(error, "%s", fetch.shard->name);
  return code;
}

static sf_code sqlite_vec_read_rows(sf_shard *from, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                                    sf_error *error) {
  sqlite_vec_shard *shard = sqlite_vec_of(from);
  sf_connection *connection;
  sf_code code = sf_connection_pool_acquire(shard->connections, shard, shard->path, &connection, error);
  if (code == SF_OK) {
    code = sf_vec0_read_rows(connection->database, shard->file.row_ids, shard->file.segment.num_rows, visitor,
                             cancellation, error);
    sf_connection_pool_release(shard->connections, connection);
  }
  if (code == SF_DB_ADAPTER_ERROR)
    sf_error_prefix(error, "%s", shard->name);
  return code;
}

static sf_code sqlite_vec_verify(sf_shard *of, const sf_cancellation *cancellation, sf_error *error) {
  sqlite_vec_shard *shard = sqlite_vec_of(of);
  sqlite3 *database;
  sf_code code = sf_sqlite_open_immutable(shard->path, "shard.db", SF_DB_ADAPTER_ERROR, &database, error);
  if (code == SF_OK) {
    code = sf_vec0_verify_rows(database, cancellation, error);
    sqlite3_close(database);
  }
  if (code == SF_DB_ADAPTER_ERROR)
    sf_error_prefix(error, "%s", shard->name);
  return code;
}

static sf_code create_connections(void **connections, sf_error *error) {
  sf_connection_pool *pool;
  SF_TRY(sf_connection_pool_create(&pool, error));
  *connections = pool;
  return SF_OK;
}

static void free_connections(void *connections) {
  sf_connection_pool_free(connections);
}

static bool shrink_connections(void *connections) {
  return sf_connection_pool_shrink(connections);
}

const sf_shard_format sf_sqlite_vec_format = {
    .name = "sqlite-vec",
    .detect = sqlite_vec_detect,
    .open = sqlite_vec_open,
    .fetch_rows = sqlite_vec_fetch_rows,
    .read_rows = sqlite_vec_read_rows,
    .least_directory_rows = 4096,
    .verify = sqlite_vec_verify,
    .close = sqlite_vec_close,
    .writer = &sf_sqlite_vec_writer,
    .create_resources = create_connections,
    .free_resources = free_connections,
    .shrink_resources = shrink_connections,
};
