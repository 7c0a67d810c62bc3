/* Files without a name: gone when they are closed, and with the process that is killed. */
#ifndef SF_WRITER_TEMPORARY_FILE_H
#define SF_WRITER_TEMPORARY_FILE_H

#include "base/error.h"

/* Makes one in `directory`. */
sf_code sf_temporary_file_open(const char *directory, int *descriptor, sf_error *error);

/* Exactly `length` bytes. */
sf_code sf_temporary_file_read(int descriptor, uint64_t offset, void *bytes, size_t length, sf_error *error);

#endif
