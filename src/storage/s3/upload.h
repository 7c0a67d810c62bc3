/*
 * A local file as an object: in one request where it is small, else as a multipart upload whose parts run side by side.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
 */
#ifndef SF_STORAGE_S3_UPLOAD_H
#define SF_STORAGE_S3_UPLOAD_H

#include "storage/s3/client.h"

/* What a part holds, and what the parts under way hold together, which is what an upload takes of memory. */
#define SF_S3_UPLOAD_PART_SIZE ((uint64_t)16 << 20)
#define SF_S3_UPLOAD_MAX_PART_SIZE ((uint64_t)64 << 20)
#define SF_S3_UPLOAD_MEMORY ((uint64_t)64 << 20)
/* Stores take no more parts of one object. */
#define SF_S3_UPLOAD_MAX_PARTS 10000

/* Bytes of a part of a file of `size` bytes; 0 for one that is too large. */
uint64_t sf_s3_upload_part_size(uint64_t size);

/* The ETag that stores make of parts' ETags: the MD5 of their MD5s, in quotes, with their number. False when an ETag is of
 * another kind. */
bool sf_s3_multipart_etag(char *const *etags, size_t count, char etag[64]);

/* An upload that failed or was cancelled is aborted: nothing of it stays with the store, unless that can't be reached. A
 * part that the store had already in hand can outlive that; a bucket's lifecycle rule for incomplete uploads removes it. */
sf_code sf_s3_upload(sf_s3_client *client, const char *key, const char *path, const sf_cancellation *cancellation,
                     sf_error *error);

#endif
