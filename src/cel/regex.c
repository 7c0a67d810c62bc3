#define PCRE2_CODE_UNIT_WIDTH 8
#include "cel/regex.h"

#include "cel/limits.h"

#include <pcre2.h>

/*
 * $ is the end of the text alone, as RE2 has it; ^ after (?m) matches behind a last newline too. A callout before every
 * item of the pattern is where work is counted.
 */
#define COMPILE_OPTIONS                                                                                                \
  (PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP |               \
   PCRE2_AUTO_CALLOUT)

struct sf_cel_regex {
  pcre2_code *code;
};

/* What the callouts of one match know. */
typedef struct match_work {
  sf_cel_budget *budget;
  size_t position; /* of the subject, at the callout before */
} match_work;

static sf_code fail_compile(int number, sf_error *error) {
  PCRE2_UCHAR message[256];
  if (number == PCRE2_ERROR_HEAP_FAILED)
    return sf_fail_memory(error, "a regular expression");
  if (pcre2_get_error_message(number, message, sizeof(message)) < 0)
    message[0] = '\0';
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "regular expression: %s", (const char *)message);
}

static sf_code compile_translated(const sf_buffer *translated, pcre2_code **code, sf_error *error) {
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  if (context == NULL)
    return sf_fail_memory(error, "a regular expression");
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context, 2 * SF_CEL_MAX_PATTERN_DEPTH);
  int number;
  PCRE2_SIZE offset;
  *code = pcre2_compile(translated->data, translated->length, COMPILE_OPTIONS, &number, &offset, context);
  pcre2_compile_context_free(context);
  return *code != NULL ? SF_OK : fail_compile(number, error);
}

sf_code sf_cel_regex_compile(sf_cel_text pattern, sf_cel_regex **regex, sf_error *error) {
  if (pattern.length > SF_CEL_MAX_PATTERN_BYTES)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "regular expression: at most %d bytes were expected, found %zu",
                   SF_CEL_MAX_PATTERN_BYTES, pattern.length);
  sf_buffer translated = {0};
  sf_cel_regex *compiled = sf_calloc(1, sizeof(*compiled));
  sf_code code = compiled != NULL && sf_buffer_reserve(&translated, pattern.length)
                     ? sf_cel_regex_translate(pattern, &translated, error)
                     : sf_fail_memory(error, "a regular expression");
  if (code == SF_OK)
    code = compile_translated(&translated, &compiled->code, error);
  sf_buffer_free(&translated);
  if (code == SF_OK)
    *regex = compiled;
  else
    sf_cel_regex_free(compiled);
  return code;
}

void sf_cel_regex_free(sf_cel_regex *regex) {
  if (regex == NULL)
    return;
  pcre2_code_free(regex->code);
  free(regex);
}

/* Between two callouts PCRE2 runs through one item: a step for the item, more for a long way through the subject. */
static int count_work(pcre2_callout_block *block, void *user_data) {
  match_work *work = user_data;
  size_t from = work->position;
  size_t way = block->current_position > from ? block->current_position - from : 0;
  work->position = block->current_position;
  return sf_cel_spend(work->budget, 1 + way / SF_CEL_BYTES_PER_STEP) ? 0 : PCRE2_ERROR_CALLOUT;
}

static bool prepare_memory(sf_cel_match_memory *memory) {
  if (memory->match_data == NULL)
    memory->match_data = pcre2_match_data_create(1, NULL);
  if (memory->context != NULL || memory->match_data == NULL)
    return memory->match_data != NULL;
  pcre2_match_context *context = pcre2_match_context_create(NULL);
  if (context == NULL)
    return false;
  pcre2_set_match_limit(context, SF_CEL_MATCH_LIMIT);
  pcre2_set_depth_limit(context, SF_CEL_MATCH_DEPTH_LIMIT);
  pcre2_set_heap_limit(context, SF_CEL_MATCH_HEAP_KIB);
  memory->context = context;
  return true;
}

void sf_cel_match_memory_free(sf_cel_match_memory *memory) {
  pcre2_match_data_free(memory->match_data);
  pcre2_match_context_free(memory->context);
  *memory = (sf_cel_match_memory){0};
}

sf_cel_match sf_cel_regex_match(const sf_cel_regex *regex, sf_cel_text subject, sf_cel_match_memory *memory,
                                sf_cel_budget *budget) {
  if (!prepare_memory(memory))
    return SF_CEL_MATCH_OUT_OF_MEMORY;
  match_work work = {.budget = budget};
  pcre2_set_callout(memory->context, count_work, &work);
  PCRE2_SPTR text = subject.length > 0 ? (PCRE2_SPTR)subject.data : (PCRE2_SPTR) "";
  int status =
      pcre2_match(regex->code, text, subject.length, 0, PCRE2_NO_UTF_CHECK, memory->match_data, memory->context);
  pcre2_set_callout(memory->context, NULL, NULL);
  switch (status) {
  case PCRE2_ERROR_NOMATCH:
    return SF_CEL_NOT_MATCHED;
  case PCRE2_ERROR_CALLOUT:
    return SF_CEL_MATCH_OUT_OF_STEPS;
  case PCRE2_ERROR_NOMEMORY:
    return SF_CEL_MATCH_OUT_OF_MEMORY;
  default:
    return status >= 0 ? SF_CEL_MATCHED : SF_CEL_MATCH_TOO_HARD;
  }
}
