/* SQLite in the child of a fork. */
#ifndef SF_BASE_SQLITE_FORK_H
#define SF_BASE_SQLITE_FORK_H

#include <sqlite3.h>

/* sqlite3_open_v2, by which every database here is opened. From the first call on, a fork waits until no thread is inside
 * of one of SQLite's global locks, so that the child, which has none of those threads, can open databases of its own: a
 * lock that is held at the moment of the fork stays held in the child for ever. */
int sf_sqlite_open(const char *name, int flags, sqlite3 **database);

#endif
