/*
 * A folder of a build's own on this machine. It is locked as long as it is used, so that the next build can tell what
 * killed ones left, and removes it.
 */
#ifndef SF_WRITER_STAGING_H
#define SF_WRITER_STAGING_H

#include "base/report.h"
#include "writer/new_folders.h"

typedef struct sf_staging {
  char *path;
  int lock; /* -1: none */
  sf_new_folders new_folders;
} sf_staging;

/* Makes `<base>/shardyfusion-build-<run_id>`; `base` NULL is $TMPDIR, or /tmp. */
sf_code sf_staging_open(const char *base, const char *run_id, const sf_log *log, sf_staging *staging, sf_error *error);

/* Removes it with all that is in it, and the folders above it that were made for it. A zeroed staging is allowed. */
void sf_staging_close(sf_staging *staging);

#endif
