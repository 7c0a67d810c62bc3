/* SearchResult: one neighbour, whose Python objects are made as late and as few as can be. */
#ifndef SF_PYTHON_RESULT_H
#define SF_PYTHON_RESULT_H

#include "state.h"

#include <shardyfusion/search.h>

#include <stdatomic.h>

/* A response of the library, shared by the objects that show parts of it. */
typedef struct sf_py_answer {
  atomic_size_t references;
  sf_search_response *response;
} sf_py_answer;

void sf_py_answer_release(sf_py_answer *answer);

/* A SearchResult that shows the result at `index`; it holds the answer. */
PyObject *sf_py_result_new(const sf_py_state *state, sf_py_answer *answer, size_t index);

extern PyType_Spec sf_py_result_spec;

#endif
