/* The runs that left objects at a root: what each has, and whether a manifest refers to it. */
#ifndef SF_WRITER_ROOT_RUNS_H
#define SF_WRITER_ROOT_RUNS_H

#include "storage/storage.h"

typedef struct sf_root_run {
  char *run_id;
  char **folders; /* keys that end in '/': its record's last, so that its age stays known until all else is gone */
  size_t num_folders;
  double updated_seconds; /* its last heartbeat, since 1970; negative: not known */
  bool is_referenced;
} sf_root_run;

typedef struct sf_root_runs {
  sf_root_run *runs;
  size_t count;
  size_t capacity;
} sf_root_runs;

/* Manifests are looked at after everything else: a run that is published meanwhile counts as referenced. */
sf_code sf_root_runs_read(sf_storage *storage, const sf_cancellation *cancellation, sf_root_runs *runs,
                          sf_error *error);
void sf_root_runs_free(sf_root_runs *runs);

#endif
