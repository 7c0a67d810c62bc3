#include "base/memory.h"
#include "snapshot/pointer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = sf_memdup_string(data, size);
  if (text == NULL)
    abort();
  sf_pointer pointer = {0};
  sf_error error;
  sf_code code = sf_pointer_parse(text, size, &pointer, &error);
  if (code == SF_OK && (pointer.manifest_ref[0] == '\0' || pointer.run_id == NULL || pointer.updated_at == NULL))
    abort();
  if (code != SF_OK && (code != SF_MANIFEST_PARSE_ERROR || strncmp(error.message, "_CURRENT", 8) != 0))
    abort();
  sf_pointer_free(&pointer);
  free(text);
  return 0;
}
