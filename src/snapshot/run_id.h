/* What runs and objects are called. */
#ifndef SF_SNAPSHOT_RUN_ID_H
#define SF_SNAPSHOT_RUN_ID_H

#include "base/uuid.h"

#define SF_HEX_ID_SIZE 33    /* 32 hexadecimal digits */
#define SF_TIMESTAMP_SIZE 28 /* "2026-01-02T03:04:05.000006Z" */

/* A random UUID (RFC 9562, version 4). */
sf_code sf_uuid_make(char uuid[SF_UUID_SIZE], sf_error *error);
sf_code sf_hex_id_make(char id[SF_HEX_ID_SIZE], sf_error *error);

/* Now, in UTC. */
void sf_timestamp_now(char timestamp[SF_TIMESTAMP_SIZE]);
/* Now, and exactly so many seconds later. */
void sf_timestamps_now(char timestamp[SF_TIMESTAMP_SIZE], uint32_t seconds, char later[SF_TIMESTAMP_SIZE]);

/* Whether it can be part of keys, paths and file names: letters, digits, '-', '_' and '.', at most 128, not beginning with
 * '.'. Fails with SF_CONFIG_VALIDATION_ERROR. */
sf_code sf_run_id_check(const char *run_id, sf_error *error);

#endif
