/* A directory that behaves as a storage whose objects are not on this machine: for tests. It counts requests. The ETag of an object is
 * its size, in quotes. */
#ifndef SF_TESTS_REMOTE_STORAGE_H
#define SF_TESTS_REMOTE_STORAGE_H

#include "storage/storage.h"

sf_code remote_storage_open(const char *root, sf_storage **storage, sf_error *error);
size_t remote_storage_requests(const sf_storage *storage);

#endif
