/* Where a build's rows come from: arrays and lines beside one another, or JSON Lines. */
#ifndef SF_CLI_BUILD_ROWS_H
#define SF_CLI_BUILD_ROWS_H

#include "cli/progress.h"
#include "cli/session.h"
#include "shardyfusion/build.h"

/* What the line of progress shows beside what the builder says. */
typedef struct sf_cli_build_progress {
  sf_cli_progress line; /* of the current phase */
  sf_build_phase phase;
  uint64_t total_rows;  /* 0: not known */
  uint64_t total_bytes; /* of a file of JSON Lines; 0: not known */
  uint64_t bytes_read;
} sf_cli_build_progress;

/* Each adds all rows to the builder, and keeps the totals of `progress`. */
sf_code sf_cli_build_from_arrays(sf_cli_session *session, sf_builder *builder, sf_cli_build_progress *progress,
                                 sf_error *error);
sf_code sf_cli_build_from_jsonl(sf_cli_session *session, sf_builder *builder, sf_cli_build_progress *progress,
                                sf_error *error);

#endif
