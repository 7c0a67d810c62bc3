#include "base/files.h"
#include "base/memory.h"
#include "shard/scratch_folder.h"

sf_code sf_scratch_file_open(const char *cache_dir, int *descriptor, sf_error *error) {
  char *root = sf_folder_of(cache_dir);
  char *prefix = sf_format("%s" SF_SCRATCH_INFIX, cache_dir);
  sf_code code =
      root == NULL || prefix == NULL ? sf_fail_memory(error, "path of the cache") : sf_make_folders(root, error);
  if (code == SF_OK && (code = sf_open_nameless(prefix, descriptor, error)) != SF_OK)
    sf_error_prefix(error, "local cache");
  free(root);
  free(prefix);
  return code;
}
