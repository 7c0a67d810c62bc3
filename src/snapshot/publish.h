/* Making a snapshot that is written the one that is live: its manifest first, then `_CURRENT`. */
#ifndef SF_SNAPSHOT_PUBLISH_H
#define SF_SNAPSHOT_PUBLISH_H

#include "storage/storage.h"

/* Points `_CURRENT` at a manifest. Where another writer does so meanwhile, the last one counts. */
sf_code sf_publish_pointer(sf_storage *storage, const char *manifest_ref, const char *run_id,
                           const sf_cancellation *cancellation, sf_error *error);

/* The same, if it points to the manifest `present_ref` still; *replaced says so. */
sf_code sf_publish_pointer_instead_of(sf_storage *storage, const char *present_ref, const char *manifest_ref,
                                      const char *run_id, const sf_cancellation *cancellation, bool *replaced,
                                      sf_error *error);

/* The URL of a storage's root, as references begin with it; to free, NULL when memory is out. */
char *sf_root_url(const sf_storage *storage);

#endif
