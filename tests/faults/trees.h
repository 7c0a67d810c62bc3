/* The paths in a folder, to check that a call left no files. */
#ifndef SF_TESTS_TREES_H
#define SF_TESTS_TREES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tree {
  char **paths; /* below the folder; those of folders end in '/' */
  size_t count;
} tree;

/* All paths below a folder, in order. None where there is no folder. */
tree tree_read(const char *folder);
/* Forgets the folders. */
void tree_keep_files(tree *paths);
void tree_free(tree *paths);
/* The first path in `paths` that `allowed` has not; NULL: none. */
const char *tree_first_other(const tree *paths, const tree *allowed);

#endif
