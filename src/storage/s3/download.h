/* An object as a local file: taken from what is there if that holds, else fetched. */
#ifndef SF_STORAGE_S3_DOWNLOAD_H
#define SF_STORAGE_S3_DOWNLOAD_H

#include "storage/s3/client.h"

/* The callback for progress; `report` may be NULL. */
typedef struct sf_s3_download_listener {
  sf_download_callback report;
  void *user_data;
} sf_s3_download_listener;

/* Makes sure that a copy of the object lies at `path` (see storage/local_copy.h). One that was fetched earlier is used when
 * it is of this object and its checksum holds: objects of a snapshot are never written twice under one key. */
sf_code sf_s3_download(sf_s3_client *client, const char *key, const char *path, const sf_s3_download_listener *listener,
                       const sf_cancellation *cancellation, bool *found, sf_error *error);

#endif
