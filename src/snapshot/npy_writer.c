#include "snapshot/npy_writer.h"

#include <stdio.h>
#include <string.h>

/* The header is padded so that the elements begin at a multiple of it. */
enum { ALIGNMENT = 64, PREAMBLE = 10 };

static void store_f32(float value, uint8_t *bytes) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  for (int i = 0; i < 4; i++)
    bytes[i] = (uint8_t)(bits >> 8 * i);
}

bool sf_npy_append(const float *values, size_t num_rows, size_t num_columns, sf_buffer *bytes) {
  char header[192];
  int length = snprintf(header, sizeof(header), "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
                        num_rows, num_columns);
  size_t padded = ((size_t)(PREAMBLE + length + 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - PREAMBLE;
  memset(header + length, ' ', padded - (size_t)length);
  header[padded - 1] = '\n';
  uint8_t preamble[PREAMBLE] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)padded, (uint8_t)(padded >> 8)};
  size_t count = num_rows * num_columns;
  if (!sf_buffer_append(bytes, preamble, sizeof(preamble)) || !sf_buffer_append(bytes, header, padded) ||
      !sf_buffer_reserve(bytes, count * sizeof(float)))
    return false;
  for (size_t i = 0; i < count; i++)
    store_f32(values[i], bytes->data + bytes->length + i * sizeof(float));
  bytes->length += count * sizeof(float);
  return true;
}
