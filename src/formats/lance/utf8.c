#include "formats/lance/utf8.h"

#include <string.h>

/* Length of the character that begins with `lead`, and the range of its second byte; 0 where none does. */
static size_t character_length(uint8_t lead, uint8_t *low, uint8_t *high) {
  *low = 0x80;
  *high = 0xBF;
  if (lead < 0x80)
    return 1;
  if (lead >= 0xC2 && lead <= 0xDF)
    return 2;
  if (lead >= 0xE0 && lead <= 0xEF) {
    *low = lead == 0xE0 ? 0xA0 : 0x80;
    *high = lead == 0xED ? 0x9F : 0xBF;
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    *low = lead == 0xF0 ? 0x90 : 0x80;
    *high = lead == 0xF4 ? 0x8F : 0xBF;
    return 4;
  }
  return 0;
}

/* Where the first byte from `begin` on that is not ASCII may be: most texts are, and eight bytes are looked at together. */
static size_t skip_ascii(sf_lance_bytes text, size_t begin) {
  const uint64_t high_bits = 0x8080808080808080U;
  size_t i = begin;
  for (uint64_t word; text.length - i >= sizeof(word); i += sizeof(word)) {
    memcpy(&word, text.data + i, sizeof(word));
    if ((word & high_bits) != 0)
      break;
  }
  return i;
}

bool sf_lance_is_utf8(sf_lance_bytes text) {
  for (size_t i = skip_ascii(text, 0); i < text.length;) {
    uint8_t low;
    uint8_t high;
    size_t length = character_length(text.data[i], &low, &high);
    if (length == 0 || length > text.length - i)
      return false;
    if (length > 1 && (text.data[i + 1] < low || text.data[i + 1] > high))
      return false;
    for (size_t j = 2; j < length; j++)
      if ((text.data[i + j] & 0xC0) != 0x80)
        return false;
    i += length;
    if (length > 1)
      i = skip_ascii(text, i);
  }
  return true;
}
