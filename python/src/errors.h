/* From the library's errors to exceptions of Python. */
#ifndef SF_PYTHON_ERRORS_H
#define SF_PYTHON_ERRORS_H

#include "state.h"

#include <shardyfusion/error.h>

/* A new exception of the type that belongs to the error's code; NULL with an exception set when that fails. */
PyObject *sf_py_make_error(const sf_py_state *state, const sf_error *error);
/* Raises it; returns NULL. */
PyObject *sf_py_raise(const sf_py_state *state, const sf_error *error);
/* Raises a message of this layer, without its middle where it is longer than a few lines. Returns NULL. */
PyObject *sf_py_fail(const sf_py_state *state, sf_code code, const char *format, ...);

/* A value in a message: its type, and as much of it as fits into a line. A new reference; NULL with an exception set where
 * memory is out or a signal interrupts, but not where the value's own code fails. No exception may be set. */
PyObject *sf_py_describe(PyObject *value);

/* Raises a ConfigValidationError, "message, found value", in place of the exception that may be set: what that says follows.
 * Returns -1. */
int sf_py_fail_found(const sf_py_state *state, PyObject *value, const char *format, ...);

/* Makes the exception types and adds them to the module; -1 with an exception set when it can't. */
int sf_py_add_errors(PyObject *module, sf_py_state *state);

#endif
