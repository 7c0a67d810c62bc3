#include "snapshot/npy.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place, as a build reads rows and ids. */
static void read_in_place(const uint8_t *data, size_t size) {
  sf_npy_layout layout;
  sf_error error;
  if (sf_npy_parse_layout(data, size, "fuzzed.npy", &layout, &error) != SF_OK)
    return;
  size_t count = layout.num_rows * layout.num_columns;
  if (layout.offset > size || count * layout.type.size != size - layout.offset)
    abort();
  for (size_t i = 0; i < count; i++) {
    const uint8_t *element = data + layout.offset + i * layout.type.size;
    double number = sf_npy_number(layout.type, element);
    int64_t integer;
    if (sf_npy_integer(layout.type, element, &integer) && number != (double)integer)
      abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  read_in_place(data, size);
  sf_npy array = {0};
  sf_error error;
  if (sf_npy_parse(data, size, "fuzzed.npy", &array, &error) == SF_OK) {
    if (array.num_columns == 0 || array.values == NULL || array.num_rows > size)
      abort();
  }
  sf_npy_free(&array);
  return 0;
}
