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
} sf_run_record;

/* How long a running record's lease lasts from when it is written: who reads one whose lease has passed may take its run for
 * dead. As the format's first writer has it, and so is the interval at which it is renewed. */
#define SF_RUN_LEASE_SECONDS 600
#define SF_RUN_RENEWAL_SECONDS 60

/* Writes it, with the status "running". Borrows the strings for as long as the record lives. */
sf_code sf_run_record_begin(sf_run_record *record, sf_storage *storage, const char *run_id, const char *s3_prefix,
                            const sf_cancellation *cancellation, sf_error *error);

/* Writes a heartbeat: the lease lasts anew. */
sf_code sf_run_record_renew(sf_run_record *record, sf_storage *storage, const sf_cancellation *cancellation,
                            sf_error *error);

/* `manifest_ref` NULL: the snapshot's manifest is not at this root. */
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

/* What a record says. */
typedef struct sf_run_state {
  double updated_seconds;      /* its last heartbeat: updated_at, or, where that can't be read, when it began */
  bool is_published_elsewhere; /* it succeeded, and its manifest is not at this root */
} sf_run_state;
sf_code sf_run_record_read(sf_storage *storage, const char *folder, const sf_run_record_name *name,
                           const sf_cancellation *cancellation, sf_run_state *state, sf_error *error);

#endif
