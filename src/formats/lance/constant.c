#include "formats/lance/constant.h"

#include "formats/lance/mini_block.h"

/* Levels are packed to a bit each, or into runs of at most 255 with 3 bytes a run: more rows than this can't come from
 * so few bytes. */
#define MAX_ROWS_PER_BYTE 128
#define ROWS_SLACK 65536

sf_code sf_lance_constant_check(const sf_lance_page *page, bool *all_null, sf_error *error) {
  const Sf__Lance__ConstantLayout *layout = page->layout->constant;
  bool nullable;
  SF_TRY(sf_lance_check_layers(layout->layers, layout->n_layers, &nullable, error));
  if (layout->has_inline_value)
    return SF_LANCE_BAD(error, "constant layout: an inline value is not supported");
  if (layout->rep_compression != NULL || layout->num_rep_values != 0)
    return SF_LANCE_BAD(error, "repetition is not supported: no column of ours is a list");
  if (page->num_buffers == 0 && !nullable)
    return SF_LANCE_BAD(error, "constant layout: there is neither a value nor null");
  if (page->num_buffers != 0 && page->num_buffers != 1 && page->num_buffers != 3)
    return SF_LANCE_BAD(error, "constant layout: %zu buffers are not supported", page->num_buffers);
  *all_null = page->num_buffers == 0;
  return SF_OK;
}

sf_code sf_lance_constant_string(sf_lance_bytes stored, sf_lance_bytes *string, sf_error *error) {
  sf_cursor cursor = sf_cursor_over(stored.data, stored.length);
  uint32_t num_buffers;
  uint32_t offsets_length;
  uint32_t bytes_length;
  if (!sf_cursor_u32(&cursor, &num_buffers) || num_buffers != 2 || !sf_cursor_u32(&cursor, &offsets_length) ||
      !sf_cursor_u32(&cursor, &bytes_length) || (offsets_length != 8 && offsets_length != 16))
    return SF_LANCE_BAD(error, "constant layout: the %zu bytes of the value are not a string", stored.length);
  const uint8_t *offsets = sf_cursor_take(&cursor, offsets_length);
  const uint8_t *bytes = offsets == NULL ? NULL : sf_cursor_take(&cursor, bytes_length);
  if (bytes == NULL || sf_cursor_remaining(&cursor) != 0)
    return SF_LANCE_BAD(error, "constant layout: the value is not as long as it says");
  size_t size = offsets_length / 2;
  uint64_t begin = sf_lance_load(offsets, size);
  uint64_t end = sf_lance_load(offsets + size, size);
  if (begin > end || end > bytes_length)
    return SF_LANCE_BAD(error, "constant layout: the string lies at %llu to %llu of %u bytes",
                        (unsigned long long)begin, (unsigned long long)end, bytes_length);
  *string = (sf_lance_bytes){bytes + begin, (size_t)(end - begin)};
  return SF_OK;
}

/* Levels are u16, plain or compressed as one block. */
static sf_code decode_levels(const Sf__Lance__ConstantLayout *layout, sf_lance_bytes stored, size_t num_rows,
                             uint8_t *levels, sf_error *error) {
  if (layout->def_compression != NULL) {
    if (layout->num_def_values != num_rows)
      return SF_LANCE_BAD(error, "constant layout: %llu levels for %zu rows",
                          (unsigned long long)layout->num_def_values, num_rows);
    return sf_lance_decode_values(layout->def_compression, &stored, 1, num_rows, 2, levels, error);
  }
  if (stored.length / 2 != num_rows || stored.length % 2 != 0)
    return SF_LANCE_BAD(error, "constant layout: %zu bytes of levels for %zu rows", stored.length, num_rows);
  memcpy(levels, stored.data, stored.length);
  return SF_OK;
}

static sf_code read_nulls(const sf_lance_column *column, const sf_lance_page *page, const sf_cancellation *cancellation,
                          sf_lance_constant *constant, sf_error *error) {
  if (page->buffer_sizes[1] != 0)
    return SF_LANCE_BAD(error, "repetition is not supported: no column of ours is a list");
  if (page->buffer_sizes[2] == 0)
    return SF_OK;
  if (page->num_rows > page->buffer_sizes[2] * MAX_ROWS_PER_BYTE + ROWS_SLACK)
    return SF_LANCE_BAD(error, "constant layout: %llu bytes of levels for %llu rows",
                        (unsigned long long)page->buffer_sizes[2], (unsigned long long)page->num_rows);
  size_t num_rows = (size_t)page->num_rows;
  sf_lance_slice stored = {0};
  uint8_t *levels = sf_calloc(num_rows, 2);
  constant->nulls = sf_calloc(num_rows / 8 + 1, 1);
  sf_code code;
  if (levels == NULL || constant->nulls == NULL)
    code = sf_fail_memory(error, "definition levels");
  else
    code = sf_lance_page_read_all(column, page, 2, cancellation, &stored, error);
  if (code == SF_OK)
    code = decode_levels(page->layout->constant, stored.bytes, num_rows, levels, error);
  for (size_t row = 0; code == SF_OK && row < num_rows; row++)
    if (sf_load_u16(levels + row * 2) != 0)
      sf_lance_set_bit(constant->nulls, row);
  sf_lance_slice_release(&stored);
  free(levels);
  return code;
}

sf_code sf_lance_constant_open(const sf_lance_column *column, const sf_lance_page *page,
                               const sf_cancellation *cancellation, sf_lance_constant *constant, sf_error *error) {
  SF_TRY(sf_lance_constant_check(page, &constant->all_null, error));
  if (constant->all_null)
    return SF_OK;
  SF_TRY(sf_lance_page_read_all(column, page, 0, cancellation, &constant->value, error));
  SF_TRY(sf_lance_constant_string(constant->value.bytes, &constant->string, error));
  return page->num_buffers == 3 ? read_nulls(column, page, cancellation, constant, error) : SF_OK;
}

void sf_lance_constant_free(sf_lance_constant *constant) {
  sf_lance_slice_release(&constant->value);
  free(constant->nulls);
  *constant = (sf_lance_constant){0};
}
