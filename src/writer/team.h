/* Threads that work on the parts of one thing together, while who asked for it waits. */
#ifndef SF_WRITER_TEAM_H
#define SF_WRITER_TEAM_H

#include "base/error.h"

typedef struct sf_team sf_team;

/* Of `num_threads` (at least 1), the calling thread included. Where fewer can be started, fewer work. */
sf_code sf_team_create(uint32_t num_threads, sf_team **team, sf_error *error);
void sf_team_free(sf_team *team); /* NULL is allowed */

uint32_t sf_team_size(const sf_team *team);

/* Calls `work` on each thread at once with its number, from 0 to sf_team_size − 1; returns when all have. */
typedef void (*sf_team_function)(void *context, uint32_t thread);
void sf_team_run(sf_team *team, sf_team_function work, void *context);

#endif
