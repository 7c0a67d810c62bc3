/* The reader's handle. */
#ifndef SF_PYTHON_READER_H
#define SF_PYTHON_READER_H

#include "module.h"

typedef struct sf_py_reader {
  PyObject_HEAD
  sf_reader *reader;
  PyObject *sink; /* outlives the reader */
  long process;
  uint64_t route_cost; /* components that routing one query looks at */
} sf_py_reader;

/* Takes over a reader of the library (freed on failure, too). */
PyObject *sf_py_reader_new(const sf_py_state *state, sf_reader *reader, PyObject *sink);

/* reader_info.c: what is being served, as tuples. */
PyObject *sf_py_reader_snapshot_info(PyObject *self, PyObject *unused);
PyObject *sf_py_reader_shard_details(PyObject *self, PyObject *unused);
PyObject *sf_py_reader_health(PyObject *self, PyObject *threshold);
PyObject *sf_py_reader_manifest_ref(PyObject *self, PyObject *unused);

/* open.c: what works on a root rather than on a reader. */
PyObject *sf_py_open(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *sf_py_history(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *sf_py_read_object(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *sf_py_check_manifest(PyObject *module, PyObject *args);

extern PyType_Spec sf_py_sink_spec;

#endif
