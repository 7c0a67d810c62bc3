#include "faults/workplace.h"

#include "faults/small_root.h"
#include "support/scratch.h"

#include <stdlib.h>

static void remove_folder(char **folder) {
  if (*folder != NULL)
    scratch_remove(*folder);
  *folder = NULL;
}

void workplace_new_root(workplace *place, bool is_in_store) {
  remove_folder(&place->home);
  free(place->root);
  if (is_in_store) {
    place->root = small_root_in_store();
    return;
  }
  place->home = scratch_make();
  place->root = scratch_path(place->home, "root");
}

void workplace_new_cache(workplace *place) {
  remove_folder(&place->cache_folder);
  free(place->cache_dir);
  place->cache_folder = scratch_make();
  place->cache_dir = scratch_path(place->cache_folder, "cache");
}

void workplace_remove(workplace *place) {
  remove_folder(&place->home);
  remove_folder(&place->cache_folder);
  free(place->root);
  free(place->cache_dir);
}
