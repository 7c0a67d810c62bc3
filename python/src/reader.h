/* The reader's handle. */
#ifndef SF_PYTHON_READER_H
#define SF_PYTHON_READER_H

#include "state.h"

#include <shardyfusion/reader.h>

typedef struct sf_py_reader {
  PyObject_HEAD
  sf_reader *reader;
  PyObject *sink; /* outlives the reader */
  long process;
  uint64_t route_cost; /* components that routing one query reads */
} sf_py_reader;

/* Takes over a reader of the library (freed on failure, too). */
PyObject *sf_py_reader_new(const sf_py_state *state, sf_reader *reader, PyObject *sink);

/* Adds the type; -1 with an exception set when it can't. */
int sf_py_add_readers(PyObject *module, sf_py_state *state);

#endif
