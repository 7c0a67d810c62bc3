#include "shard/sqlite_vec/connection_pool.h"

#include "base/memory.h"
#include "base/thread.h"

struct sf_connection_pool {
  pthread_mutex_t mutex; /* guards the list; held only for moving pointers */
  sf_connection idle;    /* head of a ring: next is the most recently used */
  size_t num_idle;
};

sf_code sf_connection_pool_create(sf_connection_pool **created, sf_error *error) {
  sf_connection_pool *pool = sf_calloc(1, sizeof(*pool));
  if (pool == NULL || pthread_mutex_init(&pool->mutex, NULL) != 0) {
    free(pool);
    return sf_fail_memory(error, "connections");
  }
  pool->idle.next = pool->idle.previous = &pool->idle;
  *created = pool;
  return SF_OK;
}

static void close_connection(sf_connection *connection) {
  sqlite3_finalize(connection->select_id);
  sqlite3_finalize(connection->select_payload);
  sqlite3_close(connection->database);
  free(connection);
}

/* With the mutex held. */
static void unlink_connection(sf_connection_pool *pool, sf_connection *connection) {
  connection->previous->next = connection->next;
  connection->next->previous = connection->previous;
  pool->num_idle--;
}

/* With the mutex held. */
static void link_connection(sf_connection_pool *pool, sf_connection *connection) {
  connection->next = pool->idle.next;
  connection->previous = &pool->idle;
  connection->next->previous = connection;
  pool->idle.next = connection;
  pool->num_idle++;
}

static sf_code open_connection(const void *owner, const char *path, sf_connection **opened, sf_error *error) {
  static const char what[] = "shard.db";
  sf_connection *connection = sf_calloc(1, sizeof(*connection));
  if (connection == NULL)
    return sf_fail_memory(error, what);
  connection->owner = owner;
  sf_code code = sf_sqlite_open_immutable(path, what, SF_DB_ADAPTER_ERROR, &connection->database, error);
  if (code == SF_OK)
    code = sf_sqlite_prepare(connection->database, "SELECT original_id FROM vec_id_map WHERE internal_id=?1", what,
                             SF_DB_ADAPTER_ERROR, &connection->select_id, error);
  if (code == SF_OK)
    code = sf_sqlite_prepare(connection->database, "SELECT payload FROM vec_payloads WHERE rowid=?1", what,
                             SF_DB_ADAPTER_ERROR, &connection->select_payload, error);
  if (code == SF_OK)
    *opened = connection;
  else
    close_connection(connection);
  return code;
}

sf_code sf_connection_pool_take(sf_connection_pool *pool, const void *owner, const char *path,
                                sf_connection **connection, sf_error *error) {
  pthread_mutex_lock(&pool->mutex);
  sf_connection *found = pool->idle.next;
  while (found != &pool->idle && found->owner != owner)
    found = found->next;
  if (found != &pool->idle)
    unlink_connection(pool, found);
  pthread_mutex_unlock(&pool->mutex);
  if (found == &pool->idle)
    return open_connection(owner, path, connection, error);
  *connection = found;
  return SF_OK;
}

void sf_connection_pool_give(sf_connection_pool *pool, sf_connection *connection) {
  sf_connection *oldest = NULL;
  pthread_mutex_lock(&pool->mutex);
  link_connection(pool, connection);
  if (pool->num_idle > SF_MAX_IDLE_CONNECTIONS) {
    oldest = pool->idle.previous;
    unlink_connection(pool, oldest);
  }
  pthread_mutex_unlock(&pool->mutex);
  if (oldest != NULL)
    close_connection(oldest);
}

void sf_connection_pool_forget(sf_connection_pool *pool, const void *owner) {
  for (;;) {
    pthread_mutex_lock(&pool->mutex);
    sf_connection *found = pool->idle.next;
    while (found != &pool->idle && found->owner != owner)
      found = found->next;
    if (found != &pool->idle)
      unlink_connection(pool, found);
    pthread_mutex_unlock(&pool->mutex);
    if (found == &pool->idle)
      return;
    close_connection(found);
  }
}

void sf_connection_pool_free(sf_connection_pool *pool) {
  if (pool == NULL)
    return;
  for (sf_connection *next; (next = pool->idle.next) != &pool->idle;) {
    unlink_connection(pool, next); // NOLINT(clang-analyzer-unix.Malloc): the one before is out of the list
    close_connection(next);
  }
  pthread_mutex_destroy(&pool->mutex);
  free(pool);
}
