/* Reads the ordinary tables in which a vec0 virtual table of sqlite-vec stores its rows, without the extension. */
#ifndef SF_FORMATS_SQLITE_VEC_VEC0_TABLES_H
#define SF_FORMATS_SQLITE_VEC_VEC0_TABLES_H

#include "base/sqlite.h"
#include "vectors/metrics.h"

/* How sqlite-vec states distances; it has no dot product. */
enum { SF_VEC0_CONVENTIONS = 1 << SF_SCORE_COSINE | 1 << SF_SCORE_L2 };

/* Fails unless the file is as long as its header says: a truncated copy is not searched. */
sf_code sf_vec0_check_length(const char *path, sf_error *error);

/* Fails unless the tables are there and the virtual table was declared with this dimension and metric. */
sf_code sf_vec0_check_schema(sqlite3 *database, uint32_t dim, sf_metric metric, sf_error *error);

/* The live rows, and their order. */
typedef struct sf_vec0_rows {
  uint64_t count;
  bool ascending;      /* row ids ascend in the order of chunks and slots: no row has to be moved */
  uint64_t *positions; /* unless ascending: by that order, where a row belongs by its id; owned */
} sf_vec0_rows;

/* Reads every chunk's validity bitmap and row ids. A row id that occurs twice is a failure, and so are chunks with more
 * slots than the file of file_size bytes can have. */
sf_code sf_vec0_survey(sqlite3 *database, uint32_t dim, uint64_t file_size, const sf_cancellation *cancellation,
                       sf_vec0_rows *rows, sf_error *error);
void sf_vec0_rows_free(sf_vec0_rows *rows);

/* Called with `count` rows that are contiguous, in a chunk and in the order of row ids, from position first_row on. */
typedef sf_code (*sf_vec0_rows_callback)(uint64_t first_row, const float *vectors, const int64_t *row_ids, size_t count,
                                         void *user_data, sf_error *error);

/* Reads every live row once. */
sf_code sf_vec0_read(sqlite3 *database, uint32_t dim, const sf_vec0_rows *rows, const sf_cancellation *cancellation,
                     sf_vec0_rows_callback callback, void *user_data, sf_error *error);

#endif
