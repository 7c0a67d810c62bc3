/* What S3 can do beyond reading. */
#ifndef SF_STORAGE_S3_S3_STORAGE_H
#define SF_STORAGE_S3_S3_STORAGE_H

#include "storage/storage.h"

typedef struct sf_s3_put_condition {
  bool only_if_absent;  /* If-None-Match: * */
  const char *if_match; /* an ETag, quotes included; NULL: whichever is there */
} sf_s3_put_condition;

/* Writes an object in one request. `storage` must have been opened on s3://. `condition` may be NULL; where it does not
 * hold, *stored is false. A try whose answer was lost may have stored the object: its repetition then finds the condition
 * broken. */
sf_code sf_s3_storage_put(sf_storage *storage, const char *key, const void *bytes, size_t length,
                          const sf_s3_put_condition *condition, const sf_cancellation *cancellation, bool *stored,
                          sf_error *error);

#endif
