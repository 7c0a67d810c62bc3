#include "formats/sqlite_vec/connection_pool.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"

#include <sys/resource.h>

#define MIN_IDLE_CONNECTIONS 4

struct sf_connection_pool {
  pthread_mutex_t mutex; /* guards the list; held only for moving pointers */
  sf_connection idle;    /* head of a ring: next is the most recently used */
  size_t num_idle;
  size_t max_idle;
};

/* Idle connections of all pools. File descriptors are the process's, so this is, too. */
static atomic_size_t idle_in_process;

/* One in `divisor` of the process's descriptors. */
static size_t share_of_descriptors(size_t divisor) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return SIZE_MAX;
  size_t share = (size_t)(limit.rlim_cur / divisor);
  return share < MIN_IDLE_CONNECTIONS ? MIN_IDLE_CONNECTIONS : share;
}

sf_code sf_connection_pool_create(sf_connection_pool **created, sf_error *error) {
  sf_connection_pool *pool = sf_calloc(1, sizeof(*pool));
  if (pool == NULL || pthread_mutex_init(&pool->mutex, NULL) != 0) {
    free(pool);
    return sf_fail_memory(error, "connections");
  }
  pool->idle.next = pool->idle.previous = &pool->idle;
  pool->max_idle = share_of_descriptors(8);
  if (pool->max_idle > SF_MAX_IDLE_CONNECTIONS)
    pool->max_idle = SF_MAX_IDLE_CONNECTIONS;
  *created = pool;
  return SF_OK;
}

static void close_connection(sf_connection *connection) {
  sqlite3_finalize(connection->select_id);
  sqlite3_finalize(connection->select_payload);
  sqlite3_close(connection->database);
  free(connection);
}

static void unlink_connection_locked(sf_connection_pool *pool, sf_connection *connection) {
  SF_ASSERT_LOCKED(&pool->mutex);
  SF_ASSERT(pool->num_idle > 0);
  connection->previous->next = connection->next;
  connection->next->previous = connection->previous;
  pool->num_idle--;
  atomic_fetch_sub_explicit(&idle_in_process, 1, memory_order_relaxed);
}

static void link_connection_locked(sf_connection_pool *pool, sf_connection *connection) {
  SF_ASSERT_LOCKED(&pool->mutex);
  connection->next = pool->idle.next;
  connection->previous = &pool->idle;
  connection->next->previous = connection;
  pool->idle.next = connection;
  pool->num_idle++;
  atomic_fetch_add_explicit(&idle_in_process, 1, memory_order_relaxed);
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

/* Removes the most recently used idle connection of an owner from the list; NULL: there is none. */
static sf_connection *take_idle(sf_connection_pool *pool, const void *owner) {
  pthread_mutex_lock(&pool->mutex);
  sf_connection *found = pool->idle.next;
  while (found != &pool->idle && found->owner != owner)
    found = found->next;
  if (found != &pool->idle)
    unlink_connection_locked(pool, found);
  else
    found = NULL;
  pthread_mutex_unlock(&pool->mutex);
  return found;
}

/* Removes the least recently used connection of any owner from the list if more than `most` are idle; NULL: no more
 * are. */
static sf_connection *take_oldest(sf_connection_pool *pool, size_t most) {
  pthread_mutex_lock(&pool->mutex);
  sf_connection *oldest = pool->num_idle > most ? pool->idle.previous : NULL;
  if (oldest != NULL)
    unlink_connection_locked(pool, oldest);
  pthread_mutex_unlock(&pool->mutex);
  return oldest;
}

bool sf_connection_pool_shrink(sf_connection_pool *pool) {
  bool closed = false;
  for (sf_connection *oldest; (oldest = take_oldest(pool, 0)) != NULL; closed = true)
    close_connection(oldest);
  return closed;
}

sf_code sf_connection_pool_acquire(sf_connection_pool *pool, const void *owner, const char *path,
                                   sf_connection **connection, sf_error *error) {
  sf_connection *found = take_idle(pool, owner);
  if (found != NULL) {
    *connection = found;
    return SF_OK;
  }
  sf_code code = open_connection(owner, path, connection, error);
  for (sf_connection *oldest; code == SF_POOL_EXHAUSTED_ERROR && (oldest = take_oldest(pool, 0)) != NULL;) {
    close_connection(oldest);
    code = open_connection(owner, path, connection, error);
  }
  return code;
}

void sf_connection_pool_release(sf_connection_pool *pool, sf_connection *connection) {
  pthread_mutex_lock(&pool->mutex);
  link_connection_locked(pool, connection);
  pthread_mutex_unlock(&pool->mutex);
  bool is_crowded = atomic_load_explicit(&idle_in_process, memory_order_relaxed) > share_of_descriptors(4);
  sf_connection *oldest = take_oldest(pool, is_crowded ? 0 : pool->max_idle);
  if (oldest != NULL)
    close_connection(oldest);
}

void sf_connection_pool_forget(sf_connection_pool *pool, const void *owner) {
  for (sf_connection *found; (found = take_idle(pool, owner)) != NULL;)
    close_connection(found);
}

void sf_connection_pool_free(sf_connection_pool *pool) {
  if (pool == NULL)
    return;
  (void)sf_connection_pool_shrink(pool);
  pthread_mutex_destroy(&pool->mutex);
  free(pool);
}
