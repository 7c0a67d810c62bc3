#include "cel/literal.h"

#include "base/utf8.h"
#include "cel/ast.h"
#include "cel/limits.h"
#include "cel/number.h"

#include <string.h>

static sf_code fail_range(const sf_cel_token *token, const char *type, sf_error *error) {
  char excerpt[SF_CEL_EXCERPT_BYTES];
  return sf_cel_fail(error, token->position, "%s is out of the range of %s", sf_cel_excerpt(token->text, excerpt),
                     type);
}

/* Hexadecimal after 0x, decimal otherwise. */
static bool parse_magnitude(sf_cel_text text, uint64_t *magnitude) {
  if (text.length > 2 && text.data[1] == 'x')
    return sf_cel_parse_hexadecimal((sf_cel_text){text.data + 2, text.length - 2}, magnitude);
  return sf_cel_parse_uint(text, magnitude);
}

static sf_code int_value(const sf_cel_token *token, bool negative, sf_cel_value *value, sf_error *error) {
  uint64_t magnitude;
  if (!parse_magnitude(token->text, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
    return fail_range(token, "int", error);
  *value = sf_cel_int(negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude);
  return SF_OK;
}

static sf_code uint_value(const sf_cel_token *token, sf_cel_value *value, sf_error *error) {
  uint64_t magnitude;
  sf_cel_text digits = {token->text.data, token->text.length - 1}; /* without the u */
  if (!parse_magnitude(digits, &magnitude))
    return fail_range(token, "uint", error);
  *value = sf_cel_uint(magnitude);
  return SF_OK;
}

static sf_code double_value(const sf_cel_token *token, bool negative, sf_cel_value *value, sf_error *error) {
  double number;
  if (!sf_cel_parse_double(token->text, &number))
    return fail_range(token, "double", error);
  *value = sf_cel_double(negative ? -number : number);
  return SF_OK;
}

/* A string or bytes literal as it is decoded. */
typedef struct literal_decoder {
  const sf_cel_token *token;
  sf_cel_text body; /* between the quotes */
  size_t position;
  bool bytes;
  char *output;
  size_t length;
} literal_decoder;

static sf_code fail_escape(const literal_decoder *decoder, size_t start, size_t length, const char *why,
                           sf_error *error) {
  char excerpt[SF_CEL_EXCERPT_BYTES];
  size_t left = decoder->body.length - start;
  sf_cel_text escape = {decoder->body.data + start, length < left ? length : left};
  return sf_cel_fail(error, decoder->token->position, "invalid escape sequence %s%s", sf_cel_excerpt(escape, excerpt),
                     why);
}

/* For each simple escape, the character that it stands for. */
static bool simple_escape(char letter, char *character) {
  static const char letters[] = "abfnrtv\\?\"'`";
  static const char characters[] = "\a\b\f\n\r\t\v\\?\"'`";
  const char *found = letter == '\0' ? NULL : strchr(letters, letter);
  if (found != NULL)
    *character = characters[found - letters];
  return found != NULL;
}

static bool parse_octal(sf_cel_text digits, uint64_t *value) {
  *value = 0;
  for (size_t i = 0; i < digits.length; i++) {
    if (digits.data[i] < '0' || digits.data[i] > '7')
      return false;
    *value = *value << 3 | (uint64_t)(digits.data[i] - '0');
  }
  return *value <= 0377;
}

/* \x, \u, \U and octal ones: code points in a string; octets in bytes, where \u and \U have no meaning. */
static sf_code decode_numeric_escape(literal_decoder *decoder, char letter, sf_error *error) {
  size_t start = decoder->position - 2;
  bool octal = letter >= '0' && letter <= '3';
  bool octet = octal || letter == 'x' || letter == 'X';
  size_t num_digits = octal ? 2 : octet ? 2 : letter == 'u' ? 4 : 8;
  size_t length = 2 + num_digits;
  if (decoder->bytes && !octet)
    return fail_escape(decoder, start, length, ": bytes have no code points", error);
  if (num_digits > decoder->body.length - decoder->position)
    return fail_escape(decoder, start, length, "", error);
  uint64_t value;
  sf_cel_text digits = {decoder->body.data + decoder->position, num_digits};
  if (octal)
    digits = (sf_cel_text){digits.data - 1, digits.length + 1};
  if (!(octal ? parse_octal(digits, &value) : sf_cel_parse_hexadecimal(digits, &value)))
    return fail_escape(decoder, start, length, "", error);
  decoder->position += num_digits;
  if (decoder->bytes) {
    decoder->output[decoder->length++] = (char)value;
    return SF_OK;
  }
  size_t written = sf_utf8_encode((uint32_t)value, decoder->output + decoder->length);
  if (written == 0)
    return fail_escape(decoder, start, length, ": not a code point that a string can have", error);
  decoder->length += written;
  return SF_OK;
}

static sf_code decode_escape(literal_decoder *decoder, sf_error *error) {
  size_t start = decoder->position;
  if (decoder->body.length - start < 2)
    return fail_escape(decoder, start, 1, "", error);
  char letter = decoder->body.data[start + 1];
  decoder->position += 2;
  if (simple_escape(letter, &decoder->output[decoder->length])) {
    decoder->length++;
    return SF_OK;
  }
  if (letter != '\0' && strchr("xXuU0123", letter) != NULL)
    return decode_numeric_escape(decoder, letter, error);
  return fail_escape(decoder, start, 2, "", error);
}

/* The text between the quotes, and whether escapes in it are meant. */
static sf_cel_text literal_body(sf_cel_text text, bool *raw) {
  size_t prefix = 0;
  *raw = false;
  while (text.data[prefix] != '\'' && text.data[prefix] != '"') {
    *raw = *raw || (text.data[prefix] | 0x20) == 'r';
    prefix++;
  }
  char quote = text.data[prefix];
  size_t quoted = text.length - prefix;
  bool triple = quoted >= 6 && text.data[prefix + 1] == quote && text.data[prefix + 2] == quote;
  size_t quotes = triple ? 3 : 1;
  return (sf_cel_text){text.data + prefix + quotes, quoted - 2 * quotes};
}

static sf_code text_value(const sf_cel_token *token, sf_cel_arena *arena, sf_cel_value *value, sf_error *error) {
  bool raw;
  literal_decoder decoder = {.token = token, .bytes = token->kind == SF_CEL_TOKEN_BYTES};
  decoder.body = literal_body(token->text, &raw);
  /* No escape is shorter than what it stands for, with four bytes more at the end for one that is found wrong late. */
  decoder.output = sf_cel_arena_allocate(arena, decoder.body.length + 4, 1);
  if (decoder.output == NULL)
    return sf_cel_fail_program_memory(arena, error);
  while (decoder.position < decoder.body.length) {
    if (!raw && decoder.body.data[decoder.position] == '\\')
      SF_TRY(decode_escape(&decoder, error));
    else
      decoder.output[decoder.length++] = decoder.body.data[decoder.position++];
  }
  if (decoder.length > SF_CEL_MAX_LITERAL_BYTES)
    return sf_cel_fail(error, token->position, "a literal of at most %d bytes was expected, found %zu",
                       SF_CEL_MAX_LITERAL_BYTES, decoder.length);
  *value = decoder.bytes ? sf_cel_bytes(decoder.output, decoder.length) : sf_cel_string(decoder.output, decoder.length);
  return SF_OK;
}

sf_code sf_cel_literal_value(const sf_cel_token *token, bool negative, sf_cel_arena *arena, sf_cel_value *value,
                             sf_error *error) {
  switch (token->kind) {
  case SF_CEL_TOKEN_INT:
    return int_value(token, negative, value, error);
  case SF_CEL_TOKEN_UINT:
    return uint_value(token, value, error);
  case SF_CEL_TOKEN_DOUBLE:
    return double_value(token, negative, value, error);
  case SF_CEL_TOKEN_STRING:
  case SF_CEL_TOKEN_BYTES:
    return text_value(token, arena, value, error);
  case SF_CEL_TOKEN_NULL:
    *value = sf_cel_null();
    return SF_OK;
  default:
    *value = sf_cel_bool(token->kind == SF_CEL_TOKEN_TRUE);
    return SF_OK;
  }
}
