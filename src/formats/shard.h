/*
 * A shard: vectors to scan, and ids and payloads of the rows that are results, whatever its format (formats.h has the
 * table of them).
 */
#ifndef SF_FORMATS_SHARD_H
#define SF_FORMATS_SHARD_H

#include "base/cancellation.h"
#include "cache/row_directory.h"
#include "storage/storage.h"
#include "vectors/segment.h"

typedef struct sf_shard sf_shard;

/* Receives the id and payload of each row that was asked for, in order. It copies them. `payload`
 * NULL: none. Returns false when memory is out. */
typedef struct sf_row_sink {
  bool omits_payloads; /* it is passed NULL for every payload, and none is read */
  bool (*add)(struct sf_row_sink *sink, sf_id_type id_type, int64_t id_integer, const char *id_string, size_t id_length,
              const char *payload, size_t payload_length);
} sf_row_sink;

/* A row's id and payload, borrowed for the call that receives them. */
typedef struct sf_row_text {
  sf_id_type id_type;
  int64_t id_integer;
  const char *id_string;
  size_t id_length;
  const char *payload; /* as stored; NULL: none */
  size_t payload_length;
} sf_row_text;

/* Receives rows one by one, by ascending number; a failure ends the reading. What it does not want is not read. */
typedef struct sf_row_visitor {
  bool wants_ids;
  bool wants_payloads;
  sf_code (*visit)(struct sf_row_visitor *visitor, uint64_t row, const sf_row_text *text, sf_error *error);
} sf_row_visitor;

/* State that the shards of a reader share (connections, for one). Outlives every shard that was opened with it. */
typedef struct sf_shard_resources sf_shard_resources;

sf_code sf_shard_resources_create(sf_shard_resources **resources, sf_error *error);
void sf_shard_resources_free(sf_shard_resources *resources); /* NULL is allowed */

/* How a shard is opened. All borrowed; only storage and resources have to outlive the open shard. */
typedef struct sf_shard_params {
  sf_storage *storage;
  sf_shard_resources *resources;
  uint32_t db_id;
  const char *db_url;        /* as the manifest has it; messages name it */
  const char *key;           /* db_url as a key below the storage's root */
  const char *checkpoint_id; /* NULL: none */
  const char *cache_dir;     /* `<local_root>/shard_<db_id>`; may not exist yet */
  uint32_t dim;
  sf_metric metric;
  const char *format_name;     /* the only format to look for; NULL: any */
  const char *manifest_format; /* the format that the manifest names; NULL: none */
  uint64_t max_cache_bytes;    /* of the whole local cache; 0: no bound */
  bool is_unified;             /* key-value data with vectors beside it: Lance data is in `vector/` */
  bool verify_only; /* read the shard itself, whatever the cache holds, and leave the cache alone; the shard that
                                this opens can be verified, but not searched */
} sf_shard_params;

typedef struct sf_shard_format {
  const char *name; /* "sqlite-vec", "lance" */
  /* Whether the shard is of this format, by the objects below its key. */
  sf_code (*detect)(const sf_shard_params *params, const sf_cancellation *cancellation, bool *detected,
                    sf_error *error);
  sf_code (*open)(const sf_shard_params *params, const sf_cancellation *cancellation, sf_shard **shard,
                  sf_error *error);
  /* Ids and payloads of rows (ascending or not, none excluded). May be called by several threads at once. */
  sf_code (*fetch_rows)(sf_shard *shard, const uint64_t *rows, size_t count, sf_row_sink *sink, sf_error *error);
  /* All rows that were not deleted, also those that searches leave out because their vector is not finite. May be called
   * by several threads at once, and wait for storage. */
  sf_code (*read_rows)(sf_shard *shard, sf_row_visitor *visitor, const sf_cancellation *cancellation, sf_error *error);
  /* Shards with as many rows have a row directory made once they are loaded, because it gives ids faster than fetch_rows. 0: none
   * has. */
  uint64_t least_directory_rows;
  bool has_text_ids; /* every id is text: an integer is the same as its decimal text */
  /* Reads all that a search could need, beyond what opening has read. */
  sf_code (*verify)(sf_shard *shard, const sf_cancellation *cancellation, sf_error *error);
  void (*close)(sf_shard *shard);
  const struct sf_shard_writer_format *writer; /* NULL: shards of the format can't be written */
  /* State for all shards of a reader, connections for one. shrink_resources closes what is idle; false: nothing was.
   * All NULL: there is none. */
  sf_code (*create_resources)(void **resources, sf_error *error);
  void (*free_resources)(void *resources);
  bool (*shrink_resources)(void *resources);
} sf_shard_format;

/* The first few rows that something is to be said of: by rowid in a sqlite-vec shard, in Lance by their number. */
typedef struct sf_noted_rows {
  size_t count;
  uint64_t rows[5];
} sf_noted_rows;

static inline void sf_note_row(sf_noted_rows *noted, uint64_t row) {
  if (noted->count < sizeof(noted->rows) / sizeof(noted->rows[0]))
    noted->rows[noted->count++] = row;
}

/* The first member of every open shard. Immutable once open. */
struct sf_shard {
  const sf_shard_format *format;
  uint32_t db_id;
  uint32_t dim;
  sf_score_convention score_convention;
  const sf_vector_segment *segments; /* by first_row, ascending */
  size_t num_segments;
  uint64_t content;  /* a hash of what identifies the bytes that ids and payloads are read from, and their order */
  uint64_t row_span; /* one more than the highest row number: also of rows that have no vector, which no segment has */
  uint64_t num_rows; /* live rows: excluded ones don't count, nor others that opening saw are not finite */
  uint64_t num_not_finite; /* rows excluded because a component is NaN, infinite or null, as far as opening saw them */
  sf_noted_rows first_not_finite;                /* with verify_only: some of them */
  _Atomic(struct sf_open_directory *) directory; /* of the rows; NULL until it is first needed */
};

/* The same two, with the rows that scans have found not to be finite since, where vectors are searched in place. Any
 * thread. */
uint64_t sf_shard_num_not_finite(const sf_shard *shard);
uint64_t sf_shard_num_rows(const sf_shard *shard);
/* All that were not deleted, also those that searches leave out because their vector is not finite. */
static inline uint64_t sf_shard_num_live_rows(const sf_shard *shard) {
  return shard->num_rows + shard->num_not_finite;
}

/* Fails unless it is NULL or the name of a format. */
sf_code sf_shard_format_check(const char *name, sf_error *error);

/* Finds the format and opens. Every failure that is the shard's own is SF_DB_ADAPTER_ERROR and names its db_url. */
sf_code sf_shard_open(const sf_shard_params *params, const sf_cancellation *cancellation, sf_shard **shard,
                      sf_error *error);
/* Computes norms and quantized vectors that the first searches would, so that they are as fast as later ones. Stops
 * when it is cancelled. */
void sf_shard_prepare(const sf_shard *shard, const sf_cancellation *cancellation);
sf_code sf_shard_fetch_rows(sf_shard *shard, const uint64_t *rows, size_t count, sf_row_sink *sink, sf_error *error);
/* Reads all live rows, in order (sf_shard_format.read_rows). */
sf_code sf_shard_read_rows(sf_shard *shard, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                           sf_error *error);
/* The live rows with these ids, the first where several have one; SF_NO_ROW for an id that none has. Makes the shard's row
 * directory where the local cache has none. May wait for storage. */
sf_code sf_shard_find_rows(sf_shard *shard, const sf_cache_place *place, const sf_row_id *ids, size_t count,
                           uint64_t *rows, const sf_cancellation *cancellation, sf_error *error);
/* Maps or makes the row directory, unless it is there. Fails for a shard with more than SF_ROW_DIRECTORY_MAX rows. Any thread; may
 * wait for storage. */
sf_code sf_shard_open_directory(sf_shard *shard, const sf_cache_place *place, const sf_cancellation *cancellation,
                                sf_error *error);
/* Whether the directory is to be opened once the shard is loaded. */
bool sf_shard_wants_directory(const sf_shard *shard);
/* The row directory, as long as the shard; NULL: it is not open yet. Any thread. */
const sf_row_directory *sf_shard_directory(const sf_shard *shard);
sf_code sf_shard_verify(sf_shard *shard, const sf_cancellation *cancellation, sf_error *error);
void sf_shard_close(sf_shard *shard); /* NULL is allowed */

#endif
