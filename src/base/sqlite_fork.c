#include "base/sqlite_fork.h"

#include <pthread.h>
#include <stddef.h>

/* SQLite's static mutexes in its own lock order: OPEN is held while a file is opened (shared caches); VFS1 while a temporary
 * file is named with random bytes, whose generator looks up its VFS under MAIN; LRU while pages are allocated; MEM by
 * every allocation. */
static const int mutexes[] = {
    SQLITE_MUTEX_STATIC_OPEN, SQLITE_MUTEX_STATIC_VFS2, SQLITE_MUTEX_STATIC_VFS3,
    SQLITE_MUTEX_STATIC_VFS1, SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_MAIN,
    SQLITE_MUTEX_STATIC_LRU,  SQLITE_MUTEX_STATIC_PMEM, SQLITE_MUTEX_STATIC_MEM,
};
#define NUM_MUTEXES (sizeof(mutexes) / sizeof(mutexes[0]))

static void enter(void) {
  for (size_t i = 0; i < NUM_MUTEXES; i++)
    sqlite3_mutex_enter(sqlite3_mutex_alloc(mutexes[i]));
}

static void leave(void) {
  for (size_t i = NUM_MUTEXES; i > 0; i--)
    sqlite3_mutex_leave(sqlite3_mutex_alloc(mutexes[i - 1]));
}

static void prepare(void) {
  sqlite3_initialize(); /* takes dynamic locks, which can't be taken here; after it, none is in use */
  pthread_atfork(enter, leave, leave);
}

int sf_sqlite_open(const char *name, int flags, sqlite3 **database) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, prepare);
  return sqlite3_open_v2(name, database, flags, NULL);
}
