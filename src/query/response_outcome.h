/* The results of asynchronous searches: one response, or those of a batch. */
#ifndef SF_QUERY_RESPONSE_OUTCOME_H
#define SF_QUERY_RESPONSE_OUTCOME_H

#include "async/operation.h"
#include "shardyfusion/search.h"

/* What an operation is completed with; the response is the operation's from then on. */
sf_outcome sf_search_response_outcome(sf_search_response *response);

/* The same for a batch of `count` responses; the array, which is from the heap, is owned too. */
sf_outcome sf_search_responses_outcome(sf_search_response **responses, size_t count);

/* A number of rows. */
sf_outcome sf_row_count_outcome(uint64_t num_rows);

#endif
