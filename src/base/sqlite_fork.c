#include "base/sqlite_fork.h"

#include <pthread.h>
#include <stddef.h>

/* SQLite's static mutexes, each before those that SQLite takes while it holds it: a file is opened under OPEN (shared
 * caches); the name of a temporary file is made under VFS1, with random bytes, whose generator looks for its VFS under
 * MAIN; pages are allocated under LRU; and everything allocates, under MEM. */
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
  sqlite3_initialize(); /* its own locks are dynamic ones, and can't be taken here: none is in use any more after it */
  pthread_atfork(enter, leave, leave);
}

int sf_sqlite_open(const char *name, int flags, sqlite3 **database) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, prepare);
  return sqlite3_open_v2(name, database, flags, NULL);
}
