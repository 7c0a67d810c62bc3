/*
 * Errors: functions return a code, and fill the caller's sf_error (NULL: none wanted) with a message that says which object,
 * what was expected and what was found. Codes, their names and which of them may be retried are one table,
 * SF_ERROR_TABLE in shardyfusion/error.h.
 */
#ifndef SF_BASE_ERROR_H
#define SF_BASE_ERROR_H

#include "shardyfusion/error.h"

#if defined(__GNUC__)
#define SF_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define SF_PRINTF(format_index, first_argument)
#endif

/* Fills `error` (which may be NULL) and returns `code`. A message of more than 700 bytes loses its middle, at
 * characters' boundaries; what in it is not UTF-8, or is a control character, becomes '?'.
 * The arguments may point into `error` itself. */
sf_code sf_fail(sf_error *error, sf_code code, const char *format, ...) SF_PRINTF(3, 4);

/* Replaces with '?' what is not UTF-8 and what a terminal would interpret, for messages that quote files and servers. */
void sf_replace_unprintable(char *text);

/* Reports an allocation that returned NULL; `what` names its purpose. */
sf_code sf_fail_memory(sf_error *error, const char *what);

/* The code for a system call that failed: SF_OUT_OF_MEMORY_ERROR for ENOMEM, SF_POOL_EXHAUSTED_ERROR, which may be retried,
 * where this process or the system has no file descriptors left, else `otherwise`. */
sf_code sf_errno_code(int error_number, sf_code otherwise);

/* Puts "context: " before the message of an error that is already set; returns its code. */
sf_code sf_error_prefix(sf_error *error, const char *format, ...) SF_PRINTF(2, 3);

/* Gives an error that is already set another code, keeping its message; returns the new code. */
sf_code sf_error_recode(sf_error *error, sf_code code);

void sf_error_clear(sf_error *error);

#if defined(__clang_analyzer__)
/* The analyser sees one file at a time, and does not know that these return the code that they are given. */
#define sf_fail(error, code, ...) ((void)(sf_fail)(error, code, __VA_ARGS__), (code))
#define sf_fail_memory(error, what) ((void)(sf_fail_memory)(error, what), SF_OUT_OF_MEMORY_ERROR)
#endif

/* Returns from the calling function with the code of a failed call. Only where nothing needs cleaning up. */
#define SF_TRY(expression)                                                                                             \
  do {                                                                                                                 \
    sf_code sf_try_code = (expression);                                                                                \
    if (sf_try_code != SF_OK)                                                                                          \
      return sf_try_code;                                                                                              \
  } while (0)

#endif
