#include "snapshot/run_id.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_RUN_ID 128

sf_code sf_hex_id_make(char id[SF_HEX_ID_SIZE], sf_error *error) {
  uint8_t bytes[16] = {0};
  SF_TRY(sf_random_bytes(bytes, sizeof(bytes), error));
  sf_print_hexadecimal(bytes, sizeof(bytes), id);
  return SF_OK;
}

sf_code sf_uuid_make(char uuid[SF_UUID_SIZE], sf_error *error) {
  uint8_t bytes[SF_UUID_BYTES] = {0};
  SF_TRY(sf_uuid_bytes_make(bytes, error));
  sf_uuid_print(bytes, uuid);
  return SF_OK;
}

static void print_timestamp(struct timespec time, char timestamp[SF_TIMESTAMP_SIZE]) {
  struct tm utc;
  gmtime_r(&time.tv_sec, &utc);
  size_t length = strftime(timestamp, SF_TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(timestamp + length, SF_TIMESTAMP_SIZE - length, ".%06uZ", (unsigned)(time.tv_nsec / 1000) % 1000000);
}

void sf_timestamp_now(char timestamp[SF_TIMESTAMP_SIZE]) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  print_timestamp(now, timestamp);
}

void sf_timestamps_now(char timestamp[SF_TIMESTAMP_SIZE], uint32_t seconds, char later[SF_TIMESTAMP_SIZE]) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  print_timestamp(now, timestamp);
  now.tv_sec += seconds;
  print_timestamp(now, later);
}

sf_code sf_run_id_check(const char *run_id, sf_error *error) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  size_t length = strlen(run_id);
  if (length > 0 && length <= MAX_RUN_ID && run_id[0] != '.' && strspn(run_id, allowed) == length)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                 "run_id: expected 1 to %d letters, digits, '-', '_' and '.', not beginning with '.', found '%.160s'",
                 MAX_RUN_ID, run_id);
}
