/*
 * Counts the fetches of a reader from its storage, and makes them wait or fail when a test asks for it, so that a race happens
 * in a known order. One gate at a time in a program.
 */
#ifndef SF_TESTS_GATED_STORAGE_H
#define SF_TESTS_GATED_STORAGE_H

#include "storage/storage.h"

/* Gates a storage of files that is not in use yet, and resets all counts and settings. */
void gate_install(sf_storage *storage);

/* From now on, fetches of objects whose key holds `part` wait until gate_open, or until they are cancelled. */
void gate_shut(const char *part);
void gate_open(void);
/* Whether those that wait end when they are cancelled (the default), or go on waiting. */
void gate_obey_cancellation(bool obeys);
/* From now on, fetches of objects whose key holds `part` (NULL: none) don't find them. */
void gate_lose(const char *part);

/* Waits until as many fetches wait at the gate. */
void gate_await_waiting(unsigned count);
/* Waits until as many fetches of shards have begun. */
void gate_await_loads(unsigned count);
/* Fetches of shards that have begun since the gate was installed, and the most that were under way at once. */
unsigned gate_loads(void);
unsigned gate_most_loads_at_once(void);
/* Of those that waited, how many were cancelled. */
unsigned gate_cancelled(void);

#endif
