/* From Python arguments to search requests: all but their vectors. */
#ifndef SF_PYTHON_QUERY_H
#define SF_PYTHON_QUERY_H

#include "state.h"

#include <shardyfusion/search.h>

/* A mapping of routing variables as JSON text: a new reference, NULL with an exception set. */
PyObject *sf_py_dump_context(PyObject *context);

/* A payload, any mapping, as JSON text: a new reference, NULL with an exception set. */
PyObject *sf_py_dump_payload(PyObject *payload);

/* What a search takes besides its query. Zero-initialise. */
typedef struct sf_py_routing {
  int64_t *shard_ids;
  PyObject *context_text; /* holds the request's routing_context */
} sf_py_routing;

/* Fills a request from `shard_ids`, `num_probes` and `routing_context`, each of which may be None. */
int sf_py_routing_read(const sf_py_state *state, PyObject *const *arguments, sf_search_request *request,
                       sf_py_routing *routing);
void sf_py_routing_release(sf_py_routing *routing);

/* What narrows a search: None, or a tuple (filter, max_score, max_results, offset, include_vectors, include_payloads, explain,
 * recall). The request borrows the filter's text from the tuple. */
int sf_py_narrowing_read(const sf_py_state *state, PyObject *narrowing, sf_search_request *request);

/* A filter's text, borrowed from `filter`; NULL for None. */
int sf_py_filter_read(const sf_py_state *state, PyObject *filter, const char **text);

/* Shard ids alone, of `shard_ids`, which may be None. */
int sf_py_shard_ids_read(const sf_py_state *state, PyObject *shard_ids, sf_search_request *request,
                         sf_py_routing *routing);

/* Reads `top_k`: an integer, saturated at int64; None: all rows up to max_score. */
int sf_py_top_k_read(const sf_py_state *state, PyObject *top_k, sf_search_request *request);

#endif
