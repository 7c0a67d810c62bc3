#include "cel/parser.h"

#include "cel/lexer.h"
#include "cel/limits.h"
#include "cel/literal.h"
#include "cel/macros.h"

#include <string.h>

typedef struct parser_state {
  sf_cel_lexer lexer;
  sf_cel_token token; /* the next one, not consumed */
  sf_cel_arena *arena;
  uint32_t depth; /* of the recursion */
  sf_error *error;
} parser_state;

/* Binary operators that are calls, by precedence: the higher binds tighter. All are left-associative. */
static const struct {
  sf_cel_token_kind token;
  int precedence;
  const char *function;
} binary_operators[] = {
    {SF_CEL_TOKEN_EQUAL, 1, "_==_"},      {SF_CEL_TOKEN_NOT_EQUAL, 1, "_!=_"}, {SF_CEL_TOKEN_LESS, 1, "_<_"},
    {SF_CEL_TOKEN_LESS_EQUAL, 1, "_<=_"}, {SF_CEL_TOKEN_GREATER, 1, "_>_"},    {SF_CEL_TOKEN_GREATER_EQUAL, 1, "_>=_"},
    {SF_CEL_TOKEN_IN, 1, "_in_"},         {SF_CEL_TOKEN_PLUS, 2, "_+_"},       {SF_CEL_TOKEN_MINUS, 2, "_-_"},
    {SF_CEL_TOKEN_STAR, 3, "_*_"},        {SF_CEL_TOKEN_SLASH, 3, "_/_"},      {SF_CEL_TOKEN_PERCENT, 3, "_%_"},
};

#define HIGHEST_PRECEDENCE 3

/* Kept free for the languages that embed this one; only a selected field or a receiver's function may have them. */
static const char *const reserved_words[] = {"as",        "break",  "const",  "continue", "else", "for",
                                             "function",  "if",     "import", "let",      "loop", "package",
                                             "namespace", "return", "var",    "void",     "while"};

static sf_code parse_expression(parser_state *parser, sf_cel_node **node);
static sf_code parse_unary(parser_state *parser, sf_cel_node **node);

static sf_code consume(parser_state *parser) {
  return sf_cel_lexer_next(&parser->lexer, &parser->token, parser->error);
}

static bool next_is(const parser_state *parser, sf_cel_token_kind kind) {
  return parser->token.kind == kind;
}

static sf_code fail_unexpected(parser_state *parser, const char *expected) {
  char excerpt[SF_CEL_EXCERPT_BYTES];
  const sf_cel_token *token = &parser->token;
  if (token->kind == SF_CEL_TOKEN_IDENTIFIER || token->kind == SF_CEL_TOKEN_INT || token->kind == SF_CEL_TOKEN_UINT ||
      token->kind == SF_CEL_TOKEN_DOUBLE)
    return sf_cel_fail(parser->error, token->position, "%s was expected, found '%s'", expected,
                       sf_cel_excerpt(token->text, excerpt));
  return sf_cel_fail(parser->error, token->position, "%s was expected, found %s", expected,
                     sf_cel_token_name(token->kind));
}

static sf_code expect(parser_state *parser, sf_cel_token_kind kind) {
  if (!next_is(parser, kind))
    return fail_unexpected(parser, sf_cel_token_name(kind));
  return consume(parser);
}

/* Every recursion of the grammar passes here. */
static sf_code enter(parser_state *parser) {
  if (parser->depth >= SF_CEL_MAX_DEPTH)
    return sf_cel_fail(parser->error, parser->token.position, "the expression is nested deeper than %d levels",
                       SF_CEL_MAX_DEPTH);
  parser->depth++;
  return SF_OK;
}

static sf_code add_child(parser_state *parser, sf_cel_node_list *list, sf_cel_node *node) {
  return sf_cel_node_list_add(list, parser->arena, node, parser->error);
}

static sf_code create(parser_state *parser, sf_cel_node_kind kind, sf_cel_position position, sf_cel_children children,
                      sf_cel_node **node) {
  return sf_cel_node_create(parser->arena, kind, position, children, node, parser->error);
}

static sf_code create_call(parser_state *parser, sf_cel_text name, sf_cel_position position, bool member,
                           sf_cel_children arguments, sf_cel_node **node) {
  SF_TRY(create(parser, SF_CEL_NODE_CALL, position, arguments, node));
  (*node)->as.call.name = name;
  (*node)->as.call.member = member;
  return SF_OK;
}

/* A call of an operator's function; `second` may be NULL. */
static sf_code create_operator(parser_state *parser, const char *function, sf_cel_position position, sf_cel_node *first,
                               sf_cel_node *second, sf_cel_node **node) {
  sf_cel_node_list operands = {0};
  SF_TRY(add_child(parser, &operands, first));
  if (second != NULL)
    SF_TRY(add_child(parser, &operands, second));
  return create_call(parser, (sf_cel_text){function, strlen(function)}, position, false, operands.children, node);
}

static sf_code parse_literal(parser_state *parser, bool negative, sf_cel_node **node) {
  sf_cel_value value;
  SF_TRY(sf_cel_literal_value(&parser->token, negative, parser->arena, &value, parser->error));
  SF_TRY(create(parser, SF_CEL_NODE_CONSTANT, parser->token.position, (sf_cel_children){0}, node));
  (*node)->as.constant = value;
  return consume(parser);
}

static sf_code refuse_optional(parser_state *parser, const char *what) {
  if (!next_is(parser, SF_CEL_TOKEN_QUESTION))
    return SF_OK;
  return sf_cel_fail(parser->error, parser->token.position, "optional %s are not supported", what);
}

/* Expressions up to the closing parenthesis, which is consumed. */
static sf_code parse_arguments(parser_state *parser, sf_cel_node_list *arguments) {
  while (!next_is(parser, SF_CEL_TOKEN_RIGHT_PARENTHESIS)) {
    sf_cel_node *argument;
    if (arguments->children.count > 0)
      SF_TRY(expect(parser, SF_CEL_TOKEN_COMMA));
    if (arguments->children.count >= SF_CEL_MAX_ARGUMENTS)
      return sf_cel_fail(parser->error, parser->token.position, "a call has more than %d arguments",
                         SF_CEL_MAX_ARGUMENTS);
    SF_TRY(parse_expression(parser, &argument));
    SF_TRY(add_child(parser, arguments, argument));
  }
  return consume(parser);
}

/* After a name: its '(' is next. */
static sf_code parse_call(parser_state *parser, sf_cel_node *target, const sf_cel_token *name, sf_cel_node **node) {
  sf_cel_node_list arguments = {0};
  SF_TRY(consume(parser));
  SF_TRY(parse_arguments(parser, &arguments));
  SF_TRY(
      sf_cel_macro_expand(parser->arena, target, name->text, name->position, arguments.children, node, parser->error));
  if (*node != NULL)
    return SF_OK;
  if (target == NULL)
    return create_call(parser, name->text, name->position, false, arguments.children, node);
  sf_cel_node_list all = {0};
  SF_TRY(add_child(parser, &all, target));
  for (uint32_t i = 0; i < arguments.children.count; i++)
    SF_TRY(add_child(parser, &all, arguments.children.nodes[i]));
  return create_call(parser, name->text, name->position, true, all.children, node);
}

static sf_code parse_list(parser_state *parser, sf_cel_node **node) {
  sf_cel_position position = parser->token.position;
  sf_cel_node_list elements = {0};
  SF_TRY(consume(parser));
  while (!next_is(parser, SF_CEL_TOKEN_RIGHT_BRACKET)) {
    sf_cel_node *element;
    if (next_is(parser, SF_CEL_TOKEN_COMMA) && elements.children.count == 0) {
      SF_TRY(consume(parser)); /* [,] is an empty list in the reference grammar */
      break;
    }
    SF_TRY(refuse_optional(parser, "elements ([?a])"));
    if (elements.children.count >= SF_CEL_MAX_LITERAL_ELEMENTS)
      return sf_cel_fail(parser->error, position, "a list literal has more than %d elements",
                         SF_CEL_MAX_LITERAL_ELEMENTS);
    SF_TRY(parse_expression(parser, &element));
    SF_TRY(add_child(parser, &elements, element));
    if (!next_is(parser, SF_CEL_TOKEN_COMMA))
      break;
    SF_TRY(consume(parser));
  }
  SF_TRY(expect(parser, SF_CEL_TOKEN_RIGHT_BRACKET));
  return create(parser, SF_CEL_NODE_LIST, position, elements.children, node);
}

static sf_code parse_map_entry(parser_state *parser, sf_cel_node_list *pairs) {
  sf_cel_node *key;
  sf_cel_node *value;
  SF_TRY(refuse_optional(parser, "entries ({?k: v})"));
  SF_TRY(parse_expression(parser, &key));
  SF_TRY(expect(parser, SF_CEL_TOKEN_COLON));
  SF_TRY(parse_expression(parser, &value));
  SF_TRY(add_child(parser, pairs, key));
  return add_child(parser, pairs, value);
}

static sf_code parse_map(parser_state *parser, sf_cel_node **node) {
  sf_cel_position position = parser->token.position;
  sf_cel_node_list pairs = {0};
  SF_TRY(consume(parser));
  while (!next_is(parser, SF_CEL_TOKEN_RIGHT_BRACE)) {
    if (next_is(parser, SF_CEL_TOKEN_COMMA) && pairs.children.count == 0) {
      SF_TRY(consume(parser));
      break;
    }
    if (pairs.children.count / 2 >= SF_CEL_MAX_LITERAL_ELEMENTS)
      return sf_cel_fail(parser->error, position, "a map literal has more than %d entries",
                         SF_CEL_MAX_LITERAL_ELEMENTS);
    SF_TRY(parse_map_entry(parser, &pairs));
    if (!next_is(parser, SF_CEL_TOKEN_COMMA))
      break;
    SF_TRY(consume(parser));
  }
  SF_TRY(expect(parser, SF_CEL_TOKEN_RIGHT_BRACE));
  return create(parser, SF_CEL_NODE_MAP, position, pairs.children, node);
}

static sf_code parse_name(parser_state *parser, bool root, sf_cel_node **node) {
  sf_cel_token name = parser->token;
  if (name.kind != SF_CEL_TOKEN_IDENTIFIER)
    return fail_unexpected(parser, "a name");
  for (size_t i = 0; i < sizeof(reserved_words) / sizeof(reserved_words[0]); i++) {
    if (sf_cel_text_equals(name.text, reserved_words[i]))
      return sf_cel_fail(parser->error, name.position, "'%s' is a reserved word", reserved_words[i]);
  }
  SF_TRY(consume(parser));
  if (next_is(parser, SF_CEL_TOKEN_LEFT_PARENTHESIS))
    return parse_call(parser, NULL, &name, node);
  SF_TRY(create(parser, SF_CEL_NODE_IDENTIFIER, name.position, (sf_cel_children){0}, node));
  (*node)->as.identifier.name = name.text;
  (*node)->as.identifier.root = root;
  return SF_OK;
}

static sf_code parse_parenthesized(parser_state *parser, sf_cel_node **node) {
  SF_TRY(consume(parser));
  SF_TRY(parse_expression(parser, node));
  return expect(parser, SF_CEL_TOKEN_RIGHT_PARENTHESIS);
}

static bool next_is_number(const parser_state *parser) {
  return next_is(parser, SF_CEL_TOKEN_INT) || next_is(parser, SF_CEL_TOKEN_DOUBLE);
}

static sf_code parse_primary(parser_state *parser, sf_cel_node **node) {
  switch (parser->token.kind) {
  case SF_CEL_TOKEN_INT:
  case SF_CEL_TOKEN_UINT:
  case SF_CEL_TOKEN_DOUBLE:
  case SF_CEL_TOKEN_STRING:
  case SF_CEL_TOKEN_BYTES:
  case SF_CEL_TOKEN_TRUE:
  case SF_CEL_TOKEN_FALSE:
  case SF_CEL_TOKEN_NULL:
    return parse_literal(parser, false, node);
  case SF_CEL_TOKEN_MINUS:
    SF_TRY(consume(parser));
    return next_is_number(parser) ? parse_literal(parser, true, node) : fail_unexpected(parser, "a number");
  case SF_CEL_TOKEN_LEFT_PARENTHESIS:
    return parse_parenthesized(parser, node);
  case SF_CEL_TOKEN_LEFT_BRACKET:
    return parse_list(parser, node);
  case SF_CEL_TOKEN_LEFT_BRACE:
    return parse_map(parser, node);
  case SF_CEL_TOKEN_DOT:
    SF_TRY(consume(parser));
    return parse_name(parser, true, node);
  case SF_CEL_TOKEN_IDENTIFIER:
    return parse_name(parser, false, node);
  default:
    return fail_unexpected(parser, "an expression");
  }
}

/* After a '.': a field, or a receiver's function. */
static sf_code parse_selection(parser_state *parser, sf_cel_node *operand, sf_cel_node **node) {
  SF_TRY(consume(parser));
  SF_TRY(refuse_optional(parser, "fields (a.?b)"));
  sf_cel_token field = parser->token;
  if (field.kind != SF_CEL_TOKEN_IDENTIFIER)
    return fail_unexpected(parser, "a field's name");
  SF_TRY(consume(parser));
  if (next_is(parser, SF_CEL_TOKEN_LEFT_PARENTHESIS))
    return parse_call(parser, operand, &field, node);
  sf_cel_node_list children = {0};
  SF_TRY(add_child(parser, &children, operand));
  SF_TRY(create(parser, SF_CEL_NODE_SELECT, field.position, children.children, node));
  (*node)->as.select.field = field.text;
  return SF_OK;
}

static sf_code parse_index(parser_state *parser, sf_cel_node *operand, sf_cel_node **node) {
  sf_cel_position position = parser->token.position;
  sf_cel_node *index;
  SF_TRY(consume(parser));
  SF_TRY(refuse_optional(parser, "indices (a[?b])"));
  SF_TRY(parse_expression(parser, &index));
  SF_TRY(expect(parser, SF_CEL_TOKEN_RIGHT_BRACKET));
  return create_operator(parser, "_[_]", position, operand, index, node);
}

static sf_code refuse_message(parser_state *parser, const sf_cel_node *type) {
  char name[SF_CEL_EXCERPT_BYTES];
  if (!sf_cel_qualified_name(type, name, sizeof(name)))
    return fail_unexpected(parser, "an operator");
  return sf_cel_fail(parser->error, type->position, "messages (%s{...}) are not supported", name);
}

/* A primary expression that is parsed already, and what follows it. */
static sf_code parse_suffixes(parser_state *parser, sf_cel_node **node) {
  for (;;) {
    switch (parser->token.kind) {
    case SF_CEL_TOKEN_DOT:
      SF_TRY(parse_selection(parser, *node, node));
      break;
    case SF_CEL_TOKEN_LEFT_BRACKET:
      SF_TRY(parse_index(parser, *node, node));
      break;
    case SF_CEL_TOKEN_LEFT_BRACE:
      return refuse_message(parser, *node);
    default:
      return SF_OK;
    }
  }
}

static sf_code parse_member(parser_state *parser, sf_cel_node **node) {
  SF_TRY(parse_primary(parser, node));
  return parse_suffixes(parser, node);
}

/* After a row of '!' or '-', only more of the same or a member may stand; '-' before a number is part of it. */
static sf_code parse_unary_operator(parser_state *parser, sf_cel_node **node) {
  sf_cel_token sign = parser->token;
  sf_cel_node *operand;
  bool minus = sign.kind == SF_CEL_TOKEN_MINUS;
  SF_TRY(consume(parser));
  if (minus && next_is_number(parser)) {
    SF_TRY(parse_literal(parser, true, node));
    return parse_suffixes(parser, node);
  }
  SF_TRY(next_is(parser, sign.kind) ? parse_unary(parser, &operand) : parse_member(parser, &operand));
  return create_operator(parser, minus ? "-_" : "!_", sign.position, operand, NULL, node);
}

static sf_code parse_unary(parser_state *parser, sf_cel_node **node) {
  if (!next_is(parser, SF_CEL_TOKEN_NOT) && !next_is(parser, SF_CEL_TOKEN_MINUS))
    return parse_member(parser, node);
  SF_TRY(enter(parser));
  SF_TRY(parse_unary_operator(parser, node));
  parser->depth--;
  return SF_OK;
}

/* The function of the operator that is next, when it binds as tightly as `precedence`. */
static const char *binary_operator(const parser_state *parser, int precedence) {
  for (size_t i = 0; i < sizeof(binary_operators) / sizeof(binary_operators[0]); i++) {
    if (next_is(parser, binary_operators[i].token) && binary_operators[i].precedence == precedence)
      return binary_operators[i].function;
  }
  return NULL;
}

static sf_code parse_binary(parser_state *parser, int precedence, sf_cel_node **node) {
  if (precedence > HIGHEST_PRECEDENCE)
    return parse_unary(parser, node);
  SF_TRY(parse_binary(parser, precedence + 1, node));
  const char *function;
  while ((function = binary_operator(parser, precedence)) != NULL) {
    sf_cel_position position = parser->token.position;
    sf_cel_node *right;
    SF_TRY(consume(parser));
    SF_TRY(parse_binary(parser, precedence + 1, &right));
    SF_TRY(create_operator(parser, function, position, *node, right, node));
  }
  return SF_OK;
}

/* A row of && or of ||: one node, however long the row is. */
static sf_code parse_logical(parser_state *parser, sf_cel_node_kind kind, sf_cel_node **node) {
  bool is_or = kind == SF_CEL_NODE_OR;
  sf_cel_token_kind token = is_or ? SF_CEL_TOKEN_OR : SF_CEL_TOKEN_AND;
  sf_cel_node_list operands = {0};
  SF_TRY(is_or ? parse_logical(parser, SF_CEL_NODE_AND, node) : parse_binary(parser, 1, node));
  if (!next_is(parser, token))
    return SF_OK;
  sf_cel_position position = parser->token.position;
  SF_TRY(add_child(parser, &operands, *node));
  while (next_is(parser, token)) {
    SF_TRY(consume(parser));
    SF_TRY(is_or ? parse_logical(parser, SF_CEL_NODE_AND, node) : parse_binary(parser, 1, node));
    SF_TRY(add_child(parser, &operands, *node));
  }
  return create(parser, kind, position, operands.children, node);
}

/* a ? b : c ? d : e is one node: the tail of a row of conditions takes no depth. */
static sf_code parse_conditional(parser_state *parser, sf_cel_node **node) {
  sf_cel_node_list children = {0};
  SF_TRY(parse_logical(parser, SF_CEL_NODE_OR, node));
  if (!next_is(parser, SF_CEL_TOKEN_QUESTION))
    return SF_OK;
  sf_cel_position position = parser->token.position;
  while (next_is(parser, SF_CEL_TOKEN_QUESTION)) {
    SF_TRY(add_child(parser, &children, *node));
    SF_TRY(consume(parser));
    SF_TRY(parse_logical(parser, SF_CEL_NODE_OR, node));
    SF_TRY(add_child(parser, &children, *node));
    SF_TRY(expect(parser, SF_CEL_TOKEN_COLON));
    SF_TRY(parse_logical(parser, SF_CEL_NODE_OR, node));
  }
  SF_TRY(add_child(parser, &children, *node));
  return create(parser, SF_CEL_NODE_CONDITIONAL, position, children.children, node);
}

static sf_code parse_expression(parser_state *parser, sf_cel_node **node) {
  SF_TRY(enter(parser));
  SF_TRY(parse_conditional(parser, node));
  parser->depth--;
  return SF_OK;
}

sf_code sf_cel_parse(const char *source, size_t length, sf_cel_arena *arena, sf_cel_node **root, sf_error *error) {
  parser_state parser = {.lexer = sf_cel_lexer_over(source, length), .arena = arena, .error = error};
  SF_TRY(consume(&parser));
  SF_TRY(parse_expression(&parser, root));
  if (!next_is(&parser, SF_CEL_TOKEN_END))
    return fail_unexpected(&parser, "an operator or the end");
  return SF_OK;
}
