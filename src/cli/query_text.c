#include "cli/query_text.h"

#include "base/json_text.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Numbers are read here and not through the JSON library, which has no integers beyond 64 bits. */

static const char *skip_blanks(const char *at) {
  return at + strspn(at, " \t\r\n");
}

static sf_code fail_at(sf_error *error, const char *expected, const char *text, const char *at) {
  if (*at == '\0')
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected %s, found the end", expected);
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected %s, found '%.10s' at character %zu", expected, at,
                 (size_t)(at - text) + 1);
}

static size_t count_commas(const char *text) {
  size_t commas = 0;
  for (; *text != '\0'; text++)
    commas += *text == ',';
  return commas;
}

/* The numbers of the array that begins at `at`, behind its bracket; `values` has room for all. */
static sf_code parse_numbers(const char *text, size_t length, const char *at, double *values, size_t *count,
                             sf_error *error) {
  at = skip_blanks(at);
  *count = 0;
  while (*at != ']' || *count > 0) {
    const char *end = sf_json_number_end(at, text + length);
    if (end == NULL)
      return fail_at(error, "a number", text, at);
    values[(*count)++] = strtod(at, NULL);
    at = skip_blanks(end);
    if (*at != ',' && *at != ']')
      return fail_at(error, "',' or ']'", text, at);
    if (*at == ']')
      break;
    at = skip_blanks(at + 1);
  }
  at = skip_blanks(at + 1);
  return *at == '\0' ? SF_OK : fail_at(error, "nothing after the array", text, at);
}

sf_code sf_cli_query_parse(const char *text, size_t length, double **values, size_t *count, sf_error *error) {
  if (strlen(text) != length)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected a JSON array of numbers, found a zero byte");
  /* Text that an editor saved may begin with a byte order mark. */
  bool has_mark = length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
  const char *start = skip_blanks(text + (has_mark ? 3 : 0));
  if (*start != '[')
    return fail_at(error, "a JSON array of numbers", text, start);
  double *parsed = sf_calloc(count_commas(start) + 1, sizeof(double));
  if (parsed == NULL)
    return sf_fail_memory(error, "a query");
  sf_code code = parse_numbers(text, length, start + 1, parsed, count, error);
  if (code != SF_OK)
    free(parsed);
  else
    *values = parsed;
  return code;
}
