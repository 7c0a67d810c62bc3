/* A whole data file: footer, offset tables, column metadata, pages. Columns as in a shard, vectors of dimension 4. */
#include "lance_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_column(const sf_lance_data_file *file, uint32_t index) {
  sf_error error;
  sf_lance_column column;
  if (sf_lance_column_open(file, index, "fuzzed", NULL, &column, &error) != SF_OK)
    return;
  if (index == 1) {
    read_vectors(&column, 4, SF_LANCE_FLOAT32);
    sf_lance_column_close(&column);
  } else {
    read_strings(&column);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_error error;
  sf_lance_object *object;
  sf_lance_data_file file;
  if (sf_lance_object_open_bytes((sf_lance_bytes){data, size}, "fuzzed.lance", &object, &error) != SF_OK ||
      sf_lance_data_file_open(object, NULL, &file, &error) != SF_OK)
    return 0;
  for (uint32_t index = 0; index < 3; index++)
    read_column(&file, index);
  sf_lance_data_file_close(&file);
  return 0;
}
