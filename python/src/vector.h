/*
 * Vectors from Python: buffers in place if the library can read them, sequences of numbers, and everything else through
 * shardyfusion/_values.py, which converts other libraries' arrays and describes what is not a vector.
 *
 * Every call here may run code of the caller's: nothing borrowed from the objects is kept across it.
 */
#ifndef SF_PYTHON_VECTOR_H
#define SF_PYTHON_VECTOR_H

#include "state.h"

#include <shardyfusion/search.h>

/* One vector, or an array of them; where it can be, borrowed from the caller's buffer. Zero-initialise. */
typedef struct sf_py_vector {
  Py_buffer view; /* while has_view */
  bool has_view;
  void *copy; /* NULL: none was needed */
  const void *components;
  size_t dim;
  size_t count;         /* rows of an array of two dimensions; else 1 */
  sf_element_type type; /* float32 or float64 */
} sf_py_vector;

/* Takes one vector: 1 when taken; 0 when it is none, and *found is a text that describes it (a new reference); -1 with an
 * exception set. */
int sf_py_vector_take(const sf_py_state *state, PyObject *object, sf_py_vector *vector, PyObject **found);

/* As above; -1 with an exception set that begins with `name` when it is none. */
int sf_py_vector_read(const sf_py_state *state, const char *name, PyObject *object, sf_py_vector *vector);
void sf_py_vector_release(sf_py_vector *vector);

/* Vectors: the rows of an array of two dimensions, or one by one. Zero-initialise. */
typedef struct sf_py_vectors {
  sf_py_vector whole; /* an array of two dimensions */
  size_t count;
  sf_py_vector *each; /* NULL: they are the rows of `whole` */
} sf_py_vectors;

int sf_py_vectors_read(const sf_py_state *state, const char *name, PyObject *object, sf_py_vectors *vectors);
void sf_py_vectors_release(sf_py_vectors *vectors);
/* Points a request at the vector with that number. */
void sf_py_vectors_request(const sf_py_vectors *vectors, size_t index, sf_search_request *request);

#endif
