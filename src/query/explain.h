/* The account of a search as JSON, and as a text to read. */
#ifndef SF_QUERY_EXPLAIN_H
#define SF_QUERY_EXPLAIN_H

#include "query/search_account.h"

/* A new NUL-terminated text, for the caller to free; NULL when memory is out. */
char *sf_explain_as_json(const sf_search_account *account);
char *sf_explain_as_text(const sf_search_account *account);

#endif
