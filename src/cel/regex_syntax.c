/*
 * RE2's syntax (https://github.com/google/re2/wiki/Syntax), which CEL's matches() is defined by, read and written anew for
 * PCRE2: what RE2 lacks (backreferences, lookaround) is refused, what the two read differently is
 * spelled out. Groups are kept on an explicit stack, so nothing here recurses.
 */
#include "base/hexadecimal.h"
#include "base/utf8.h"
#include "cel/number.h"
#include "cel/regex.h"
#include "cel/regex_classes.h"

#include <string.h>

/* --------------------------------------------------------------------------------------------------------- Escapes */

/* \123, \0, \x7F and \x{10FFFF}; `position` is behind the backslash. */
static bool parse_numeric_escape(sf_regex_translator *translator, uint32_t *code_point) {
  char first = sf_regex_peek(translator, 0);
  uint64_t value = 0;
  size_t length = 0;
  if (first == 'x' && sf_regex_peek(translator, 1) == '{') {
    while (sf_is_hexadecimal_digit((unsigned char)sf_regex_peek(translator, 2 + length)))
      length++;
    if (sf_regex_peek(translator, 2 + length) != '}' ||
        !sf_cel_parse_hexadecimal((sf_cel_text){translator->pattern.data + translator->position + 2, length}, &value))
      return false;
    length += 3;
  } else if (first == 'x') {
    length = 3;
    if (translator->pattern.length - translator->position < length ||
        !sf_cel_parse_hexadecimal((sf_cel_text){translator->pattern.data + translator->position + 1, 2}, &value))
      return false;
  } else {
    while (length < 3 && sf_regex_peek(translator, length) >= '0' && sf_regex_peek(translator, length) <= '7')
      value = value << 3 | (uint64_t)(sf_regex_peek(translator, length++) - '0');
  }
  char encoded[4];
  if (value > SF_LAST_CODE_POINT || sf_utf8_encode((uint32_t)value, encoded) == 0)
    return false;
  *code_point = (uint32_t)value;
  translator->position += length;
  return true;
}

static bool control_escape(char letter, uint32_t *code_point) {
  static const char letters[] = "afnrtv";
  static const char characters[] = "\a\f\n\r\t\v";
  const char *found = letter == '\0' ? NULL : strchr(letters, letter);
  if (found != NULL)
    *code_point = (uint32_t)characters[found - letters];
  return found != NULL;
}

static sf_code refuse_escape(sf_regex_translator *translator, size_t start, char letter) {
  static const struct {
    const char *letters;
    const char *what;
  } others[] = {{"123456789gk", "a backreference"},       {"C", "a match of single bytes (\\C)"},
                {"K", "a reset of the match's start"},    {"G", "an anchor at the search's start"},
                {"Z", "an anchor before a last newline"}, {"RXNhHV", "a class of Perl's"},
                {"ec", "a control character of Perl's"},  {"uUlLoE", "an escape of Perl's"}};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    if (letter != '\0' && strchr(others[i].letters, letter) != NULL)
      return sf_regex_fail(translator, start, "\\%c, %s, is not in RE2's syntax", letter, others[i].what);
  }
  return sf_regex_fail(translator, start, "invalid escape sequence");
}

/* One character behind a backslash, in or out of brackets. */
static sf_code escaped_character(sf_regex_translator *translator, size_t start, uint32_t *code_point) {
  char letter = sf_regex_peek(translator, 0);
  bool octal = letter == '0' || (letter >= '1' && letter <= '7' && sf_regex_peek(translator, 1) >= '0' &&
                                 sf_regex_peek(translator, 1) <= '7');
  if (octal || letter == 'x')
    return parse_numeric_escape(translator, code_point) ? SF_OK
                                                        : sf_regex_fail(translator, start, "invalid escape sequence");
  if (control_escape(letter, code_point) || sf_regex_is_punct((unsigned char)letter)) {
    if (sf_regex_is_punct((unsigned char)letter))
      *code_point = (uint32_t)letter;
    translator->position++;
    return SF_OK;
  }
  return refuse_escape(translator, start, letter);
}

/* \Q...\E: characters as they are. */
static sf_code translate_quoted(sf_regex_translator *translator) {
  while (!sf_regex_at_end(translator) &&
         !(sf_regex_peek(translator, 0) == '\\' && sf_regex_peek(translator, 1) == 'E')) {
    uint32_t code_point;
    translator->position += sf_utf8_decode(translator->pattern.data + translator->position,
                                           translator->pattern.length - translator->position, &code_point);
    sf_regex_begin_atom(translator);
    SF_TRY(sf_regex_put_code_point(translator, code_point));
  }
  translator->position += sf_regex_at_end(translator) ? 0 : 2;
  return SF_OK;
}

static sf_code translate_escape(sf_regex_translator *translator) {
  size_t start = translator->position++;
  char letter = sf_regex_peek(translator, 0);
  if (letter == 'Q') {
    translator->position++;
    return translate_quoted(translator);
  }
  sf_regex_begin_atom(translator);
  if (letter == 'A' || letter == 'z' || letter == 'b' || letter == 'B') {
    translator->position++;
    char assertion[] = {'(', '?', ':', '\\', letter, ')', '\0'};
    return sf_regex_put(translator, assertion);
  }
  sf_character_class contains = sf_regex_perl_class(letter);
  if (contains != NULL) {
    translator->position++;
    SF_TRY(sf_regex_put(translator, "["));
    SF_TRY(sf_regex_put_class(translator, contains, sf_regex_is_upper(letter)));
    return sf_regex_put(translator, "]");
  }
  if (letter == 'p' || letter == 'P') {
    translator->position++;
    return sf_regex_put_property(translator, letter == 'P', start);
  }
  uint32_t code_point;
  SF_TRY(escaped_character(translator, start, &code_point));
  return sf_regex_put_code_point(translator, code_point);
}

/* -------------------------------------------------------------------------------------------------------- Brackets */

/* [:name:] or [:^name:], when it is one; otherwise the bracket is a character. */
static bool posix_class(sf_regex_translator *translator, sf_character_class *contains, bool *negated) {
  *negated = sf_regex_peek(translator, 2) == '^';
  size_t name_start = *negated ? 3 : 2;
  size_t length = 0;
  while (sf_regex_is_lower((unsigned char)sf_regex_peek(translator, name_start + length)))
    length++;
  if (sf_regex_peek(translator, name_start + length) != ':' ||
      sf_regex_peek(translator, name_start + length + 1) != ']')
    return false;
  sf_cel_text name = {translator->pattern.data + translator->position + name_start, length};
  *contains = sf_regex_posix_class(name);
  translator->position += *contains != NULL ? name_start + length + 2 : 0;
  return *contains != NULL;
}

/* Whether a ':]' comes after the '[:' here: then a class was meant. */
static bool class_is_closed(const sf_regex_translator *translator) {
  for (size_t i = translator->position + 3; i < translator->pattern.length; i++) {
    if (translator->pattern.data[i - 1] == ':' && translator->pattern.data[i] == ']')
      return true;
  }
  return false;
}

static sf_code bracket_character(sf_regex_translator *translator, uint32_t *code_point) {
  size_t start = translator->position;
  if (sf_regex_at_end(translator))
    return sf_regex_fail(translator, start, "a ']' was expected");
  if (sf_regex_peek(translator, 0) == '\\') {
    translator->position++;
    return escaped_character(translator, start, code_point);
  }
  translator->position +=
      sf_utf8_decode(translator->pattern.data + start, translator->pattern.length - start, code_point);
  return SF_OK;
}

static sf_code translate_range(sf_regex_translator *translator) {
  size_t start = translator->position;
  uint32_t low;
  SF_TRY(bracket_character(translator, &low));
  SF_TRY(sf_regex_put_code_point(translator, low));
  if (sf_regex_peek(translator, 0) != '-' || sf_regex_peek(translator, 1) == ']' ||
      sf_regex_peek(translator, 1) == '\0')
    return SF_OK;
  translator->position++;
  uint32_t high;
  SF_TRY(bracket_character(translator, &high));
  if (high < low)
    return sf_regex_fail(translator, start, "the range is out of order");
  SF_TRY(sf_regex_put(translator, "-"));
  return sf_regex_put_code_point(translator, high);
}

static sf_code translate_bracket_item(sf_regex_translator *translator) {
  sf_character_class contains;
  bool negated;
  size_t start = translator->position;
  char letter = sf_regex_peek(translator, 1);
  if (sf_regex_peek(translator, 0) == '[' && letter == ':' && posix_class(translator, &contains, &negated))
    return sf_regex_put_class(translator, contains, negated);
  if (sf_regex_peek(translator, 0) == '[' && letter == ':' && class_is_closed(translator))
    return sf_regex_fail(translator, start, "unknown class");
  if (sf_regex_peek(translator, 0) != '\\')
    return translate_range(translator);
  contains = sf_regex_perl_class(letter);
  if (contains != NULL) {
    translator->position += 2;
    return sf_regex_put_class(translator, contains, sf_regex_is_upper(letter));
  }
  if (letter == 'p' || letter == 'P') {
    translator->position += 2;
    return sf_regex_put_property(translator, letter == 'P', start);
  }
  return translate_range(translator);
}

static sf_code translate_brackets(sf_regex_translator *translator) {
  size_t start = translator->position++;
  sf_regex_begin_atom(translator);
  bool negated = sf_regex_peek(translator, 0) == '^';
  translator->position += negated ? 1 : 0;
  SF_TRY(sf_regex_put(translator, negated ? "[^" : "["));
  bool first = true; /* a ']' that comes first is a character */
  while (first || sf_regex_peek(translator, 0) != ']') {
    if (sf_regex_at_end(translator))
      return sf_regex_fail(translator, start, "a ']' was expected for this '['");
    SF_TRY(translate_bracket_item(translator));
    first = false;
  }
  translator->position++;
  return sf_regex_put(translator, "]");
}

/* ---------------------------------------------------------------------------------------------------------- Groups */

static sf_code open_group(sf_regex_translator *translator, bool fold_inside, size_t start) {
  if (translator->depth == SF_CEL_MAX_PATTERN_DEPTH)
    return sf_regex_fail(translator, start, "groups are nested deeper than %d levels", SF_CEL_MAX_PATTERN_DEPTH);
  translator->groups[++translator->depth] = (sf_regex_group){.fold = translator->fold, .repeat = 1};
  translator->fold = fold_inside;
  translator->has_atom = false;
  return SF_OK;
}

static sf_code close_group(sf_regex_translator *translator) {
  if (translator->depth == 0)
    return sf_regex_fail(translator, translator->position, "unmatched ')'");
  sf_regex_group group = translator->groups[translator->depth--];
  translator->position++;
  translator->fold = group.fold;
  translator->has_atom = true;
  translator->atom_repeat = group.repeat;
  if (group.repeat > translator->groups[translator->depth].repeat)
    translator->groups[translator->depth].repeat = group.repeat;
  return sf_regex_put(translator, ")");
}

static sf_code refuse_group(sf_regex_translator *translator, size_t start) {
  static const struct {
    const char *prefix;
    const char *what;
  } others[] = {
      {"(?=", "lookahead"},       {"(?!", "lookahead"},        {"(?<=", "lookbehind"}, {"(?<!", "lookbehind"},
      {"(?>", "an atomic group"}, {"(?|", "a branch reset"},   {"(?#", "a comment"},   {"(?C", "a callout"},
      {"(?R", "recursion"},       {"(?&", "recursion"},        {"(?P>", "recursion"},  {"(?P=", "a backreference"},
      {"(?(", "a condition"},     {"(?'", "a name in quotes"}, {"(?+", "recursion"},   {"(?^", "a reset of flags"}};
  sf_cel_text rest = {translator->pattern.data + start, translator->pattern.length - start};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    size_t length = strlen(others[i].prefix);
    if (rest.length >= length && memcmp(rest.data, others[i].prefix, length) == 0)
      return sf_regex_fail(translator, start, "%s (%s...) is not in RE2's syntax", others[i].what, others[i].prefix);
  }
  if (rest.length > 2 && sf_regex_is_digit((unsigned char)rest.data[2]))
    return sf_regex_fail(translator, start, "recursion (?%c...) is not in RE2's syntax", rest.data[2]);
  return sf_regex_fail(translator, start, "a group's flags or name were expected after (?");
}

/* (?P<name>...) and (?<name>...): a group like any other, since nothing asks what it matched. */
static sf_code translate_named_group(sf_regex_translator *translator, size_t start) {
  translator->position = start + (translator->pattern.data[start + 2] == 'P' ? 4 : 3);
  size_t length = 0;
  while (sf_regex_is_word((unsigned char)sf_regex_peek(translator, length)))
    length++;
  if (length == 0 || sf_regex_peek(translator, length) != '>')
    return sf_regex_fail(translator, start, "a group's name was expected: letters, digits and '_', then '>'");
  translator->position += length + 1;
  SF_TRY(open_group(translator, translator->fold, start));
  return sf_regex_put(translator, "(?:");
}

/* (?flags) and (?flags:...) with flags of RE2's: i, m, s, U, a '-' before those to be unset. U swaps greedy and lazy,
 * which changes no answer here, so it is read and left out. */
static sf_code translate_flags(sf_regex_translator *translator, size_t start) {
  char written[2 * 8 + 4] = "(?";
  size_t length = 2;
  bool set = true;
  bool fold = translator->fold;
  bool any = false;
  translator->position = start + 2;
  for (; sf_regex_peek(translator, 0) != ':' && sf_regex_peek(translator, 0) != ')'; translator->position++) {
    char flag = sf_regex_peek(translator, 0);
    if (flag == '\0' || strchr("imsU-", flag) == NULL || (flag == '-' && !set) || length > 2 * 8) {
      if (flag == 'x' || flag == 'n' || flag == 'J')
        return sf_regex_fail(translator, start, "the flag %c is not in RE2's syntax", flag);
      return refuse_group(translator, start);
    }
    if (flag == 'i')
      fold = set;
    any = flag != '-';
    set = set && flag != '-';
    if (flag != 'U')
      written[length++] = flag;
  }
  bool group = sf_regex_peek(translator, 0) == ':';
  if (!any && !(group && translator->position == start + 2))
    return refuse_group(translator, start);
  translator->position++;
  written[length++] = group ? ':' : ')';
  written[length] = '\0';
  if (group)
    SF_TRY(open_group(translator, fold, start));
  else
    translator->fold = fold;
  translator->has_atom = false;
  return sf_regex_put(translator, written);
}

static sf_code translate_group(sf_regex_translator *translator) {
  size_t start = translator->position;
  if (sf_regex_peek(translator, 1) == '*')
    return sf_regex_fail(translator, start, "a verb (*...) is not in RE2's syntax");
  if (sf_regex_peek(translator, 1) != '?') {
    translator->position++;
    SF_TRY(open_group(translator, translator->fold, start));
    return sf_regex_put(translator, "(?:");
  }
  bool python_name = sf_regex_peek(translator, 2) == 'P' && sf_regex_peek(translator, 3) == '<';
  bool name =
      sf_regex_peek(translator, 2) == '<' && sf_regex_peek(translator, 3) != '=' && sf_regex_peek(translator, 3) != '!';
  if (python_name || name)
    return translate_named_group(translator, start);
  return translate_flags(translator, start);
}

/* ----------------------------------------------------------------------------------------------------- Repetitions */

static bool parse_count(sf_regex_translator *translator, size_t *ahead, uint32_t *count) {
  size_t start = *ahead;
  uint64_t value;
  while (sf_regex_is_digit((unsigned char)sf_regex_peek(translator, *ahead)))
    (*ahead)++;
  sf_cel_text digits = {translator->pattern.data + translator->position + start, *ahead - start};
  bool leading_zero = digits.length > 1 && digits.data[0] == '0';
  if (leading_zero || digits.length == 0)
    return false;
  if (!sf_cel_parse_uint(digits, &value) || value > SF_CEL_MAX_PATTERN_REPEAT)
    value = SF_CEL_MAX_PATTERN_REPEAT + 1;
  *count = (uint32_t)value;
  return true;
}

/* The length of {n}, {n,} or {n,m}, or 0: then the brace is a character. */
static size_t parse_repeat(sf_regex_translator *translator, uint32_t *least, uint32_t *most) {
  size_t ahead = 1;
  if (!parse_count(translator, &ahead, least))
    return 0;
  *most = *least;
  if (sf_regex_peek(translator, ahead) == ',') {
    ahead++;
    if (sf_regex_peek(translator, ahead) != '}' && !parse_count(translator, &ahead, most))
      return 0;
  }
  return sf_regex_peek(translator, ahead) == '}' ? ahead + 1 : 0;
}

static sf_code check_repeat(sf_regex_translator *translator, uint32_t least, uint32_t most) {
  size_t start = translator->position;
  if (least > SF_CEL_MAX_PATTERN_REPEAT || most > SF_CEL_MAX_PATTERN_REPEAT)
    return sf_regex_fail(translator, start, "a repetition of at most %d was expected", SF_CEL_MAX_PATTERN_REPEAT);
  if (most < least)
    return sf_regex_fail(translator, start, "the repetition's counts are out of order");
  uint32_t count = most > 1 ? most : 1;
  uint32_t product = translator->atom_repeat * count; /* both at most 1000 */
  if (product > SF_CEL_MAX_PATTERN_REPEAT)
    return sf_regex_fail(translator, start, "nested repetitions of at most %d in all were expected",
                         SF_CEL_MAX_PATTERN_REPEAT);
  if (product > translator->groups[translator->depth].repeat)
    translator->groups[translator->depth].repeat = product;
  return SF_OK;
}

/* `length` bytes of a repetition, and a '?' that makes it lazy. */
static sf_code translate_repetition(sf_regex_translator *translator, size_t length, uint32_t least, uint32_t most) {
  size_t start = translator->position;
  if (!translator->has_atom)
    return sf_regex_fail(translator, start, "nothing stands before this repetition");
  SF_TRY(check_repeat(translator, least, most));
  length += sf_regex_peek(translator, length) == '?' ? 1 : 0;
  if (!sf_buffer_append(translator->output, translator->pattern.data + start, length))
    return sf_fail_memory(translator->error, "a regular expression");
  translator->position += length;
  translator->has_atom = false;
  char next = sf_regex_peek(translator, 0);
  uint32_t ignored;
  bool brace = next == '{' && parse_repeat(translator, &ignored, &ignored) > 0;
  if (next == '+')
    return sf_regex_fail(translator, start, "a possessive repetition is not in RE2's syntax");
  if (next == '*' || next == '?' || brace)
    return sf_regex_fail(translator, start, "a repetition of a repetition is not in RE2's syntax");
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------------------ Whole */

static sf_code translate_character(sf_regex_translator *translator) {
  uint32_t code_point;
  translator->position += sf_utf8_decode(translator->pattern.data + translator->position,
                                         translator->pattern.length - translator->position, &code_point);
  sf_regex_begin_atom(translator);
  return sf_regex_put_code_point(translator, code_point);
}

static sf_code translate_symbol(sf_regex_translator *translator, const char *written) {
  translator->position++;
  sf_regex_begin_atom(translator);
  return sf_regex_put(translator, written);
}

static sf_code translate_next(sf_regex_translator *translator) {
  uint32_t least = 0;
  uint32_t most = 0;
  size_t length = 1;
  switch (sf_regex_peek(translator, 0)) {
  case '\\':
    return translate_escape(translator);
  case '[':
    return translate_brackets(translator);
  case '(':
    return translate_group(translator);
  case ')':
    return close_group(translator);
  case '^':
    return translate_symbol(translator, "(?:^)");
  case '$':
    return translate_symbol(translator, "(?:$)");
  case '.':
    return translate_symbol(translator, ".");
  case '|':
    SF_TRY(translate_symbol(translator, "|"));
    translator->has_atom = false;
    return SF_OK;
  case '{':
    length = parse_repeat(translator, &least, &most);
    return length > 0 ? translate_repetition(translator, length, least, most) : translate_character(translator);
  case '*':
  case '+':
  case '?':
    return translate_repetition(translator, 1, 0, 1);
  default:
    return translate_character(translator);
  }
}

sf_code sf_cel_regex_translate(sf_cel_text pattern, sf_buffer *output, sf_error *error) {
  sf_regex_translator translator = {.pattern = pattern, .output = output, .error = error, .groups = {{.repeat = 1}}};
  while (!sf_regex_at_end(&translator))
    SF_TRY(translate_next(&translator));
  if (translator.depth > 0)
    return sf_regex_fail(&translator, pattern.length, "a ')' was expected");
  return SF_OK;
}
