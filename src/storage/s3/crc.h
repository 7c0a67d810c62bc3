/* Cyclic redundancy checks of reflected polynomials, that begin and end with all bits inverted. */
#ifndef SF_STORAGE_S3_CRC_H
#define SF_STORAGE_S3_CRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sf_crc {
  uint64_t remainder;
  uint64_t tables[8][256];
  uint64_t fold_by_512[2]; /* what carries the halves of 128 bits over 512 bits, and over 128 */
  uint64_t fold_by_128[2];
  bool folds; /* the CPU can */
} sf_crc;

/* `polynomial` is reflected: its highest power is in the lowest bit, and x^width is left out. */
void sf_crc_init(sf_crc *crc, uint64_t polynomial, unsigned width);
void sf_crc_update(sf_crc *crc, const uint8_t *bytes, size_t length);
/* Inverted; of the lowest `width` bits. */
uint64_t sf_crc_value(const sf_crc *crc);

#endif
