/*
 * Where the library's threads leave what they have to say: events for the metrics collector, and log messages. They never
 * take the GIL for it; a Python thread takes all that waits when the next operation of the reader ends.
 */
#ifndef SF_PYTHON_SINK_H
#define SF_PYTHON_SINK_H

#include "module.h"

/* Sets the callbacks of the options. The sink has to outlive the reader, or builder, that is made
 * with them. */
void sf_py_sink_attach(PyObject *sink, sf_reader_options *options);
void sf_py_sink_attach_build(PyObject *sink, sf_build_options *options);

/* How object storage is reached, as `core_options` of shardyfusion/s3.py has it; None: all from the environment. What it
 * points to is the dictionary's. Its `credential_provider` is asked by the library's threads, which take the GIL for it.
 * -1 with an exception set when a value is not what it should be. */
int sf_py_sink_attach_s3(PyObject *sink, PyObject *s3, sf_s3_options *options);

/* Whether this thread is one of the library's, which asks a credential provider: what waits for the library there would
 * wait for itself. */
bool sf_py_is_providing(void);

/* The exception that the credential provider raised, where that is why an operation failed: a new reference, or NULL. */
PyObject *sf_py_sink_take_failure(PyObject *sink, const sf_error *error);

/* For sink.c: lets go of, and visits, what the above keeps. */
typedef struct sf_py_credentials {
  PyObject *provider; /* NULL: none */
  PyObject *failure;  /* the last exception that it raised; NULL: none */
} sf_py_credentials;
sf_py_credentials *sf_py_sink_credentials(PyObject *sink);

#endif
