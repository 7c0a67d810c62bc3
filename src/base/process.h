/*
 * Which process created a handle. A fork's child has its parent's handles but not its threads, and locks that these held stay
 * held: waiting for either could take for ever. A process leaves alone what it inherited. Also the CPUs of the process.
 */
#ifndef SF_BASE_PROCESS_H
#define SF_BASE_PROCESS_H

#include "base/error.h"

long sf_process_id(void);

/* Fails with SF_READER_STATE_ERROR unless this process created `what` ("the reader"). */
sf_code sf_process_check(long made_in, const char *what, sf_error *error);

/* How many CPUs this process may use: those of its affinity (sched_setaffinity(2)), where known, else all; at least 1. */
uint32_t sf_usable_cpus(void);

#endif
