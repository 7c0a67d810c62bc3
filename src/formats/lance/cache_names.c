#include "formats/lance/cache_names.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

void sf_lance_cache_name(const char *name, const char *kind, char cache_name[SF_LANCE_CACHE_NAME_SIZE]) {
  XXH128_hash_t hash = XXH3_128bits(name, strlen(name));
  snprintf(cache_name, SF_LANCE_CACHE_NAME_SIZE, "lance-%016llx%016llx.%s", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64, kind);
}
