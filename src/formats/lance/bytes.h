/* Words that the rooms of the Lance reader share. */
#ifndef SF_FORMATS_LANCE_BYTES_H
#define SF_FORMATS_LANCE_BYTES_H

#include "base/bytes.h"
#include "base/error.h"

/* Borrowed bytes. */
typedef struct sf_lance_bytes {
  const uint8_t *data;
  size_t length;
} sf_lance_bytes;

/* Bit i of a bitmap, least significant first, as Arrow has them. */
static inline bool sf_lance_bit(const uint8_t *bitmap, size_t index) {
  return (bitmap[index / 8] >> (index % 8) & 1) != 0;
}

static inline void sf_lance_set_bit(uint8_t *bitmap, size_t index) {
  bitmap[index / 8] = (uint8_t)(bitmap[index / 8] | 1u << (index % 8));
}

/* A little-endian integer of 1 to 8 bytes. */
static inline uint64_t sf_lance_load(const uint8_t *bytes, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++)
    value |= (uint64_t)bytes[i] << 8 * i;
  return value;
}

#define SF_LANCE_BAD(error, ...) sf_fail(error, SF_DB_ADAPTER_ERROR, __VA_ARGS__)

#endif
