/* The encodings of fixed-width values that need no state: run lengths, and byte-stream split. */
#include "formats/lance/decoders.h"

sf_code sf_lance_decode_rle(sf_lance_bytes values, size_t value_size, sf_lance_bytes lengths, size_t length_size,
                            size_t num_values, uint8_t *decoded, sf_error *error) {
  if (value_size == 0 || value_size > 8 || (length_size != 1 && length_size != 2 && length_size != 4))
    return SF_LANCE_BAD(error, "run lengths: %zu-byte values with %zu-byte lengths are not supported", value_size,
                        length_size);
  size_t num_runs = values.length / value_size;
  if (values.length % value_size != 0 || lengths.length % length_size != 0 || lengths.length / length_size != num_runs)
    return SF_LANCE_BAD(error, "run lengths: %zu bytes of values don't go with %zu bytes of lengths", values.length,
                        lengths.length);
  size_t done = 0;
  for (size_t run = 0; run < num_runs; run++) {
    uint64_t length = sf_lance_load(lengths.data + run * length_size, length_size);
    if (length > num_values - done)
      return SF_LANCE_BAD(error, "run lengths: expected %zu values, found more", num_values);
    for (uint64_t i = 0; i < length; i++)
      memcpy(decoded + (done + i) * value_size, values.data + run * value_size, value_size);
    done += (size_t)length;
  }
  if (done != num_values)
    return SF_LANCE_BAD(error, "run lengths: expected %zu values, found %zu", num_values, done);
  return SF_OK;
}

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
