/* VectorSearchResponse: the neighbours of one query, a sequence of its results. */
#ifndef SF_PYTHON_RESPONSE_H
#define SF_PYTHON_RESPONSE_H

#include "state.h"

#include <shardyfusion/search.h>

/* A VectorSearchResponse over a response, which is taken over (freed on failure, too). */
PyObject *sf_py_response_new(const sf_py_state *state, sf_search_response *response);

/* Adds the types of results; -1 with an exception set when it can't. */
int sf_py_add_results(PyObject *module, sf_py_state *state);

/* The results of a fetch: a list of SearchResult, and None for those that are missing. Takes the response over. */
PyObject *sf_py_rows_new(const sf_py_state *state, sf_search_response *fetched);

#endif
