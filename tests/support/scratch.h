/* Folders that a test may write to. If one can't be made, the test program aborts. */
#ifndef SF_TESTS_SCRATCH_H
#define SF_TESTS_SCRATCH_H

#include <stddef.h>

/* A new empty folder below $TMPDIR; its path is for scratch_remove to free. */
char *scratch_make(void);
/* Removes the folder with all that is in it. */
void scratch_remove(char *folder);

/* "folder/name" for the caller to free. */
char *scratch_path(const char *folder, const char *name);
/* Makes the folders that lead to `path`, the last component left out. */
void scratch_make_parents(const char *path);
/* Replaces a file atomically: concurrent reads see the old contents or the new ones. */
void scratch_write(const char *path, const void *bytes, size_t length);
/* Copies a folder with all that is in it. */
void scratch_copy(const char *from, const char *to);

#endif
