/* An expression's text as tokens (langdef, "Syntax"). */
#ifndef SF_CEL_LEXER_H
#define SF_CEL_LEXER_H

#include "cel/position.h"

/* X(constant, how it reads in messages) */
#define SF_CEL_TOKEN_TABLE(X)                                                                                          \
  X(SF_CEL_TOKEN_END, "the end of the expression")                                                                     \
  X(SF_CEL_TOKEN_IDENTIFIER, "a name")                                                                                 \
  X(SF_CEL_TOKEN_INT, "a number")                                                                                      \
  X(SF_CEL_TOKEN_UINT, "a number")                                                                                     \
  X(SF_CEL_TOKEN_DOUBLE, "a number")                                                                                   \
  X(SF_CEL_TOKEN_STRING, "a string")                                                                                   \
  X(SF_CEL_TOKEN_BYTES, "bytes")                                                                                       \
  X(SF_CEL_TOKEN_TRUE, "true")                                                                                         \
  X(SF_CEL_TOKEN_FALSE, "false")                                                                                       \
  X(SF_CEL_TOKEN_NULL, "null")                                                                                         \
  X(SF_CEL_TOKEN_IN, "in")                                                                                             \
  X(SF_CEL_TOKEN_LEFT_PARENTHESIS, "'('")                                                                              \
  X(SF_CEL_TOKEN_RIGHT_PARENTHESIS, "')'")                                                                             \
  X(SF_CEL_TOKEN_LEFT_BRACKET, "'['")                                                                                  \
  X(SF_CEL_TOKEN_RIGHT_BRACKET, "']'")                                                                                 \
  X(SF_CEL_TOKEN_LEFT_BRACE, "'{'")                                                                                    \
  X(SF_CEL_TOKEN_RIGHT_BRACE, "'}'")                                                                                   \
  X(SF_CEL_TOKEN_DOT, "'.'")                                                                                           \
  X(SF_CEL_TOKEN_COMMA, "','")                                                                                         \
  X(SF_CEL_TOKEN_COLON, "':'")                                                                                         \
  X(SF_CEL_TOKEN_QUESTION, "'?'")                                                                                      \
  X(SF_CEL_TOKEN_OR, "'||'")                                                                                           \
  X(SF_CEL_TOKEN_AND, "'&&'")                                                                                          \
  X(SF_CEL_TOKEN_NOT, "'!'")                                                                                           \
  X(SF_CEL_TOKEN_EQUAL, "'=='")                                                                                        \
  X(SF_CEL_TOKEN_NOT_EQUAL, "'!='")                                                                                    \
  X(SF_CEL_TOKEN_LESS, "'<'")                                                                                          \
  X(SF_CEL_TOKEN_LESS_EQUAL, "'<='")                                                                                   \
  X(SF_CEL_TOKEN_GREATER, "'>'")                                                                                       \
  X(SF_CEL_TOKEN_GREATER_EQUAL, "'>='")                                                                                \
  X(SF_CEL_TOKEN_PLUS, "'+'")                                                                                          \
  X(SF_CEL_TOKEN_MINUS, "'-'")                                                                                         \
  X(SF_CEL_TOKEN_STAR, "'*'")                                                                                          \
  X(SF_CEL_TOKEN_SLASH, "'/'")                                                                                         \
  X(SF_CEL_TOKEN_PERCENT, "'%'")

typedef enum sf_cel_token_kind {
#define SF_CEL_TOKEN_CONSTANT(constant, text) constant,
  SF_CEL_TOKEN_TABLE(SF_CEL_TOKEN_CONSTANT)
#undef SF_CEL_TOKEN_CONSTANT
} sf_cel_token_kind;

typedef struct sf_cel_token {
  sf_cel_token_kind kind;
  sf_cel_position position;
  sf_cel_text text; /* as in the source, prefixes and quotes of literals included */
} sf_cel_token;

typedef struct sf_cel_lexer {
  const char *source; /* valid UTF-8 */
  size_t length;
  size_t offset;
  sf_cel_position position;
} sf_cel_lexer;

sf_cel_lexer sf_cel_lexer_over(const char *source, size_t length);

/* The next token; END over and over once there is no other. */
sf_code sf_cel_lexer_next(sf_cel_lexer *lexer, sf_cel_token *token, sf_error *error);

const char *sf_cel_token_name(sf_cel_token_kind kind);

#endif
