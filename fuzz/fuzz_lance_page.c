/* Every encoding of version 2.0, and every layout of versions 2.1 and 2.2 over every compressive encoding. */
#include "lance_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzzed_page fuzzed;
  if (open_fuzzed_page(data, size, &fuzzed)) {
    if (fuzzed.has_vectors)
      read_vectors(&fuzzed.column, fuzzed.dim, fuzzed.item_type);
    else
      read_strings(&fuzzed.column);
  }
  close_fuzzed_page(&fuzzed);
  return 0;
}
