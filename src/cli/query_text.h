/* A query written as a JSON array of numbers. */
#ifndef SF_CLI_QUERY_TEXT_H
#define SF_CLI_QUERY_TEXT_H

#include "base/error.h"

#include <stddef.h>

/* Reads `text`, NUL-terminated and `length` bytes long, into *values (to free()) and *count. */
sf_code sf_cli_query_parse(const char *text, size_t length, double **values, size_t *count, sf_error *error);

#endif
