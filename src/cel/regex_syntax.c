/* RE2's syntax read and written anew for PCRE2. Groups are kept on an explicit stack, so nothing here recurses. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/hexadecimal.h"
#include "base/utf8.h"
#include "cel/limits.h"
#include "cel/number.h"
#include "cel/regex.h"

#include <pcre2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ASCII_SIZE 128
#define LAST_CODE_POINT 0x10FFFF
/* The two characters beyond ASCII that case folding makes equal to letters of it: ſ to s, the Kelvin sign to k. */
#define LONG_S 0x17F
#define KELVIN_SIGN 0x212A

/* A script's own characters, which is all that PCRE2 before 10.40 knows; since then a bare name has the script's
 * extensions too, which RE2 does not mean. */
#if PCRE2_MAJOR == 10 && PCRE2_MINOR < 40
#define SCRIPT_PREFIX ""
#else
#define SCRIPT_PREFIX "sc:"
#endif

typedef struct regex_group {
  bool fold;       /* the flag i outside, to be restored at the end of the group */
  uint32_t repeat; /* the largest product of repeat counts inside */
} regex_group;

typedef struct regex_translator {
  sf_cel_text pattern;
  size_t position;
  sf_buffer *output;
  sf_error *error;
  regex_group groups[SF_CEL_MAX_PATTERN_DEPTH + 1]; /* the pattern itself is the first */
  size_t depth;
  bool fold;            /* the flag i */
  bool has_atom;        /* a repetition may follow */
  uint32_t atom_repeat; /* the largest product of repeat counts in the atom */
} regex_translator;

static sf_code fail(regex_translator *translator, size_t at, const char *format, ...) SF_PRINTF(3, 4);

static sf_code fail(regex_translator *translator, size_t at, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return sf_fail(translator->error, SF_CONFIG_VALIDATION_ERROR, "regular expression, byte %zu: %s", at, text);
}

static char peek(const regex_translator *translator, size_t ahead) {
  size_t left = translator->pattern.length - translator->position;
  return ahead < left ? translator->pattern.data[translator->position + ahead] : '\0';
}

static bool at_end(const regex_translator *translator) {
  return translator->position >= translator->pattern.length;
}

static sf_code put(regex_translator *translator, const char *text) {
  return sf_buffer_append_text(translator->output, text) ? SF_OK
                                                         : sf_fail_memory(translator->error, "a regular expression");
}

static sf_code put_code_point(regex_translator *translator, uint32_t code_point) {
  return sf_buffer_append_format(translator->output, "\\x{%X}", code_point)
             ? SF_OK
             : sf_fail_memory(translator->error, "a regular expression");
}

/* Something that may be repeated begins at the end of the output. */
static void begin_atom(regex_translator *translator) {
  translator->has_atom = true;
  translator->atom_repeat = 1;
}

/* ------------------------------------------------------------------------------------------------ Classes by name */

static bool is_lower(int character) {
  return character >= 'a' && character <= 'z';
}

static bool is_upper(int character) {
  return character >= 'A' && character <= 'Z';
}

static bool is_digit(int character) {
  return character >= '0' && character <= '9';
}

static bool is_alpha(int character) {
  return is_lower(character) || is_upper(character);
}

static bool is_alnum(int character) {
  return is_alpha(character) || is_digit(character);
}

static bool is_word(int character) {
  return is_alnum(character) || character == '_';
}

static bool is_blank(int character) {
  return character == ' ' || character == '\t';
}

static bool is_perl_space(int character) {
  return is_blank(character) || character == '\n' || character == '\f' || character == '\r';
}

static bool is_space(int character) {
  return is_perl_space(character) || character == '\v';
}

static bool is_control(int character) {
  return character < ' ' || character == 0x7F;
}

static bool is_graph(int character) {
  return character > ' ' && character < 0x7F;
}

static bool is_print(int character) {
  return character >= ' ' && character < 0x7F;
}

static bool is_punct(int character) {
  return is_graph(character) && !is_alnum(character);
}

static bool is_ascii(int character) {
  return character < ASCII_SIZE;
}

typedef bool (*character_class)(int character);

static const struct {
  const char *name;
  character_class contains;
} posix_classes[] = {
    {"alnum", is_alnum},   {"alpha", is_alpha},
    {"ascii", is_ascii},   {"blank", is_blank},
    {"cntrl", is_control}, {"digit", is_digit},
    {"graph", is_graph},   {"lower", is_lower},
    {"print", is_print},   {"punct", is_punct},
    {"space", is_space},   {"upper", is_upper},
    {"word", is_word},     {"xdigit", sf_is_hexadecimal_digit},
};

static character_class perl_class(char letter) {
  switch (letter | 0x20) {
  case 'd':
    return is_digit;
  case 's':
    return is_perl_space;
  case 'w':
    return is_word;
  default:
    return NULL;
  }
}

/* Whether the class, closed under case if it has to be, has a character of ASCII or one of the two outside it. */
static bool class_has(character_class contains, bool fold, uint32_t code_point) {
  if (code_point == LONG_S || code_point == KELVIN_SIGN) {
    int letter = code_point == LONG_S ? 's' : 'k';
    return fold && (contains(letter) || contains(letter - 0x20));
  }
  if (code_point >= ASCII_SIZE)
    return false;
  int character = (int)code_point;
  return contains(character) || (fold && is_alpha(character) && contains(character ^ 0x20));
}

/* The next code point above `code_point` where membership can change. */
static uint32_t next_boundary(uint32_t code_point) {
  if (code_point < ASCII_SIZE)
    return code_point + 1;
  static const uint32_t boundaries[] = {LONG_S, LONG_S + 1, KELVIN_SIGN, KELVIN_SIGN + 1};
  for (size_t i = 0; i < sizeof(boundaries) / sizeof(boundaries[0]); i++) {
    if (code_point < boundaries[i])
      return boundaries[i];
  }
  return LAST_CODE_POINT + 1;
}

/* The ranges of a named class, for the inside of brackets. Spelled out, since PCRE2's own differ from RE2's. */
static sf_code put_class(regex_translator *translator, character_class contains, bool negated) {
  uint32_t start = 0;
  while (start <= LAST_CODE_POINT) {
    bool member = class_has(contains, translator->fold, start) != negated;
    uint32_t end = next_boundary(start);
    while (end <= LAST_CODE_POINT && (class_has(contains, translator->fold, end) != negated) == member)
      end = next_boundary(end);
    if (member) {
      SF_TRY(put_code_point(translator, start));
      SF_TRY(put(translator, "-"));
      SF_TRY(put_code_point(translator, end - 1));
    }
    start = end;
  }
  return SF_OK;
}

/* \p{Name}, \pN and their negations: `position` is behind the p. */
static sf_code put_property(regex_translator *translator, bool negated, size_t start) {
  sf_cel_text name = {translator->pattern.data + translator->position, 1};
  if (at_end(translator))
    return fail(translator, start, "a Unicode class's name was expected after \\p");
  if (translator->fold)
    return fail(translator, start, "\\p under the flag i is not supported");
  translator->position++;
  if (name.data[0] == '{') {
    size_t length = 0;
    while (peek(translator, length) != '}' && peek(translator, length) != '\0')
      length++;
    name = (sf_cel_text){name.data + 1, peek(translator, length) == '}' ? length : 0};
    translator->position += length + 1;
  }
  if (name.length > 0 && name.data[0] == '^') {
    negated = !negated;
    name = (sf_cel_text){name.data + 1, name.length - 1};
  }
  bool category = name.length == 1 || name.length == 2;
  bool plain = name.length > 0 && name.length < 40 && is_upper(name.data[0]);
  for (size_t i = 1; plain && i < name.length; i++)
    plain = is_alpha((unsigned char)name.data[i]) || name.data[i] == '_';
  if (!plain || (category && strchr("CLMNPSZY", name.data[0]) == NULL))
    return fail(translator, start, "unknown Unicode class");
  bool any = sf_cel_text_equals(name, "Any");
  bool script = !any && (!category || sf_cel_text_equals(name, "Yi"));
  bool written = sf_buffer_append_format(translator->output, "\\%c{%s%.*s}", negated ? 'P' : 'p',
                                         script ? SCRIPT_PREFIX : "", (int)name.length, name.data);
  return written ? SF_OK : sf_fail_memory(translator->error, "a regular expression");
}

/* --------------------------------------------------------------------------------------------------------- Escapes */

/* \123, \0, \x7F and \x{10FFFF}; `position` is behind the backslash. */
static bool parse_numeric_escape(regex_translator *translator, uint32_t *code_point) {
  char first = peek(translator, 0);
  uint64_t value = 0;
  size_t length = 0;
  if (first == 'x' && peek(translator, 1) == '{') {
    while (sf_is_hexadecimal_digit((unsigned char)peek(translator, 2 + length)))
      length++;
    if (peek(translator, 2 + length) != '}' ||
        !sf_cel_parse_hexadecimal((sf_cel_text){translator->pattern.data + translator->position + 2, length}, &value))
      return false;
    length += 3;
  } else if (first == 'x') {
    length = 3;
    if (translator->pattern.length - translator->position < length ||
        !sf_cel_parse_hexadecimal((sf_cel_text){translator->pattern.data + translator->position + 1, 2}, &value))
      return false;
  } else {
    while (length < 3 && peek(translator, length) >= '0' && peek(translator, length) <= '7')
      value = value << 3 | (uint64_t)(peek(translator, length++) - '0');
  }
  char encoded[4];
  if (value > LAST_CODE_POINT || sf_utf8_encode((uint32_t)value, encoded) == 0)
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

static sf_code refuse_escape(regex_translator *translator, size_t start, char letter) {
  static const struct {
    const char *letters;
    const char *what;
  } others[] = {{"123456789gk", "a backreference"},       {"C", "a match of single bytes (\\C)"},
                {"K", "a reset of the match's start"},    {"G", "an anchor at the search's start"},
                {"Z", "an anchor before a last newline"}, {"RXNhHV", "a class of Perl's"},
                {"ec", "a control character of Perl's"},  {"uUlLoE", "an escape of Perl's"}};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    if (letter != '\0' && strchr(others[i].letters, letter) != NULL)
      return fail(translator, start, "\\%c, %s, is not in RE2's syntax", letter, others[i].what);
  }
  return fail(translator, start, "invalid escape sequence");
}

/* One character behind a backslash, in or out of brackets. */
static sf_code escaped_character(regex_translator *translator, size_t start, uint32_t *code_point) {
  char letter = peek(translator, 0);
  bool octal =
      letter == '0' || (letter >= '1' && letter <= '7' && peek(translator, 1) >= '0' && peek(translator, 1) <= '7');
  if (octal || letter == 'x')
    return parse_numeric_escape(translator, code_point) ? SF_OK : fail(translator, start, "invalid escape sequence");
  if (control_escape(letter, code_point) || is_punct((unsigned char)letter)) {
    if (is_punct((unsigned char)letter))
      *code_point = (uint32_t)letter;
    translator->position++;
    return SF_OK;
  }
  return refuse_escape(translator, start, letter);
}

/* \Q...\E: characters as they are. */
static sf_code translate_quoted(regex_translator *translator) {
  while (!at_end(translator) && !(peek(translator, 0) == '\\' && peek(translator, 1) == 'E')) {
    uint32_t code_point;
    translator->position += sf_utf8_decode(translator->pattern.data + translator->position,
                                           translator->pattern.length - translator->position, &code_point);
    begin_atom(translator);
    SF_TRY(put_code_point(translator, code_point));
  }
  translator->position += at_end(translator) ? 0 : 2;
  return SF_OK;
}

static sf_code translate_escape(regex_translator *translator) {
  size_t start = translator->position++;
  char letter = peek(translator, 0);
  if (letter == 'Q') {
    translator->position++;
    return translate_quoted(translator);
  }
  begin_atom(translator);
  if (letter == 'A' || letter == 'z' || letter == 'b' || letter == 'B') {
    translator->position++;
    char assertion[] = {'(', '?', ':', '\\', letter, ')', '\0'};
    return put(translator, assertion);
  }
  character_class contains = perl_class(letter);
  if (contains != NULL) {
    translator->position++;
    SF_TRY(put(translator, "["));
    SF_TRY(put_class(translator, contains, is_upper(letter)));
    return put(translator, "]");
  }
  if (letter == 'p' || letter == 'P') {
    translator->position++;
    return put_property(translator, letter == 'P', start);
  }
  uint32_t code_point;
  SF_TRY(escaped_character(translator, start, &code_point));
  return put_code_point(translator, code_point);
}

/* -------------------------------------------------------------------------------------------------------- Brackets */

/* [:name:] or [:^name:], when it is one; otherwise the bracket is a character. */
static bool posix_class(regex_translator *translator, character_class *contains, bool *negated) {
  *negated = peek(translator, 2) == '^';
  size_t name_start = *negated ? 3 : 2;
  size_t length = 0;
  while (is_lower((unsigned char)peek(translator, name_start + length)))
    length++;
  if (peek(translator, name_start + length) != ':' || peek(translator, name_start + length + 1) != ']')
    return false;
  sf_cel_text name = {translator->pattern.data + translator->position + name_start, length};
  for (size_t i = 0; i < sizeof(posix_classes) / sizeof(posix_classes[0]); i++) {
    if (sf_cel_text_equals(name, posix_classes[i].name)) {
      *contains = posix_classes[i].contains;
      translator->position += name_start + length + 2;
      return true;
    }
  }
  return false;
}

/* Whether a ':]' comes after the '[:' here: then a class was meant. */
static bool class_is_closed(const regex_translator *translator) {
  for (size_t i = translator->position + 3; i < translator->pattern.length; i++) {
    if (translator->pattern.data[i - 1] == ':' && translator->pattern.data[i] == ']')
      return true;
  }
  return false;
}

static sf_code bracket_character(regex_translator *translator, uint32_t *code_point) {
  size_t start = translator->position;
  if (at_end(translator))
    return fail(translator, start, "a ']' was expected");
  if (peek(translator, 0) == '\\') {
    translator->position++;
    return escaped_character(translator, start, code_point);
  }
  translator->position +=
      sf_utf8_decode(translator->pattern.data + start, translator->pattern.length - start, code_point);
  return SF_OK;
}

static sf_code translate_range(regex_translator *translator) {
  size_t start = translator->position;
  uint32_t low;
  SF_TRY(bracket_character(translator, &low));
  SF_TRY(put_code_point(translator, low));
  if (peek(translator, 0) != '-' || peek(translator, 1) == ']' || peek(translator, 1) == '\0')
    return SF_OK;
  translator->position++;
  uint32_t high;
  SF_TRY(bracket_character(translator, &high));
  if (high < low)
    return fail(translator, start, "the range is out of order");
  SF_TRY(put(translator, "-"));
  return put_code_point(translator, high);
}

static sf_code translate_bracket_item(regex_translator *translator) {
  character_class contains;
  bool negated;
  size_t start = translator->position;
  char letter = peek(translator, 1);
  if (peek(translator, 0) == '[' && letter == ':' && posix_class(translator, &contains, &negated))
    return put_class(translator, contains, negated);
  if (peek(translator, 0) == '[' && letter == ':' && class_is_closed(translator))
    return fail(translator, start, "unknown class");
  if (peek(translator, 0) != '\\')
    return translate_range(translator);
  contains = perl_class(letter);
  if (contains != NULL) {
    translator->position += 2;
    return put_class(translator, contains, is_upper(letter));
  }
  if (letter == 'p' || letter == 'P') {
    translator->position += 2;
    return put_property(translator, letter == 'P', start);
  }
  return translate_range(translator);
}

static sf_code translate_brackets(regex_translator *translator) {
  size_t start = translator->position++;
  begin_atom(translator);
  bool negated = peek(translator, 0) == '^';
  translator->position += negated ? 1 : 0;
  SF_TRY(put(translator, negated ? "[^" : "["));
  bool first = true; /* a ']' that comes first is a character */
  while (first || peek(translator, 0) != ']') {
    if (at_end(translator))
      return fail(translator, start, "a ']' was expected for this '['");
    SF_TRY(translate_bracket_item(translator));
    first = false;
  }
  translator->position++;
  return put(translator, "]");
}

/* ---------------------------------------------------------------------------------------------------------- Groups */

static sf_code open_group(regex_translator *translator, bool fold_inside, size_t start) {
  if (translator->depth == SF_CEL_MAX_PATTERN_DEPTH)
    return fail(translator, start, "groups are nested deeper than %d levels", SF_CEL_MAX_PATTERN_DEPTH);
  translator->groups[++translator->depth] = (regex_group){.fold = translator->fold, .repeat = 1};
  translator->fold = fold_inside;
  translator->has_atom = false;
  return SF_OK;
}

static sf_code close_group(regex_translator *translator) {
  if (translator->depth == 0)
    return fail(translator, translator->position, "unmatched ')'");
  regex_group group = translator->groups[translator->depth--];
  translator->position++;
  translator->fold = group.fold;
  translator->has_atom = true;
  translator->atom_repeat = group.repeat;
  if (group.repeat > translator->groups[translator->depth].repeat)
    translator->groups[translator->depth].repeat = group.repeat;
  return put(translator, ")");
}

static sf_code refuse_group(regex_translator *translator, size_t start) {
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
      return fail(translator, start, "%s (%s...) is not in RE2's syntax", others[i].what, others[i].prefix);
  }
  if (rest.length > 2 && is_digit((unsigned char)rest.data[2]))
    return fail(translator, start, "recursion (?%c...) is not in RE2's syntax", rest.data[2]);
  return fail(translator, start, "a group's flags or name were expected after (?");
}

/* (?P<name>...) and (?<name>...): a group like any other, since nothing asks what it matched. */
static sf_code translate_named_group(regex_translator *translator, size_t start) {
  translator->position = start + (translator->pattern.data[start + 2] == 'P' ? 4 : 3);
  size_t length = 0;
  while (is_word((unsigned char)peek(translator, length)))
    length++;
  if (length == 0 || peek(translator, length) != '>')
    return fail(translator, start, "a group's name was expected: letters, digits and '_', then '>'");
  translator->position += length + 1;
  SF_TRY(open_group(translator, translator->fold, start));
  return put(translator, "(?:");
}

/* (?flags) and (?flags:...) with flags of RE2's: i, m, s, U, a '-' before those to be unset. U swaps greedy and lazy,
 * which changes no answer here, so it is read and left out. */
static sf_code translate_flags(regex_translator *translator, size_t start) {
  char written[2 * 8 + 4] = "(?";
  size_t length = 2;
  bool set = true;
  bool fold = translator->fold;
  bool any = false;
  translator->position = start + 2;
  for (; peek(translator, 0) != ':' && peek(translator, 0) != ')'; translator->position++) {
    char flag = peek(translator, 0);
    if (flag == '\0' || strchr("imsU-", flag) == NULL || (flag == '-' && !set) || length > 2 * 8) {
      if (flag == 'x' || flag == 'n' || flag == 'J')
        return fail(translator, start, "the flag %c is not in RE2's syntax", flag);
      return refuse_group(translator, start);
    }
    if (flag == 'i')
      fold = set;
    any = flag != '-';
    set = set && flag != '-';
    if (flag != 'U')
      written[length++] = flag;
  }
  bool group = peek(translator, 0) == ':';
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
  return put(translator, written);
}

static sf_code translate_group(regex_translator *translator) {
  size_t start = translator->position;
  if (peek(translator, 1) == '*')
    return fail(translator, start, "a verb (*...) is not in RE2's syntax");
  if (peek(translator, 1) != '?') {
    translator->position++;
    SF_TRY(open_group(translator, translator->fold, start));
    return put(translator, "(?:");
  }
  bool python_name = peek(translator, 2) == 'P' && peek(translator, 3) == '<';
  bool name = peek(translator, 2) == '<' && peek(translator, 3) != '=' && peek(translator, 3) != '!';
  if (python_name || name)
    return translate_named_group(translator, start);
  return translate_flags(translator, start);
}

/* ----------------------------------------------------------------------------------------------------- Repetitions */

static bool parse_count(regex_translator *translator, size_t *ahead, uint32_t *count) {
  size_t start = *ahead;
  uint64_t value;
  while (is_digit((unsigned char)peek(translator, *ahead)))
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
static size_t parse_repeat(regex_translator *translator, uint32_t *least, uint32_t *most) {
  size_t ahead = 1;
  if (!parse_count(translator, &ahead, least))
    return 0;
  *most = *least;
  if (peek(translator, ahead) == ',') {
    ahead++;
    if (peek(translator, ahead) != '}' && !parse_count(translator, &ahead, most))
      return 0;
  }
  return peek(translator, ahead) == '}' ? ahead + 1 : 0;
}

static sf_code check_repeat(regex_translator *translator, uint32_t least, uint32_t most) {
  size_t start = translator->position;
  if (least > SF_CEL_MAX_PATTERN_REPEAT || most > SF_CEL_MAX_PATTERN_REPEAT)
    return fail(translator, start, "a repetition of at most %d was expected", SF_CEL_MAX_PATTERN_REPEAT);
  if (most < least)
    return fail(translator, start, "the repetition's counts are out of order");
  uint32_t count = most > 1 ? most : 1;
  uint32_t product = translator->atom_repeat * count; /* both at most 1000 */
  if (product > SF_CEL_MAX_PATTERN_REPEAT)
    return fail(translator, start, "nested repetitions of at most %d in all were expected", SF_CEL_MAX_PATTERN_REPEAT);
  if (product > translator->groups[translator->depth].repeat)
    translator->groups[translator->depth].repeat = product;
  return SF_OK;
}

/* `length` bytes of a repetition, and a '?' that makes it lazy. */
static sf_code translate_repetition(regex_translator *translator, size_t length, uint32_t least, uint32_t most) {
  size_t start = translator->position;
  if (!translator->has_atom)
    return fail(translator, start, "nothing stands before this repetition");
  SF_TRY(check_repeat(translator, least, most));
  length += peek(translator, length) == '?' ? 1 : 0;
  if (!sf_buffer_append(translator->output, translator->pattern.data + start, length))
    return sf_fail_memory(translator->error, "a regular expression");
  translator->position += length;
  translator->has_atom = false;
  char next = peek(translator, 0);
  uint32_t ignored;
  bool brace = next == '{' && parse_repeat(translator, &ignored, &ignored) > 0;
  if (next == '+')
    return fail(translator, start, "a possessive repetition is not in RE2's syntax");
  if (next == '*' || next == '?' || brace)
    return fail(translator, start, "a repetition of a repetition is not in RE2's syntax");
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------------------ Whole */

static sf_code translate_character(regex_translator *translator) {
  uint32_t code_point;
  translator->position += sf_utf8_decode(translator->pattern.data + translator->position,
                                         translator->pattern.length - translator->position, &code_point);
  begin_atom(translator);
  return put_code_point(translator, code_point);
}

static sf_code translate_symbol(regex_translator *translator, const char *written) {
  translator->position++;
  begin_atom(translator);
  return put(translator, written);
}

static sf_code translate_next(regex_translator *translator) {
  uint32_t least = 0;
  uint32_t most = 0;
  size_t length = 1;
  switch (peek(translator, 0)) {
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
  regex_translator translator = {.pattern = pattern, .output = output, .error = error, .groups = {{.repeat = 1}}};
  while (!at_end(&translator))
    SF_TRY(translate_next(&translator));
  if (translator.depth > 0)
    return fail(&translator, pattern.length, "a ')' was expected");
  return SF_OK;
}
