/* Uploads in parts that were begun and neither completed nor given up: what killed builds leave, which no listing of
 * objects shows, and which stores keep (and charge for) until they are told otherwise. */
#ifndef SF_STORAGE_S3_UPLOADS_H
#define SF_STORAGE_S3_UPLOADS_H

#include "storage/s3/client.h"

/* Counts those of keys that begin with `prefix`, and with `abort` gives them up. */
sf_code sf_s3_unfinished_uploads(sf_s3_client *client, const char *prefix, bool abort,
                                 const sf_cancellation *cancellation, uint64_t *count, sf_error *error);

#endif
