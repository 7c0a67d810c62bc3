#include "snapshot/run_id.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_RUN_ID 128

static sf_code random_bytes(uint8_t *bytes, size_t length, sf_error *error) {
  static const char source[] = "/dev/urandom";
  int descriptor = open(source, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return sf_fail_errno(error, "open", source, errno);
  ssize_t got = read(descriptor, bytes, length);
  int failure = got < 0 ? errno : EIO;
  close(descriptor);
  return got == (ssize_t)length ? SF_OK : sf_fail_errno(error, "read", source, failure);
}

static void print_hexadecimal(const uint8_t *bytes, size_t length, char *text) {
  for (size_t i = 0; i < length; i++)
    snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

sf_code sf_hex_id_make(char id[SF_HEX_ID_SIZE], sf_error *error) {
  uint8_t bytes[16] = {0};
  SF_TRY(random_bytes(bytes, sizeof(bytes), error));
  print_hexadecimal(bytes, sizeof(bytes), id);
  return SF_OK;
}

sf_code sf_uuid_make(char uuid[SF_UUID_SIZE], sf_error *error) {
  static const size_t groups[] = {4, 2, 2, 2, 6};
  uint8_t bytes[16] = {0};
  SF_TRY(random_bytes(bytes, sizeof(bytes), error));
  bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40); /* version 4 */
  bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80); /* the variant of RFC 9562 */
  const uint8_t *next = bytes;
  char *text = uuid;
  for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
    print_hexadecimal(next, groups[i], text);
    next += groups[i];
    text += 2 * groups[i];
    *text++ = '-';
  }
  text[-1] = '\0';
  return SF_OK;
}

void sf_timestamp_now(char timestamp[SF_TIMESTAMP_SIZE]) {
  sf_timestamp_after(0, timestamp);
}

void sf_timestamp_after(uint32_t seconds, char timestamp[SF_TIMESTAMP_SIZE]) {
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  now.tv_sec += seconds;
  gmtime_r(&now.tv_sec, &utc);
  size_t length = strftime(timestamp, SF_TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(timestamp + length, SF_TIMESTAMP_SIZE - length, ".%06uZ", (unsigned)(now.tv_nsec / 1000) % 1000000);
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
