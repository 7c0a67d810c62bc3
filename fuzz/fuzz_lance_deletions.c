/* Deletion files: an Arrow IPC file where the input begins as one, else a Roaring bitmap. */
#include "formats/lance/deletions.h"

#include <stdlib.h>

#define NUM_ROWS 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_lance_deletions deletions = {0};
  sf_lance_bytes file = {data, size};
  uint8_t excluded[NUM_ROWS / 8] = {0};
  sf_error error;
  bool is_arrow = size >= 6 && memcmp(data, "ARROW1", 6) == 0;
  sf_code code = is_arrow ? sf_lance_deletions_parse_arrow(file, &deletions, &error)
                          : sf_lance_deletions_parse_bitmap(file, &deletions, &error);
  if (code == SF_OK) {
    sf_lance_deletions_mark(&deletions, 0, NUM_ROWS, excluded);
    sf_lance_deletions_mark(&deletions, 65000, NUM_ROWS, excluded);
    uint64_t marked = 0;
    for (size_t i = 0; i < NUM_ROWS; i++)
      marked += sf_lance_bit(excluded, i);
    if (!is_arrow && marked > deletions.num_deleted)
      abort();
  }
  sf_lance_deletions_free(&deletions);
  return 0;
}
