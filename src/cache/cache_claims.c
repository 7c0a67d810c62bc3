#if defined(__linux__)
#define _GNU_SOURCE /* F_OFD_SETLK */
#endif
#include "cache/cache_claims.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <xxhash.h>

/* "shard.<16 hexadecimal digits>.db", and names that begin with it. */
static size_t length_of_download(const char *name) {
  const size_t prefix = strlen("shard.");
  const size_t digits = 16;
  if (strncmp(name, "shard.", prefix) != 0 || strspn(name + prefix, "0123456789abcdef") != digits ||
      strncmp(name + prefix + digits, ".db", 3) != 0)
    return 0;
  return prefix + digits + 3;
}

static bool read_shard_number(const char *name, uint64_t *number) {
  const size_t prefix = strlen("shard_");
  size_t digits = strncmp(name, "shard_", prefix) == 0 ? strspn(name + prefix, "0123456789") : 0;
  *number = 0;
  if (digits == 0 || digits > 10 || name[prefix + digits] != '\0')
    return false;
  for (size_t i = 0; i < digits; i++)
    *number = *number * 10 + (uint64_t)(name[prefix + i] - '0');
  return true;
}

/* Neighbouring shards have neighbouring bytes, whose locks the system stores as one. Two files with one hash share a
 * byte, which only keeps each of them longer than necessary. */
uint64_t sf_cache_claims_byte(const char *name) {
  const uint64_t hashed = (uint64_t)1 << 62;
  uint64_t number;
  size_t length = length_of_download(name);
  if (length == 0 && read_shard_number(name, &number))
    return number;
  return hashed | (XXH3_64bits(name, length > 0 ? length : strlen(name)) & (hashed - 1));
}

int sf_cache_claims_lock(int descriptor, uint64_t byte, short type, bool waits) {
#if defined(F_OFD_SETLK)
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
  while (fcntl(descriptor, waits ? F_OFD_SETLKW : F_OFD_SETLK, &lock) != 0)
    if (errno != EINTR)
      return errno;
  return 0;
#else
  (void)descriptor, (void)byte, (void)type, (void)waits;
  return ENOTSUP;
#endif
}

sf_code sf_cache_claims_open(const sf_folder *root, int *descriptor, sf_error *error) {
  struct stat status;
  sf_error failure;
  sf_code code = sf_folder_open_lock(root, SF_CACHE_CLAIMS_NAME, descriptor, &failure);
  if (code == SF_ERROR) /* a cache that is only read */
    code = sf_folder_open_file(root, SF_CACHE_CLAIMS_NAME, descriptor, &status, &failure);
  if (code != SF_OK && error != NULL)
    *error = failure;
  return code;
}

bool sf_cache_claim(int claims, const char *name) {
  return length_of_download(name) == 0 && strncmp(name, "shard_", 6) != 0
             ? true
             : claims >= 0 && sf_cache_claims_lock(claims, sf_cache_claims_byte(name), F_WRLCK, false) == 0;
}

void sf_cache_unclaim(int claims, const char *name) {
  if (claims >= 0)
    (void)sf_cache_claims_lock(claims, sf_cache_claims_byte(name), F_UNLCK, false);
}
