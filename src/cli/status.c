#include "cli/status.h"

#include "cli/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sf_cli_print_message(const char *kind, const char *message) {
  /* Messages quote what files and callers hold. */
  sf_buffer visible = {0};
  bool is_visible = sf_cli_append_visible(&visible, message, strlen(message));
  fprintf(stderr, "shardyfusion: %s: %s\n", kind, is_visible ? (const char *)visible.data : "out of memory");
  sf_buffer_free(&visible);
}

sf_cli_status sf_cli_report(const sf_error *error) {
  sf_cli_print_message(sf_code_name(error->code), error->message);
  return SF_CLI_FAILED;
}

sf_cli_status sf_cli_report_usage(const char *command, const char *format, ...) {
  char message[sizeof(((sf_error *)NULL)->message)];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  sf_cli_print_message("usage", message);
  fprintf(stderr, "Try 'shardyfusion %s%s--help'.\n", command == NULL ? "" : command, command == NULL ? "" : " ");
  return SF_CLI_USAGE;
}

enum { MAX_NAME_LENGTH = 40, MAX_MISTAKES = 2 };

static size_t smallest(size_t a, size_t b, size_t c) {
  size_t least = a < b ? a : b;
  return least < c ? least : c;
}

/* Letters to insert, drop or change to come from one name to the other (Levenshtein's distance, two rows at a time). */
static size_t count_mistakes(const char *one, const char *other) {
  size_t one_length = strlen(one);
  size_t other_length = strlen(other);
  if (one_length > MAX_NAME_LENGTH || other_length > MAX_NAME_LENGTH)
    return MAX_NAME_LENGTH;
  size_t distances[MAX_NAME_LENGTH + 1];
  for (size_t j = 0; j <= other_length; j++)
    distances[j] = j;
  for (size_t i = 1; i <= one_length; i++) {
    size_t diagonal = distances[0];
    distances[0] = i;
    for (size_t j = 1; j <= other_length; j++) {
      size_t above = distances[j];
      distances[j] = smallest(above + 1, distances[j - 1] + 1, diagonal + (one[i - 1] != other[j - 1]));
      diagonal = above;
    }
  }
  return distances[other_length];
}

const char *sf_cli_suggest(const char *mistyped, const char *(*name_at)(size_t index, const void *user_data),
                           const void *user_data) {
  const char *best = NULL;
  size_t fewest = MAX_MISTAKES + 1;
  const char *name;
  for (size_t i = 0; (name = name_at(i, user_data)) != NULL; i++) {
    size_t mistakes = count_mistakes(mistyped, name);
    if (mistakes < fewest && mistakes < strlen(name)) {
      best = name;
      fewest = mistakes;
    }
  }
  return best;
}
