/* Writing files: at offsets, with disk space reserved ahead, and written back early. */
#if defined(__linux__)
#define _GNU_SOURCE /* fallocate, sync_file_range */
#endif
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Bytes that are written at a time where disk space can't be allocated. */
enum { ZEROS = 64 * 1024 };

static bool is_full(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT;
}

sf_code sf_fail_to_write(sf_error *error, int descriptor, const char *path, uint64_t needed, int error_number) {
  struct statvfs status;
  if (!is_full(error_number) || fstatvfs(descriptor, &status) != 0)
    return sf_fail_errno(error, "write", path, error_number);
  const uint64_t available = (uint64_t)status.f_bavail * status.f_frsize;
  return sf_fail(error, SF_ERROR, "can't write %s: it needs at least %llu bytes, and its file system has %llu left: %s",
                 path, (unsigned long long)needed, (unsigned long long)available, strerror(error_number));
}

sf_code sf_write_at(int descriptor, const char *path, const void *bytes, size_t length, uint64_t offset,
                    sf_error *error) {
  const char *next = bytes;
  while (length > 0) {
    ssize_t written = pwrite(descriptor, next, length, (off_t)offset);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return sf_fail_to_write(error, descriptor, path, offset + length, errno);
    next += written;
    offset += (uint64_t)written;
    length -= (size_t)written;
  }
  return SF_OK;
}

void sf_begin_writeback(int descriptor) {
#if defined(__linux__)
  (void)sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
  (void)descriptor;
#endif
}

/* 0, or an errno; one of is_unsupported's where the file system can't allocate. */
static int allocate(int descriptor, uint64_t offset, uint64_t length) {
  if (length > INT64_MAX || offset > INT64_MAX - length)
    return EFBIG;
  if (length == 0)
    return 0;
#if defined(__linux__)
  while (fallocate(descriptor, 0, (off_t)offset, (off_t)length) != 0)
    if (errno != EINTR)
      return errno;
  return 0;
#elif defined(__APPLE__)
  fstore_t wanted = {.fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = (off_t)length};
  struct stat status;
  if (fcntl(descriptor, F_PREALLOCATE, &wanted) != 0)
    return errno;
  if (fstat(descriptor, &status) == 0 && (uint64_t)status.st_size >= offset + length)
    return 0;
  return ftruncate(descriptor, (off_t)(offset + length)) == 0 ? 0 : errno;
#else
  return posix_fallocate(descriptor, (off_t)offset, (off_t)length);
#endif
}

static bool is_unsupported(int error_number) {
  return error_number == EOPNOTSUPP || error_number == ENOTSUP || error_number == ENOSYS || error_number == EINVAL ||
         error_number == ENODEV;
}

sf_code sf_reserve(int descriptor, const char *path, uint64_t offset, uint64_t length, uint64_t needed,
                   sf_error *error) {
  int failure = allocate(descriptor, offset, length);
  if (failure == 0 || is_unsupported(failure))
    return SF_OK;
  return sf_fail_to_write(error, descriptor, path, needed, failure);
}

sf_code sf_allocate_file(int descriptor, const char *path, uint64_t length, sf_error *error) {
  static const char zeros[ZEROS];
  int failure = allocate(descriptor, 0, length);
  if (failure == 0)
    return SF_OK;
  if (!is_unsupported(failure))
    return sf_fail_to_write(error, descriptor, path, length, failure);
  for (uint64_t offset = 0; offset < length; offset += ZEROS) {
    uint64_t left = length - offset;
    SF_TRY(sf_write_at(descriptor, path, zeros, left < ZEROS ? (size_t)left : ZEROS, offset, error));
  }
  return SF_OK;
}
