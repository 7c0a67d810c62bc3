/* Manifests, and the protobuf messages in them. */
#include "formats/lance/manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_lance_manifest manifest = {0};
  sf_error error;
  if (sf_lance_manifest_parse((sf_lance_bytes){data, size}, &manifest, &error) == SF_OK)
    for (size_t i = 0; i < manifest.message->n_fragments; i++) {
      uint32_t column;
      const Sf__Lance__DataFile *file =
          sf_lance_fragment_file(manifest.message->fragments[i], manifest.field_ids[SF_LANCE_VECTOR], &column);
      if (file != NULL && (file->path == NULL || manifest.dim == 0))
        abort();
    }
  sf_lance_manifest_free(&manifest);
  return 0;
}
