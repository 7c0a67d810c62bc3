/* Integers as SQLite's file format has them: big-endian, and varints (sections 1.3 and 1.6 of its description). */
#ifndef SF_FORMATS_SQLITE_VEC_DATABASE_BYTES_H
#define SF_FORMATS_SQLITE_VEC_DATABASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>

enum { SF_DATABASE_MAX_VARINT = 9 };

static inline uint32_t sf_load_big_u16(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t sf_load_big_u32(const uint8_t *bytes) {
  return sf_load_big_u16(bytes) << 16 | sf_load_big_u16(bytes + 2);
}

/* Moves `*next` behind a varint: seven bits a byte, most significant first, and eight of a ninth byte. False where it does not end
 * before `end`. */
static inline bool sf_read_database_varint(const uint8_t **next, const uint8_t *end, uint64_t *value) {
  const uint8_t *byte = *next;
  *value = 0;
  for (int i = 0; i < SF_DATABASE_MAX_VARINT && byte < end; i++) {
    bool is_last = i == SF_DATABASE_MAX_VARINT - 1;
    *value = is_last ? *value << 8 | *byte : *value << 7 | (*byte & 0x7F);
    if (is_last || *byte < 0x80) {
      *next = byte + 1;
      return true;
    }
    byte++;
  }
  return false;
}

#endif
