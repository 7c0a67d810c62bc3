/* Access to object storage: options, and credentials from a Python object. */
#ifndef SF_PYTHON_S3_H
#define SF_PYTHON_S3_H

#include "state.h"

#include <shardyfusion/storage.h>

/* Reads how to access object storage from a dictionary that `core_options` of shardyfusion/s3.py made; None: all from the
 * environment. The options point into the dictionary. Its `credential_provider` is asked by the library's threads, which take the GIL for it.
 * -1 with an exception set when a value is not what it should be. */
int sf_py_sink_attach_s3(PyObject *sink, PyObject *s3, sf_s3_options *options);

/* Whether this thread is one of the library's that calls a credential provider: waiting for the library there would
 * deadlock. */
bool sf_py_is_providing(void);

/* The exception that the credential provider raised, where that is why an operation failed: a new reference, or NULL. */
PyObject *sf_py_sink_take_failure(PyObject *sink, const sf_error *error);

/* Raises that exception, or else the error's own. Returns NULL. */
PyObject *sf_py_raise_failure(const sf_py_state *state, PyObject *sink, const sf_error *error);

#endif
