/* One line on standard error, a terminal, about the shards that are being downloaded. */
#ifndef SF_CLI_DOWNLOAD_PROGRESS_H
#define SF_CLI_DOWNLOAD_PROGRESS_H

#include "cli/progress.h"
#include "shardyfusion/storage.h"

#include <pthread.h>

typedef struct sf_cli_download_progress {
  pthread_mutex_t mutex;  /* guards all below: threads download at once */
  sf_cli_progress line;   /* since the download that is shown began to be */
  uint64_t done_at_start; /* bytes, when it began to be shown */
  uint64_t object;        /* hash of its name */
} sf_cli_download_progress;

void sf_cli_download_progress_init(sf_cli_download_progress *progress);

/* An sf_download_callback; `user_data` is the progress. The line is removed with the last byte. */
void sf_cli_show_download(const char *object, uint64_t bytes_done, uint64_t bytes_total, void *user_data);

#endif
