#include "base/utf8.h"

static bool is_scalar_value(uint32_t code_point) {
  return code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF);
}

size_t sf_utf8_decode(const char *text, size_t length, uint32_t *code_point) {
  if (length == 0)
    return 0;
  uint8_t lead = (uint8_t)text[0];
  if (lead < 0x80) {
    *code_point = lead;
    return 1;
  }
  size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || length < size)
    return 0;
  uint32_t value = lead & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; i++) {
    uint8_t byte = (uint8_t)text[i];
    if ((byte & 0xC0) != 0x80)
      return 0;
    value = value << 6 | (byte & 0x3F);
  }
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < smallest[size] || !is_scalar_value(value))
    return 0;
  *code_point = value;
  return size;
}

size_t sf_utf8_encode(uint32_t code_point, char bytes[4]) {
  if (!is_scalar_value(code_point))
    return 0;
  if (code_point < 0x80) {
    bytes[0] = (char)code_point;
    return 1;
  }
  size_t size = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (size_t i = size - 1; i > 0; i--) {
    bytes[i] = (char)(0x80 | (code_point & 0x3F));
    code_point >>= 6;
  }
  bytes[0] = (char)(leads[size] | code_point);
  return size;
}

bool sf_utf8_valid(const char *text, size_t length, size_t *invalid_at) {
  size_t position = 0;
  while (position < length) {
    uint32_t code_point;
    size_t size = sf_utf8_decode(text + position, length - position, &code_point);
    if (size == 0) {
      if (invalid_at != NULL)
        *invalid_at = position;
      return false;
    }
    position += size;
  }
  return true;
}

bool sf_utf8_is_printable(uint32_t code_point) {
  if (code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0))
    return false;
  bool turns = code_point == 0x061C || code_point == 0x200E || code_point == 0x200F ||
               (code_point >= 0x202A && code_point <= 0x202E) || (code_point >= 0x2066 && code_point <= 0x2069);
  return !turns && code_point != 0x2028 && code_point != 0x2029;
}

size_t sf_utf8_count(const char *text, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++)
    count += ((uint8_t)text[i] & 0xC0) != 0x80;
  return count;
}
