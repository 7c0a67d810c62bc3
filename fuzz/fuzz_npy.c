#include "snapshot/npy.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_npy array = {0};
  sf_error error;
  if (sf_npy_parse(data, size, "fuzzed.npy", &array, &error) == SF_OK) {
    if (array.num_columns == 0 || array.values == NULL || array.num_rows > size)
      abort();
  }
  sf_npy_free(&array);
  return 0;
}
