#include "formats/lance/decoders.h"

sf_code sf_lance_decode_byte_stream_split(sf_lance_bytes streams, size_t value_size, size_t num_values, uint8_t *values,
                                          sf_error *error) {
  size_t expected;
  if (value_size == 0 || !sf_multiply_size(value_size, num_values, &expected) || streams.length != expected)
    return SF_LANCE_BAD(error, "byte-stream split: %zu bytes don't hold %zu values of %zu bytes", streams.length,
                        num_values, value_size);
  for (size_t i = 0; i < num_values; i++)
    for (size_t byte = 0; byte < value_size; byte++)
      values[i * value_size + byte] = streams.data[byte * num_values + i];
  return SF_OK;
}
