/* Where a scenario works: a root, and a cache in a folder of its own. */
#ifndef SF_TESTS_WORKPLACE_H
#define SF_TESTS_WORKPLACE_H

#include <stdbool.h>

typedef struct workplace {
  char *home;         /* the folder of a root that is a directory of the scenario's own; NULL for any other root */
  char *root;         /* a directory, or a URL in a store */
  char *cache_folder; /* of cache_dir; NULL: there is none yet */
  char *cache_dir;
} workplace;

/* Gives the workplace a root that nothing was written to. The one before, if it was a directory, is removed. */
void workplace_new_root(workplace *place, bool is_in_store);
/* Gives it an empty cache, and removes the one before. */
void workplace_new_cache(workplace *place);
/* Removes the folders and frees what the workplace owns. Objects in a store stay. */
void workplace_remove(workplace *place);

#endif
