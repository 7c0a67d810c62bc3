#include "snapshot/manifest.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What every caller relies on without looking. */
static void check_parsed(const sf_manifest *manifest) {
  if (manifest->num_dbs < 1 || manifest->num_dbs > SF_MANIFEST_MAX_SHARDS || manifest->shards == NULL ||
      manifest->run_id == NULL || manifest->s3_prefix == NULL)
    abort();
  for (uint32_t i = 0; i < manifest->num_dbs; i++)
    if (manifest->shards[i].row_count < 0)
      abort();
  if (manifest->has_vectors && (manifest->dim < 1 || manifest->dim > SF_MAX_DIM || manifest->routing.num_probes < 1))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_manifest manifest = {0};
  sf_error error;
  sf_code code = sf_manifest_parse(data, size, "fuzzed", &manifest, &error);
  if (code == SF_OK)
    check_parsed(&manifest);
  else if (code != SF_MANIFEST_PARSE_ERROR || strncmp(error.message, "fuzzed", 6) != 0)
    abort();
  sf_manifest_free(&manifest);
  return 0;
}
