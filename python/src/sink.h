/*
 * A queue of events (for the metrics collector) and log messages. The library's threads append to it without the GIL; a
 * Python thread takes all of them when the next operation of the reader ends.
 */
#ifndef SF_PYTHON_SINK_H
#define SF_PYTHON_SINK_H

#include "state.h"

#include <shardyfusion/build.h>
#include <shardyfusion/reader.h>

/* Sets the callbacks of the options. The sink has to outlive the reader, or builder, that is made with them. */
void sf_py_sink_attach(PyObject *sink, sf_reader_options *options);
void sf_py_sink_attach_build(PyObject *sink, sf_build_options *options);

/* Sets the callback for log messages. The sink has to outlive what they are the options of. */
void sf_py_sink_attach_log(PyObject *sink, sf_log_callback *log, void **user_data);

/* What s3.c keeps in a sink. */
typedef struct sf_py_credentials {
  PyObject *provider; /* NULL: none */
  PyObject *failure;  /* the last exception that it raised; NULL: none */
} sf_py_credentials;
sf_py_credentials *sf_py_sink_credentials(PyObject *sink);

/* Adds the type; -1 with an exception set when it can't. */
int sf_py_add_sinks(PyObject *module, sf_py_state *state);

#endif
