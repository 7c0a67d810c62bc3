/* What is directly below a prefix of a bucket, by ListObjectsV2, page by page. */
#ifndef SF_STORAGE_S3_LISTING_H
#define SF_STORAGE_S3_LISTING_H

#include "storage/s3/client.h"
#include "storage/storage.h"

/* What one listing may bring. A store that goes on beyond it, by mistake or to exhaust us, is stopped with an error that
 * names the prefix and the bound. docs/limits.md has these. */
#define SF_S3_MAX_LIST_PAGE_BYTES ((size_t)16 << 20)
#define SF_S3_MAX_LIST_PAGES 2000
#define SF_S3_MAX_LISTED_NAMES ((size_t)1000000)
#define SF_S3_MAX_LISTED_BYTES ((size_t)64 << 20)

/* As sf_storage_vtable.list; `prefix` is the bucket's. */
sf_code sf_s3_list(sf_s3_client *client, const char *prefix, const char *after, const sf_cancellation *cancellation,
                   sf_storage_list_callback callback, void *user_data, sf_error *error);

#endif
