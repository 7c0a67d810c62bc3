#include "writer/temporary_file.h"

#include "base/files.h"
#include "base/memory.h"

#include <errno.h>
#include <unistd.h>

sf_code sf_temporary_file_open(const char *directory, int *descriptor, sf_error *error) {
  char *prefix = sf_format("%s/.rows-", directory);
  if (prefix == NULL)
    return sf_fail_memory(error, "temporary file");
  sf_code code = sf_open_nameless(prefix, descriptor, error);
  free(prefix);
  return code;
}

sf_code sf_temporary_file_read(int descriptor, uint64_t offset, void *bytes, size_t length, sf_error *error) {
  char *next = bytes;
  while (length > 0) {
    ssize_t got = pread(descriptor, next, length, (off_t)offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return sf_fail_errno(error, "read", "a temporary file", got < 0 ? errno : EIO);
    next += got;
    offset += (uint64_t)got;
    length -= (size_t)got;
  }
  return SF_OK;
}
