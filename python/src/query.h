/* From Python arguments to search requests. */
#ifndef SF_PYTHON_QUERY_H
#define SF_PYTHON_QUERY_H

#include "module.h"

/* The vector of one query; where it can be, borrowed from the caller's buffer. Zero-initialise. */
typedef struct sf_py_vector {
  Py_buffer view; /* while has_view */
  int has_view;
  void *copy; /* NULL: none was needed */
  const void *components;
  size_t dim;
  sf_element_type type;
} sf_py_vector;

/* 1: the element type of a buffer is one that the library takes as it is (float16 only for rows). */
int sf_py_element_type(const Py_buffer *view, sf_element_type *type);

/* As sf_py_vector_read, also of float16 (which becomes float64): 1 when taken, 0 when it is no vector, -1 with an
 * exception set. */
int sf_py_vector_take(PyObject *object, sf_py_vector *vector);

/* A mapping of routing variables as JSON text: a new reference, NULL with an exception set. */
PyObject *sf_py_dump_context(PyObject *context);

/* Any value as JSON text, as json.dumps makes it: a new reference, NULL with an exception set. */
PyObject *sf_py_dump_json(PyObject *value);

/* From anything with the buffer protocol (float32 or float64, one dimension) or a sequence of numbers. -1 with an
 * exception set when it is neither. */
int sf_py_vector_read(const sf_py_state *state, PyObject *query, sf_py_vector *vector);
void sf_py_vector_release(sf_py_vector *vector);

/* What a search takes besides its query. Zero-initialise. */
typedef struct sf_py_routing {
  int64_t *shard_ids;
  PyObject *context_text; /* holds the request's routing_context */
} sf_py_routing;

/* Fills a request from `shard_ids`, `num_probes` and `routing_context`, each of which may be None. */
int sf_py_routing_read(const sf_py_state *state, PyObject *const *arguments, sf_search_request *request,
                       sf_py_routing *routing);
void sf_py_routing_release(sf_py_routing *routing);

/* Reads `top_k`: an integer, saturated at int64. */
int sf_py_top_k_read(const sf_py_state *state, PyObject *top_k, sf_search_request *request);

/* The vectors of a batch: rows of an array of two dimensions, or queries one by one. Zero-initialise. */
typedef struct sf_py_vectors {
  sf_py_vector whole; /* an array of two dimensions */
  size_t count;
  sf_py_vector *each; /* NULL: they are the rows of `whole` */
} sf_py_vectors;

int sf_py_vectors_read(const sf_py_state *state, PyObject *queries, sf_py_vectors *vectors);
void sf_py_vectors_release(sf_py_vectors *vectors);
/* Points a request at the query with that number. */
void sf_py_vectors_request(const sf_py_vectors *vectors, size_t index, sf_search_request *request);

#endif
