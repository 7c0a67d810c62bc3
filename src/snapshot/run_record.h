/*
 * The record that a run leaves of itself: `runs/<started_at>_run_id=<run_id>_<32 hexadecimal digits>/run.yaml`, as the
 * format's first writer has it. It says that a run is under way, and when its last heartbeat was.
 */
#ifndef SF_SNAPSHOT_RUN_RECORD_H
#define SF_SNAPSHOT_RUN_RECORD_H

#include "snapshot/run_id.h"
#include "storage/storage.h"

typedef struct sf_run_record {
  char *key;
  const char *run_id;    /* borrowed */
  const char *s3_prefix; /* borrowed */
  char started_at[SF_TIMESTAMP_SIZE];
  uint64_t written_at; /* monotonic nanoseconds */
} sf_run_record;

/* Writes it, with the status "running". Borrows the strings for as long as the record lives. */
sf_code sf_run_record_begin(sf_run_record *record, sf_storage *storage, const char *run_id, const char *s3_prefix,
                            const sf_cancellation *cancellation, sf_error *error);

/* Writes a heartbeat, where the last is some minutes old. */
sf_code sf_run_record_renew(sf_run_record *record, sf_storage *storage, const sf_cancellation *cancellation,
                            sf_error *error);

sf_code sf_run_record_succeed(sf_run_record *record, sf_storage *storage, const char *manifest_ref,
                              const sf_cancellation *cancellation, sf_error *error);

sf_code sf_run_record_remove(const sf_run_record *record, sf_storage *storage, const sf_cancellation *cancellation,
                             sf_error *error);

/* A zeroed record is allowed. */
void sf_run_record_free(sf_run_record *record);

/* A record's folder below "runs/", without its slash: "<started_at>_run_id=<run_id>_<digits>". Borrows from `name`. */
typedef struct sf_run_record_name {
  const char *run_id; /* run_id_length characters */
  size_t run_id_length;
  double started_seconds; /* since 1970 */
} sf_run_record_name;
bool sf_run_record_name_parse(const char *name, sf_run_record_name *parsed);

/* When the last heartbeat of a record's run was: its updated_at, or, where that can't be read, when it began. */
sf_code sf_run_record_read_age(sf_storage *storage, const char *folder, const sf_run_record_name *name,
                               const sf_cancellation *cancellation, double *updated_seconds, sf_error *error);

#endif
