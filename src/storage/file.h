/* Objects in a directory: what reading them and writing them share. */
#ifndef SF_STORAGE_FILE_H
#define SF_STORAGE_FILE_H

#include "storage/storage.h"

#include <xxhash.h>

/* The path of a key, for the caller to free. A key that leads out of the root is an error. */
sf_code sf_file_path_of_key(const sf_storage *storage, const char *key, char **path, sf_error *error);

/* Whether a failure to open means that there is no such object. */
bool sf_file_means_missing(int error_number);

/* The ETag of an object in a directory is a hash of its contents. */
void sf_file_describe(sf_object_info *info, uint64_t size, XXH128_hash_t hash);

/* As the storage's vtable has them. */
sf_code sf_file_put(sf_storage *storage, const char *key, const void *bytes, size_t length,
                    const sf_put_condition *condition, const sf_cancellation *cancellation, bool *stored,
                    sf_error *error);
sf_code sf_file_put_file(sf_storage *storage, const char *key, const char *path, const sf_cancellation *cancellation,
                         sf_error *error);
sf_code sf_file_remove(sf_storage *storage, const char *key, const sf_cancellation *cancellation, sf_error *error);

#endif
