/* Folders that were missing before a build made them: one that fails leaves none of them behind empty. */
#ifndef SF_WRITER_NEW_FOLDERS_H
#define SF_WRITER_NEW_FOLDERS_H

#include "base/error.h"
#include "base/memory.h"

/* Zero-initialise. */
typedef struct sf_new_folders {
  sf_buffer paths; /* each with a NUL, those below before those above */
} sf_new_folders;

/* Notes `path` and the folders above it, as far as they are missing. Folders of one parent are noted before the parent. */
sf_code sf_new_folders_note(sf_new_folders *folders, const char *path, sf_error *error);
/* Notes `path`/`name` alone, if it is missing. */
sf_code sf_new_folders_note_child(sf_new_folders *folders, const char *path, const char *name, sf_error *error);

/* Removes those that are empty, for good or because others have not filled them yet: they make them again. */
void sf_new_folders_remove(const sf_new_folders *folders);
void sf_new_folders_free(sf_new_folders *folders);

#endif
