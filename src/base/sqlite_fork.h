/* Opening SQLite databases so that a fork is safe. */
#ifndef SF_BASE_SQLITE_FORK_H
#define SF_BASE_SQLITE_FORK_H

#include <sqlite3.h>

/* sqlite3_open_v2, with which all databases are opened. From the first call on, a fork waits until no thread holds one of
 * SQLite's global locks, so that the child can open databases: a lock that is held during the fork stays held in the
 * child for ever, which does not have the thread that would release it. */
int sf_sqlite_open(const char *name, int flags, sqlite3 **database);

#endif
