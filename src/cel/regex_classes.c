#define PCRE2_CODE_UNIT_WIDTH 8
#include "cel/regex_classes.h"

#include "base/hexadecimal.h"

#include <pcre2.h>
#include <string.h>

#define ASCII_SIZE 128
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

static bool is_print(int character) {
  return character >= ' ' && character < 0x7F;
}

static bool is_ascii(int character) {
  return character < ASCII_SIZE;
}

static const struct {
  const char *name;
  sf_character_class contains;
} posix_classes[] = {
    {"alnum", sf_regex_is_alnum}, {"alpha", sf_regex_is_alpha},
    {"ascii", is_ascii},          {"blank", is_blank},
    {"cntrl", is_control},        {"digit", sf_regex_is_digit},
    {"graph", sf_regex_is_graph}, {"lower", sf_regex_is_lower},
    {"print", is_print},          {"punct", sf_regex_is_punct},
    {"space", is_space},          {"upper", sf_regex_is_upper},
    {"word", sf_regex_is_word},   {"xdigit", sf_is_hexadecimal_digit},
};

sf_character_class sf_regex_posix_class(sf_cel_text name) {
  for (size_t i = 0; i < sizeof(posix_classes) / sizeof(posix_classes[0]); i++)
    if (sf_cel_text_equals(name, posix_classes[i].name))
      return posix_classes[i].contains;
  return NULL;
}

sf_character_class sf_regex_perl_class(char letter) {
  switch (letter | 0x20) {
  case 'd':
    return sf_regex_is_digit;
  case 's':
    return is_perl_space;
  case 'w':
    return sf_regex_is_word;
  default:
    return NULL;
  }
}

/* Whether the class, closed under case if it has to be, has a character of ASCII or one of the two outside it. */
static bool class_has(sf_character_class contains, bool fold, uint32_t code_point) {
  if (code_point == LONG_S || code_point == KELVIN_SIGN) {
    int letter = code_point == LONG_S ? 's' : 'k';
    return fold && (contains(letter) || contains(letter - 0x20));
  }
  if (code_point >= ASCII_SIZE)
    return false;
  int character = (int)code_point;
  return contains(character) || (fold && sf_regex_is_alpha(character) && contains(character ^ 0x20));
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
  return SF_LAST_CODE_POINT + 1;
}

sf_code sf_regex_put_class(sf_regex_translator *translator, sf_character_class contains, bool negated) {
  uint32_t start = 0;
  while (start <= SF_LAST_CODE_POINT) {
    bool member = class_has(contains, translator->fold, start) != negated;
    uint32_t end = next_boundary(start);
    while (end <= SF_LAST_CODE_POINT && (class_has(contains, translator->fold, end) != negated) == member)
      end = next_boundary(end);
    if (member) {
      SF_TRY(sf_regex_put_code_point(translator, start));
      SF_TRY(sf_regex_put(translator, "-"));
      SF_TRY(sf_regex_put_code_point(translator, end - 1));
    }
    start = end;
  }
  return SF_OK;
}

sf_code sf_regex_put_property(sf_regex_translator *translator, bool negated, size_t start) {
  sf_cel_text name = {translator->pattern.data + translator->position, 1};
  if (sf_regex_at_end(translator))
    return sf_regex_fail(translator, start, "a Unicode class's name was expected after \\p");
  if (translator->fold)
    return sf_regex_fail(translator, start, "\\p under the flag i is not supported");
  translator->position++;
  if (name.data[0] == '{') {
    size_t length = 0;
    while (sf_regex_peek(translator, length) != '}' && sf_regex_peek(translator, length) != '\0')
      length++;
    name = (sf_cel_text){name.data + 1, sf_regex_peek(translator, length) == '}' ? length : 0};
    translator->position += length + 1;
  }
  if (name.length > 0 && name.data[0] == '^') {
    negated = !negated;
    name = (sf_cel_text){name.data + 1, name.length - 1};
  }
  bool category = name.length == 1 || name.length == 2;
  bool plain = name.length > 0 && name.length < 40 && sf_regex_is_upper(name.data[0]);
  for (size_t i = 1; plain && i < name.length; i++)
    plain = sf_regex_is_alpha((unsigned char)name.data[i]) || name.data[i] == '_';
  if (!plain || (category && strchr("CLMNPSZY", name.data[0]) == NULL))
    return sf_regex_fail(translator, start, "unknown Unicode class");
  bool any = sf_cel_text_equals(name, "Any");
  bool script = !any && (!category || sf_cel_text_equals(name, "Yi"));
  bool written = sf_buffer_append_format(translator->output, "\\%c{%s%.*s}", negated ? 'P' : 'p',
                                         script ? SCRIPT_PREFIX : "", (int)name.length, name.data);
  return written ? SF_OK : sf_fail_memory(translator->error, "a regular expression");
}
