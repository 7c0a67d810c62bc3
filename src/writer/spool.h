/*
 * Rows that can't be written to their shards yet: in a temporary file, in lists that are read back in the order in which
 * they were added to.
 */
#ifndef SF_WRITER_SPOOL_H
#define SF_WRITER_SPOOL_H

#include "formats/shard_writer.h"
#include "writer/temporary_file.h"

typedef struct sf_spool sf_spool;

/* `max_bytes` are what all lists together may hold in memory. */
sf_code sf_spool_create(const char *directory, uint32_t num_lists, uint32_t dim, size_t max_bytes, sf_spool **spool,
                        sf_error *error);
void sf_spool_free(sf_spool *spool); /* NULL is allowed */

sf_code sf_spool_add(sf_spool *spool, uint32_t list, const sf_shard_row *row, sf_error *error);

/* Writes what is still in memory: after it, lists can be read, by several threads at once. */
sf_code sf_spool_flush(sf_spool *spool, sf_error *error);

/* Calls with the rows of a list, some at a time; stops where the callback fails, with its code. */
typedef sf_code (*sf_spool_callback)(const sf_shard_row *rows, size_t count, void *user_data, sf_error *error);
sf_code sf_spool_read(const sf_spool *spool, uint32_t list, sf_spool_callback callback, void *user_data,
                      sf_error *error);

#endif
