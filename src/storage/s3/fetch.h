/*
 * Something large, by ranged GETs that run side by side. All parts are of one version of the object: each names the ETag
 * that the first answers had, and when the object is replaced meanwhile, all begins anew.
 *
 * Round trips one after another: one for an object of one part, two for a larger one.
 */
#ifndef SF_STORAGE_S3_FETCH_H
#define SF_STORAGE_S3_FETCH_H

#include "storage/s3/call.h"

/* Bytes of a part. Half of max_connections × 16 MiB would already be too much to keep in memory: parts are written where
 * they belong as they arrive, and what is in flight is libcurl's buffers. */
#define SF_S3_PART_SIZE ((uint64_t)8 << 20)
#define SF_S3_LARGE_PART_SIZE ((uint64_t)16 << 20)
#define SF_S3_LARGE_OBJECT ((uint64_t)1 << 30)

typedef struct sf_s3_fetch {
  /* What is wanted. */
  const char *key;
  uint64_t first;
  uint64_t length; /* UINT64_MAX: up to the object's end */
  /* Takes the bytes, `offset` counted from `first`, parts in any order and at once, by the HTTP client's thread. */
  bool (*write)(struct sf_s3_fetch *fetch, uint64_t offset, const uint8_t *bytes, size_t length, sf_error *error);
  /* All bytes before `length` have been written; or, when it is 0, none count any more. By the caller's thread. NULL: of no
   * interest. */
  sf_code (*advance)(struct sf_s3_fetch *fetch, uint64_t length, const sf_cancellation *cancellation, sf_error *error);
  /* So many bytes are there, in whatever order. By the caller's thread. NULL: of no interest. */
  void (*arrived)(struct sf_s3_fetch *fetch, uint64_t bytes);

  /* What was found, when advance is first called with more than 0 and at the end. */
  bool found;
  uint64_t size;                 /* bytes that are fetched */
  sf_expected_checksum checksum; /* of the whole object */
} sf_s3_fetch;

sf_code sf_s3_fetch_run(sf_s3_client *client, sf_s3_fetch *fetch, const sf_cancellation *cancellation, sf_error *error);

#endif
