/*
 * The checksums that stores keep of whole objects, and send on request.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 */
#ifndef SF_STORAGE_S3_CHECKSUM_H
#define SF_STORAGE_S3_CHECKSUM_H

#include "storage/s3/http.h"

typedef enum sf_checksum_algorithm {
  SF_CHECKSUM_NONE,
  SF_CHECKSUM_CRC32,
  SF_CHECKSUM_CRC32C,
  SF_CHECKSUM_CRC64NVME,
  SF_CHECKSUM_SHA1,
  SF_CHECKSUM_SHA256,
} sf_checksum_algorithm;

/* What an object's checksum is said to be. */
typedef struct sf_expected_checksum {
  sf_checksum_algorithm algorithm; /* SF_CHECKSUM_NONE: nothing is known */
  char value[64];                  /* base64 */
} sf_expected_checksum;

/* Of the whole object; one of its parts' checksums (of type COMPOSITE, as multipart uploads have) is no use. */
sf_expected_checksum sf_expected_checksum_of(const sf_http_response *response);

typedef struct sf_checksum sf_checksum;

/* NULL when memory is out. SF_CHECKSUM_NONE makes one that takes everything and matches. */
sf_checksum *sf_checksum_create(sf_checksum_algorithm algorithm);
void sf_checksum_free(sf_checksum *checksum); /* NULL is allowed */
void sf_checksum_update(sf_checksum *checksum, const void *bytes, size_t length);
/* The value in base64, once all bytes are in. */
bool sf_checksum_finish(sf_checksum *checksum, char value[64]);

/* Whether `length` bytes have the expected checksum; true when nothing is known. */
bool sf_expected_checksum_holds(const sf_expected_checksum *expected, const void *bytes, size_t length);

#endif
