/*
 * Which process made a handle. A fork's child has the handles of its parent, but none of its threads, and finds its locks
 * as they were: to wait for either could take for ever. What a process inherits it leaves alone.
 */
#ifndef SF_BASE_PROCESS_H
#define SF_BASE_PROCESS_H

#include "base/error.h"

long sf_process_id(void);

/* Fails with SF_READER_STATE_ERROR unless this is the process in which `what` ("the reader") was made. */
sf_code sf_process_check(long made_in, const char *what, sf_error *error);

/* How many CPUs this process may use: those it is bound to, where it is (sched_setaffinity(2)), or all; at least 1. */
uint32_t sf_usable_cpus(void);

#endif
