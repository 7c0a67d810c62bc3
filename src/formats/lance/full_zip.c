#include "formats/lance/full_zip.h"

#include "formats/lance/mini_block.h"

sf_code sf_lance_full_zip_check(const Sf__Lance__FullZipLayout *layout, uint64_t num_rows, sf_error *error) {
  bool nullable;
  if (layout->bits_rep != 0)
    return SF_LANCE_BAD(error, "repetition is not supported: no column of ours is a list");
  SF_TRY(sf_lance_check_layers(layout->layers, layout->n_layers, &nullable, error));
  if (layout->bits_def > 16 || (layout->bits_def != 0 && !nullable))
    return SF_LANCE_BAD(error, "%u bits of definition levels, with values that are %s", layout->bits_def,
                        nullable ? "nullable" : "valid");
  if (layout->num_items != num_rows)
    return SF_LANCE_BAD(error, "%u items in a page of %llu rows", layout->num_items, (unsigned long long)num_rows);
  return SF_OK;
}

size_t sf_lance_full_zip_control_size(const Sf__Lance__FullZipLayout *layout) {
  if (layout->bits_def == 0)
    return 0;
  return layout->bits_def <= 8 ? 1 : 2;
}

sf_code sf_lance_full_zip_index_size(uint64_t length, uint64_t num_rows, size_t *size, sf_error *error) {
  uint64_t each = length / (num_rows + 1);
  if ((each != 1 && each != 2 && each != 4 && each != 8) || length % (num_rows + 1) != 0)
    return SF_LANCE_BAD(error, "%llu bytes say not where %llu values begin", (unsigned long long)length,
                        (unsigned long long)num_rows);
  *size = (size_t)each;
  return SF_OK;
}

sf_code sf_lance_full_zip_value(const Sf__Lance__FullZipLayout *layout, sf_lance_bytes zipped, bool *is_null,
                                sf_lance_bytes *value, sf_error *error) {
  size_t control_size = sf_lance_full_zip_control_size(layout);
  size_t length_size = layout->bits_per_offset / 8;
  if (layout->bits_per_offset != 32 && layout->bits_per_offset != 64)
    return SF_LANCE_BAD(error, "lengths of %u bits are not supported", layout->bits_per_offset);
  sf_cursor cursor = sf_cursor_over(zipped.data, zipped.length);
  const uint8_t *control = sf_cursor_take(&cursor, control_size);
  if (control == NULL)
    return SF_LANCE_BAD(error, "a value of %zu bytes has no control word", zipped.length);
  *is_null = control_size > 0 && sf_lance_load(control, control_size) != 0;
  if (*is_null)
    return SF_OK;
  const uint8_t *length = sf_cursor_take(&cursor, length_size);
  size_t left = sf_cursor_remaining(&cursor);
  if (length == NULL || sf_lance_load(length, length_size) != left)
    return SF_LANCE_BAD(error, "a value of %zu bytes does not have the length it says", zipped.length);
  *value = (sf_lance_bytes){zipped.data + cursor.position, left};
  return SF_OK;
}
