#if defined(__linux__)
#define _GNU_SOURCE /* sync_file_range */
#endif
#include "base/files.h"

#include <fcntl.h>

void sf_begin_writeback(int descriptor) {
#if defined(__linux__)
  (void)sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
  (void)descriptor;
#endif
}
