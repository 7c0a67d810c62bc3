/*
 * Regular expressions in RE2's syntax (https://github.com/google/re2/wiki/Syntax), which is what the language asks for,
 * matched by PCRE2. A pattern is read, refused where RE2 would refuse it, and written anew for PCRE2 so that it means
 * the same there: \s and \w are RE2's, $ is the end of the text, groups capture nothing.
 */
#ifndef SF_CEL_REGEX_H
#define SF_CEL_REGEX_H

#include "base/memory.h"
#include "cel/value.h"

typedef struct sf_cel_regex sf_cel_regex; /* immutable: any thread */

/* Memory that matches of one thread share. Zero-initialise. */
typedef struct sf_cel_match_memory {
  void *match_data;
  void *context;
} sf_cel_match_memory;

typedef enum sf_cel_match {
  SF_CEL_MATCHED,
  SF_CEL_NOT_MATCHED,
  SF_CEL_MATCH_OUT_OF_STEPS,
  SF_CEL_MATCH_TOO_HARD, /* PCRE2's own limits of backtracking or memory */
  SF_CEL_MATCH_OUT_OF_MEMORY,
} sf_cel_match;

/*
 * `pattern` is valid UTF-8. SF_CONFIG_VALIDATION_ERROR (the message has no position) or SF_OUT_OF_MEMORY_ERROR. The
 * result is for sf_cel_regex_free.
 */
sf_code sf_cel_regex_compile(sf_cel_text pattern, sf_cel_regex **regex, sf_error *error);
void sf_cel_regex_free(sf_cel_regex *regex);

/*
 * Whether the pattern matches anywhere in `subject`: valid UTF-8, at most SF_CEL_MAX_SUBJECT_BYTES. Work is paid from
 * the budget as it is done, so a pattern that backtracks without end runs out of steps instead.
 */
sf_cel_match sf_cel_regex_match(const sf_cel_regex *regex, sf_cel_text subject, sf_cel_match_memory *memory,
                                sf_cel_budget *budget);
void sf_cel_match_memory_free(sf_cel_match_memory *memory);

/* The translation: a pattern for PCRE2 appended to `output`. */
sf_code sf_cel_regex_translate(sf_cel_text pattern, sf_buffer *output, sf_error *error);

#endif
