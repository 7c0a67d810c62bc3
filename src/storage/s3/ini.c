#include "storage/s3/ini.h"

#include "base/memory.h"

#include <openssl/crypto.h>
#include <string.h>

#define MAX_LENGTH ((size_t)1 << 20)
#define MAX_ENTRIES 20000

/* A piece of the text. */
typedef struct span {
  const char *start;
  size_t length;
} span;

typedef struct parser {
  sf_ini *ini;
  size_t capacity;
  span section;
  span parent; /* the setting that indented ones are nested in; empty: none */
} parser;

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

static span trimmed(span text) {
  while (text.length > 0 && is_blank(text.start[0])) {
    text.start++;
    text.length--;
  }
  while (text.length > 0 && is_blank(text.start[text.length - 1]))
    text.length--;
  return text;
}

static span first(span text, size_t length) {
  return (span){.start = text.start, .length = length};
}

static span after(span text, size_t length) {
  return (span){.start = text.start + length, .length = text.length - length};
}

/* Position of `c`, or the length. */
static size_t find(span text, char c) {
  const char *found = text.length > 0 ? memchr(text.start, c, text.length) : NULL;
  return found == NULL ? text.length : (size_t)(found - text.start);
}

/* A comment begins at '#' or ';' behind white space: both characters also stand inside values. */
static span without_comment(span text) {
  for (size_t i = 1; i < text.length; i++)
    if ((text.start[i] == '#' || text.start[i] == ';') && is_blank(text.start[i - 1]))
      return first(text, i);
  return text;
}

/* "[profile  name]" and "[profile "name"]" both as "profile name". */
static char *section_name(span section) {
  size_t word = 0;
  while (word < section.length && !is_blank(section.start[word]))
    word++;
  span rest = trimmed(after(section, word));
  if (rest.length >= 2 && (rest.start[0] == '"' || rest.start[0] == '\'') &&
      rest.start[rest.length - 1] == rest.start[0])
    rest = trimmed(first(after(rest, 1), rest.length - 2));
  if (rest.length == 0)
    return sf_memdup_string(section.start, word);
  return sf_format("%.*s %.*s", (int)word, section.start, (int)rest.length, rest.start);
}

static char *setting_name(span parent, span name) {
  char *full = parent.length > 0
                   ? sf_format("%.*s.%.*s", (int)parent.length, parent.start, (int)name.length, name.start)
                   : sf_memdup_string(name.start, name.length);
  for (char *c = full; c != NULL && *c != '\0'; c++)
    if (*c >= 'A' && *c <= 'Z')
      *c = (char)(*c - 'A' + 'a');
  return full;
}

static bool grow(parser *state) {
  sf_ini *ini = state->ini;
  return ini->count < MAX_ENTRIES &&
         sf_array_make_room(&ini->entries, ini->count, &state->capacity, sizeof(*ini->entries));
}

static bool add_entry(parser *state, span parent, span name, span value) {
  if (!grow(state))
    return false;
  sf_ini_entry *entry = &state->ini->entries[state->ini->count++];
  entry->section = section_name(state->section);
  entry->name = setting_name(parent, name);
  entry->value = sf_memdup_string(value.start, value.length);
  return entry->section != NULL && entry->name != NULL && entry->value != NULL;
}

static bool parse_setting(parser *state, span line, bool indented) {
  size_t equals = find(line, '=');
  if (equals == line.length || state->section.length == 0)
    return true;
  span name = trimmed(first(line, equals));
  span value = trimmed(without_comment(after(line, equals + 1)));
  bool nested = indented && state->parent.length > 0;
  if (name.length == 0)
    return true;
  if (!nested)
    state->parent = value.length == 0 ? name : (span){0};
  return add_entry(state, nested ? state->parent : (span){0}, name, value);
}

static bool parse_line(parser *state, span line) {
  bool indented = line.length > 0 && is_blank(line.start[0]);
  line = trimmed(line);
  if (line.length == 0 || line.start[0] == '#' || line.start[0] == ';' || memchr(line.start, '\0', line.length) != NULL)
    return true;
  if (line.start[0] != '[' || indented)
    return parse_setting(state, line, indented);
  size_t close = find(line, ']');
  state->parent = (span){0};
  state->section = close == line.length ? (span){0} : trimmed(first(after(line, 1), close - 1));
  /* An entry without a name says that the section is there, however empty. */
  return state->section.length == 0 || add_entry(state, (span){0}, first(line, 0), first(line, 0));
}

bool sf_ini_parse(const char *text, size_t length, sf_ini *ini) {
  *ini = (sf_ini){0};
  parser state = {.ini = ini};
  span rest = {.start = text, .length = length};
  bool parsed = length <= MAX_LENGTH;
  while (parsed && rest.length > 0) {
    size_t end = find(rest, '\n');
    parsed = parse_line(&state, first(rest, end));
    rest = after(rest, end < rest.length ? end + 1 : end);
  }
  if (!parsed)
    sf_ini_clear(ini);
  return parsed;
}

void sf_ini_clear(sf_ini *ini) {
  for (size_t i = 0; i < ini->count; i++) {
    free(ini->entries[i].section);
    free(ini->entries[i].name);
    if (ini->entries[i].value != NULL)
      OPENSSL_cleanse(ini->entries[i].value, strlen(ini->entries[i].value));
    free(ini->entries[i].value);
  }
  free(ini->entries);
  *ini = (sf_ini){0};
}

const char *sf_ini_get(const sf_ini *ini, const char *section, const char *name) {
  for (size_t i = ini->count; i-- > 0;)
    if (strcmp(ini->entries[i].name, name) == 0 && strcmp(ini->entries[i].section, section) == 0)
      return ini->entries[i].value;
  return NULL;
}

const char *sf_ini_get_of(const sf_ini *ini, const char *kind, const char *name_of_section, const char *name) {
  size_t length = strlen(kind);
  for (size_t i = ini->count; i-- > 0;) {
    const char *section = ini->entries[i].section;
    if (strcmp(ini->entries[i].name, name) == 0 && strncmp(section, kind, length) == 0 && section[length] == ' ' &&
        strcmp(section + length + 1, name_of_section) == 0)
      return ini->entries[i].value;
  }
  return NULL;
}

bool sf_ini_has_section(const sf_ini *ini, const char *section) {
  for (size_t i = 0; i < ini->count; i++)
    if (strcmp(ini->entries[i].section, section) == 0)
      return true;
  return false;
}
