#include "cel/lexer.h"

#include "base/hexadecimal.h"
#include "base/utf8.h"

#include <string.h>

static const char *const token_names[] = {
#define TOKEN_NAME(constant, text) [constant] = text,
    SF_CEL_TOKEN_TABLE(TOKEN_NAME)
#undef TOKEN_NAME
};

/* The longer ones first. */
static const struct {
  const char *text;
  sf_cel_token_kind kind;
} operators[] = {
    {"||", SF_CEL_TOKEN_OR},
    {"&&", SF_CEL_TOKEN_AND},
    {"==", SF_CEL_TOKEN_EQUAL},
    {"!=", SF_CEL_TOKEN_NOT_EQUAL},
    {"<=", SF_CEL_TOKEN_LESS_EQUAL},
    {">=", SF_CEL_TOKEN_GREATER_EQUAL},
    {"<", SF_CEL_TOKEN_LESS},
    {">", SF_CEL_TOKEN_GREATER},
    {"!", SF_CEL_TOKEN_NOT},
    {"+", SF_CEL_TOKEN_PLUS},
    {"-", SF_CEL_TOKEN_MINUS},
    {"*", SF_CEL_TOKEN_STAR},
    {"/", SF_CEL_TOKEN_SLASH},
    {"%", SF_CEL_TOKEN_PERCENT},
    {"(", SF_CEL_TOKEN_LEFT_PARENTHESIS},
    {")", SF_CEL_TOKEN_RIGHT_PARENTHESIS},
    {"[", SF_CEL_TOKEN_LEFT_BRACKET},
    {"]", SF_CEL_TOKEN_RIGHT_BRACKET},
    {"{", SF_CEL_TOKEN_LEFT_BRACE},
    {"}", SF_CEL_TOKEN_RIGHT_BRACE},
    {".", SF_CEL_TOKEN_DOT},
    {",", SF_CEL_TOKEN_COMMA},
    {":", SF_CEL_TOKEN_COLON},
    {"?", SF_CEL_TOKEN_QUESTION},
};

static const struct {
  const char *text;
  sf_cel_token_kind kind;
} keywords[] = {
    {"true", SF_CEL_TOKEN_TRUE},
    {"false", SF_CEL_TOKEN_FALSE},
    {"null", SF_CEL_TOKEN_NULL},
    {"in", SF_CEL_TOKEN_IN},
};

const char *sf_cel_token_name(sf_cel_token_kind kind) {
  return token_names[kind];
}

sf_cel_lexer sf_cel_lexer_over(const char *source, size_t length) {
  return (sf_cel_lexer){.source = source, .length = length, .position = {.line = 1, .column = 1}};
}

/* The byte `ahead` of the current one, or NUL past the end. A NUL in the source starts no token and ends any. */
static char peek(const sf_cel_lexer *lexer, size_t ahead) {
  return ahead < lexer->length - lexer->offset ? lexer->source[lexer->offset + ahead] : '\0';
}

static bool at_end(const sf_cel_lexer *lexer) {
  return lexer->offset == lexer->length;
}

static void advance(sf_cel_lexer *lexer, size_t count) {
  for (size_t i = 0; i < count && !at_end(lexer); i++) {
    char passed = lexer->source[lexer->offset++];
    if (passed == '\n')
      lexer->position = (sf_cel_position){.line = lexer->position.line + 1, .column = 1};
    else if (((uint8_t)peek(lexer, 0) & 0xC0) != 0x80) /* a column is a code point */
      lexer->position.column++;
  }
}

static bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

static bool starts_name(char character) {
  return character == '_' || (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

static void skip_space_and_comments(sf_cel_lexer *lexer) {
  for (;;) {
    char next = peek(lexer, 0);
    if (next == ' ' || next == '\t' || next == '\n' || next == '\r' || next == '\f') {
      advance(lexer, 1);
    } else if (next == '/' && peek(lexer, 1) == '/') {
      while (!at_end(lexer) && peek(lexer, 0) != '\n')
        advance(lexer, 1);
    } else {
      return;
    }
  }
}

static size_t count_digits(const sf_cel_lexer *lexer, size_t from) {
  size_t end = from;
  while (is_digit(peek(lexer, end)))
    end++;
  return end - from;
}

/* The length of an exponent at `from`, or 0. */
static size_t exponent_length(const sf_cel_lexer *lexer, size_t from) {
  if ((peek(lexer, from) | 0x20) != 'e')
    return 0;
  size_t sign = peek(lexer, from + 1) == '-' || peek(lexer, from + 1) == '+' ? 1 : 0;
  size_t digits = count_digits(lexer, from + 1 + sign);
  return digits > 0 ? 1 + sign + digits : 0;
}

static size_t number_length(const sf_cel_lexer *lexer, sf_cel_token_kind *kind) {
  size_t length = 0;
  *kind = SF_CEL_TOKEN_INT;
  if (peek(lexer, 0) == '0' && peek(lexer, 1) == 'x' && sf_is_hexadecimal_digit(peek(lexer, 2))) {
    length = 3;
    while (sf_is_hexadecimal_digit(peek(lexer, length)))
      length++;
  } else {
    length = count_digits(lexer, 0);
    if (peek(lexer, length) == '.' && is_digit(peek(lexer, length + 1))) {
      length += 1 + count_digits(lexer, length + 1);
      *kind = SF_CEL_TOKEN_DOUBLE;
    }
    size_t exponent = exponent_length(lexer, length);
    if (exponent > 0)
      *kind = SF_CEL_TOKEN_DOUBLE;
    length += exponent;
  }
  if (*kind == SF_CEL_TOKEN_INT && (peek(lexer, length) | 0x20) == 'u') {
    length++;
    *kind = SF_CEL_TOKEN_UINT;
  }
  return length;
}

/* The length of the prefix of a quote: r, b or br in either case. SIZE_MAX when no literal starts here. */
static size_t literal_prefix(const sf_cel_lexer *lexer) {
  size_t length = 0;
  if ((peek(lexer, length) | 0x20) == 'b')
    length++;
  if ((peek(lexer, length) | 0x20) == 'r')
    length++;
  return peek(lexer, length) == '\'' || peek(lexer, length) == '"' ? length : SIZE_MAX;
}

static sf_code lex_quoted(sf_cel_lexer *lexer, size_t prefix, sf_cel_token *token, sf_error *error) {
  bool raw = prefix > 0 && (peek(lexer, prefix - 1) | 0x20) == 'r';
  token->kind = prefix > 0 && (peek(lexer, 0) | 0x20) == 'b' ? SF_CEL_TOKEN_BYTES : SF_CEL_TOKEN_STRING;
  char quote = peek(lexer, prefix);
  bool triple = peek(lexer, prefix + 1) == quote && peek(lexer, prefix + 2) == quote;
  size_t quotes = triple ? 3 : 1;
  advance(lexer, prefix + quotes);
  while (!at_end(lexer)) {
    char next = peek(lexer, 0);
    if (next == quote && (!triple || (peek(lexer, 1) == quote && peek(lexer, 2) == quote))) {
      advance(lexer, quotes);
      return SF_OK;
    }
    if (!triple && (next == '\n' || next == '\r'))
      return sf_cel_fail(error, token->position, "a string that ends on its line was expected, found a line break");
    advance(lexer, next == '\\' && !raw ? 2 : 1);
  }
  return sf_cel_fail(error, token->position, "unterminated %s", token->kind == SF_CEL_TOKEN_BYTES ? "bytes" : "string");
}

static void lex_name(sf_cel_lexer *lexer, sf_cel_token *token) {
  size_t length = 1;
  while (starts_name(peek(lexer, length)) || is_digit(peek(lexer, length)))
    length++;
  sf_cel_text name = {lexer->source + lexer->offset, length};
  token->kind = SF_CEL_TOKEN_IDENTIFIER;
  for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
    if (sf_cel_text_equals(name, keywords[i].text))
      token->kind = keywords[i].kind;
  }
  advance(lexer, length);
}

static sf_code fail_character(const sf_cel_lexer *lexer, sf_error *error) {
  uint32_t code_point = 0;
  sf_utf8_decode(lexer->source + lexer->offset, lexer->length - lexer->offset, &code_point);
  if (code_point > 0x20 && code_point < 0x7F)
    return sf_cel_fail(error, lexer->position, "unexpected character '%c'", (char)code_point);
  return sf_cel_fail(error, lexer->position, "unexpected character U+%04X", code_point);
}

static sf_code lex_operator(sf_cel_lexer *lexer, sf_cel_token *token, sf_error *error) {
  for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
    const char *text = operators[i].text;
    if (peek(lexer, 0) == text[0] && (text[1] == '\0' || peek(lexer, 1) == text[1])) {
      token->kind = operators[i].kind;
      advance(lexer, strlen(text));
      return SF_OK;
    }
  }
  return fail_character(lexer, error);
}

sf_code sf_cel_lexer_next(sf_cel_lexer *lexer, sf_cel_token *token, sf_error *error) {
  skip_space_and_comments(lexer);
  size_t start = lexer->offset;
  *token = (sf_cel_token){.kind = SF_CEL_TOKEN_END, .position = lexer->position};
  char next = peek(lexer, 0);
  if (at_end(lexer))
    return SF_OK;
  size_t prefix = literal_prefix(lexer);
  sf_code code = SF_OK;
  if (prefix != SIZE_MAX)
    code = lex_quoted(lexer, prefix, token, error);
  else if (starts_name(next))
    lex_name(lexer, token);
  else if (is_digit(next) || (next == '.' && is_digit(peek(lexer, 1))))
    advance(lexer, number_length(lexer, &token->kind));
  else if (next == '`')
    return sf_cel_fail(error, lexer->position, "quoted names (`...`) are not supported");
  else
    code = lex_operator(lexer, token, error);
  token->text = (sf_cel_text){lexer->source + start, lexer->offset - start};
  return code;
}
