/* Folders of this machine, as objects. */
#ifndef SF_WRITER_UPLOAD_H
#define SF_WRITER_UPLOAD_H

#include "storage/storage.h"

/* The bytes of all files below `directory`. */
sf_code sf_folder_size(const char *directory, uint64_t *bytes, sf_error *error);

/* Puts every file below `directory` to the same place below `key`. */
sf_code sf_upload_folder(sf_storage *storage, const char *key, const char *directory,
                         const sf_cancellation *cancellation, sf_error *error);

/* Removes a folder with all that is in it, and follows no links; what can't be removed stays. */
void sf_remove_tree(const char *directory);

#endif
