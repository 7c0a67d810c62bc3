#include "base/uuid.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

sf_code sf_random_bytes(uint8_t *bytes, size_t length, sf_error *error) {
  static const char source[] = "/dev/urandom";
  int descriptor = open(source, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return sf_fail_errno(error, "open", source, errno);
  ssize_t got = read(descriptor, bytes, length);
  int failure = got < 0 ? errno : EIO;
  close(descriptor);
  return got == (ssize_t)length ? SF_OK : sf_fail_errno(error, "read", source, failure);
}

void sf_print_hexadecimal(const uint8_t *bytes, size_t length, char *text) {
  for (size_t i = 0; i < length; i++)
    snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

sf_code sf_uuid_bytes_make(uint8_t uuid[SF_UUID_BYTES], sf_error *error) {
  SF_TRY(sf_random_bytes(uuid, SF_UUID_BYTES, error));
  uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x40); /* version 4 */
  uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80); /* the variant of RFC 9562 */
  return SF_OK;
}

void sf_uuid_print(const uint8_t uuid[SF_UUID_BYTES], char text[SF_UUID_SIZE]) {
  static const size_t groups[] = {4, 2, 2, 2, 6};
  for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
    sf_print_hexadecimal(uuid, groups[i], text);
    uuid += groups[i];
    text += 2 * groups[i];
    *text++ = '-';
  }
  text[-1] = '\0';
}
