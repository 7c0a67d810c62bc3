/*
 * Connections to shard.db files, kept open between searches. A connection serves one caller at a time, and a shard can
 * have several; the least recently used ones are closed when there are too many, so that a thousand shards don't keep a
 * thousand of them. Each takes a file descriptor, of which a process has few: a pool keeps at most an eighth of the
 * limit, and all of a process together a quarter. Where descriptors run out all the same, idle connections are closed.
 */
#ifndef SF_FORMATS_SQLITE_VEC_CONNECTION_POOL_H
#define SF_FORMATS_SQLITE_VEC_CONNECTION_POOL_H

#include "base/sqlite.h"

/* The most idle connections of a pool. */
#define SF_MAX_IDLE_CONNECTIONS 64

typedef struct sf_connection_pool sf_connection_pool;

/* An open database with the statements that fetch a row. */
typedef struct sf_connection {
  struct sf_connection *previous; /* in the pool's list, most recently used first */
  struct sf_connection *next;
  const void *owner;
  sqlite3 *database;
  sqlite3_stmt *select_id;      /* original_id of ?1 */
  sqlite3_stmt *select_payload; /* payload of ?1 */
} sf_connection;

sf_code sf_connection_pool_create(sf_connection_pool **pool, sf_error *error);
void sf_connection_pool_free(sf_connection_pool *pool); /* NULL is allowed */

/* A connection of `owner` for the caller alone: an idle one, or a new one to `path`. Where no file descriptors are
 * left, others that are idle are closed for it; else that is SF_POOL_EXHAUSTED_ERROR. */
sf_code sf_connection_pool_acquire(sf_connection_pool *pool, const void *owner, const char *path,
                                   sf_connection **connection, sf_error *error);
/* Puts the connection into the pool. */
void sf_connection_pool_release(sf_connection_pool *pool, sf_connection *connection);
/* Closes all that is idle. False when nothing was. */
bool sf_connection_pool_shrink(sf_connection_pool *pool);
/* Closes an owner's idle connections, before it is freed; all of its connections must have been released. */
void sf_connection_pool_forget(sf_connection_pool *pool, const void *owner);

#endif
