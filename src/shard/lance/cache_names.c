#include "shard/lance/cache_names.h"

#include "base/memory.h"

#include <string.h>
#include <xxhash.h>

char *sf_lance_cache_path(const char *cache_dir, const char *name, const char *kind) {
  XXH128_hash_t hash = XXH3_128bits(name, strlen(name));
  return sf_format("%s/lance-%016llx%016llx.%s", cache_dir, (unsigned long long)hash.high64,
                   (unsigned long long)hash.low64, kind);
}
