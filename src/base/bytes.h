/* A cursor over untrusted bytes, little-endian: every read is checked against the end, and needs no alignment. */
#ifndef SF_BASE_BYTES_H
#define SF_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct sf_cursor {
  const uint8_t *data;
  size_t length;
  size_t position; /* never above length */
} sf_cursor;

static inline sf_cursor sf_cursor_over(const void *data, size_t length) {
  return (sf_cursor){.data = data, .length = length, .position = 0};
}

static inline size_t sf_cursor_remaining(const sf_cursor *cursor) {
  return cursor->length - cursor->position;
}

/* The next `count` bytes; NULL, without moving, when fewer are left. */
static inline const uint8_t *sf_cursor_take(sf_cursor *cursor, size_t count) {
  if (count > sf_cursor_remaining(cursor))
    return NULL;
  const uint8_t *bytes = cursor->data + cursor->position;
  cursor->position += count;
  return bytes;
}

static inline uint16_t sf_load_u16(const uint8_t *bytes) {
  return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t sf_load_u32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline uint64_t sf_load_u64(const uint8_t *bytes) {
  return (uint64_t)sf_load_u32(bytes) | (uint64_t)sf_load_u32(bytes + 4) << 32;
}

static inline int64_t sf_load_i64(const uint8_t *bytes) {
  return (int64_t)sf_load_u64(bytes);
}

static inline float sf_load_f32(const uint8_t *bytes) {
  uint32_t bits = sf_load_u32(bytes);
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

static inline double sf_load_f64(const uint8_t *bytes) {
  uint64_t bits = sf_load_u64(bytes);
  double value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

static inline bool sf_cursor_u8(sf_cursor *cursor, uint8_t *value) {
  const uint8_t *bytes = sf_cursor_take(cursor, 1);
  if (bytes != NULL)
    *value = bytes[0];
  return bytes != NULL;
}

static inline bool sf_cursor_u16(sf_cursor *cursor, uint16_t *value) {
  const uint8_t *bytes = sf_cursor_take(cursor, 2);
  if (bytes != NULL)
    *value = sf_load_u16(bytes);
  return bytes != NULL;
}

static inline bool sf_cursor_u32(sf_cursor *cursor, uint32_t *value) {
  const uint8_t *bytes = sf_cursor_take(cursor, 4);
  if (bytes != NULL)
    *value = sf_load_u32(bytes);
  return bytes != NULL;
}

static inline bool sf_cursor_u64(sf_cursor *cursor, uint64_t *value) {
  const uint8_t *bytes = sf_cursor_take(cursor, 8);
  if (bytes != NULL)
    *value = sf_load_u64(bytes);
  return bytes != NULL;
}

#endif
