/* The ids and payloads that are stored beside a vec0 table. */
#ifndef SF_FORMATS_SQLITE_VEC_VEC0_ROWS_H
#define SF_FORMATS_SQLITE_VEC_VEC0_ROWS_H

#include "formats/shard.h"
#include "formats/sqlite_vec/connection_pool.h"

/* Passes one row's id and payload to the sink. Without an entry in vec_id_map, the row id is the id. */
sf_code sf_vec0_fetch_row(const sf_connection *connection, int64_t row_id, sf_row_sink *sink, sf_error *error);

/* The same with an id that is known. */
sf_code sf_vec0_fetch_payload(const sf_connection *connection, int64_t row_id, const sf_directory_id *id,
                              sf_row_sink *sink, sf_error *error);

/* Reads the rows with these row ids, which are ascending, in one pass over the tables. Rows are numbered from 0. */
sf_code sf_vec0_read_rows(sqlite3 *database, const int64_t *row_ids, size_t count, sf_row_visitor *visitor,
                          const sf_cancellation *cancellation, sf_error *error);

/* Checks the whole database file, every id and every payload. */
sf_code sf_vec0_verify_rows(sqlite3 *database, const sf_cancellation *cancellation, sf_error *error);

#endif
