/* Answers that a scenario compares. */
#ifndef SF_TESTS_RESPONSES_H
#define SF_TESTS_RESPONSES_H

#include "shardyfusion/search.h"

bool responses_equal(const sf_search_response *left, const sf_search_response *right);

#endif
