/*
 * Where the library's threads leave what they have to say: events for the metrics collector, and log messages. They never
 * take the GIL for it; a Python thread takes all that waits when the next operation of the reader ends.
 */
#ifndef SF_PYTHON_SINK_H
#define SF_PYTHON_SINK_H

#include "module.h"

/* Sets the callbacks of the options. The sink has to outlive the reader that is opened with them. */
void sf_py_sink_attach(PyObject *sink, sf_reader_options *options);

#endif
