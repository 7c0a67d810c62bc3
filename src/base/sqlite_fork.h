/* SQLite in the child of a fork. */
#ifndef SF_BASE_SQLITE_FORK_H
#define SF_BASE_SQLITE_FORK_H

/* From the first call on, a fork waits until no thread is inside of one of SQLite's global locks, so that the child, which
 * has none of those threads, can open databases of its own: a lock that is held at the moment of the fork stays held in
 * the child for ever. To be called before a database is opened; any thread, any number of times. */
void sf_sqlite_prepare_for_forks(void);

#endif
