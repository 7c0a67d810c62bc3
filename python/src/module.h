/*
 * The extension `shardyfusion._core`: Python objects over the library's handles, and nothing that the library does itself.
 * It is built against CPython's limited API of 3.11, so that one binary serves that version and all later ones. A
 * free-threaded CPython has no limited API (up to 3.14): it gets a binary of its own.
 *
 * Threads: everything here runs with the GIL held unless a comment says otherwise. Where there is no GIL, what an object
 * changes after it was made is guarded by its critical section, SF_PY_BEGIN_LOCK, in which nothing is called that may run
 * Python code: that could let another thread in, just as with the GIL. The library's own threads never touch Python objects:
 * what they have to say (events, log messages) waits in a sink until a Python thread takes it.
 */
#ifndef SF_PYTHON_MODULE_H
#define SF_PYTHON_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <pyconfig.h>
#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x030b0000
#endif
#include <Python.h>

#include <shardyfusion.h>

/* One thread at a time between the two, for each object. With a GIL that is so anyway. No `return` or `goto` leaves. */
#ifdef Py_GIL_DISABLED
#define SF_PY_BEGIN_LOCK(object) Py_BEGIN_CRITICAL_SECTION((PyObject *)(object))
#define SF_PY_END_LOCK Py_END_CRITICAL_SECTION()
#else
#define SF_PY_BEGIN_LOCK(object)                                                                                       \
  {                                                                                                                    \
    (void)(object);
#define SF_PY_END_LOCK }
#endif

#define SF_PY_NUM_CODES 16

/* What the module's objects share. */
typedef struct sf_py_state {
  PyObject *errors[SF_PY_NUM_CODES]; /* exception types, by sf_code; NULL where there is none */
  PyTypeObject *column_type;
  PyTypeObject *result_type;
  PyTypeObject *response_type;
  PyTypeObject *queue_type;
  PyTypeObject *operation_type;
  PyTypeObject *sink_type;
  PyTypeObject *reader_type;
  PyTypeObject *builder_type;
  PyTypeObject *arrow_stream_type;
  PyObject *json_loads; /* NULL: not asked for yet */
  PyObject *done;       /* the names of a future's methods */
  PyObject *set_result;
  PyObject *set_exception;
  PyObject *filled; /* the name of what masked arrays have and others have not */
} sf_py_state;

/* Of the module that made the type of `object` (whose type is never a subtype). */
sf_py_state *sf_py_state_of(PyObject *object);

/* A slot of a type specification takes an object pointer, also for functions. */
#define SF_PY_SLOT(function) ((void *)(uintptr_t)(function))
/* A method with another signature than PyCFunction's, as its METH_ flags tell. */
#define SF_PY_METHOD(function) ((PyCFunction)(void (*)(void))(function))

/* Each room adds its types or functions to the module; -1 with an exception set when it can't. */
int sf_py_add_errors(PyObject *module, sf_py_state *state);
int sf_py_add_results(PyObject *module, sf_py_state *state);
int sf_py_add_operations(PyObject *module, sf_py_state *state);
int sf_py_add_readers(PyObject *module, sf_py_state *state);
int sf_py_add_builders(PyObject *module, sf_py_state *state);

/* Makes a type that belongs to the module; it is added under its name when `is_public`. */
PyTypeObject *sf_py_add_type(PyObject *module, PyType_Spec *spec, int is_public);

/* An attribute of a module, which is imported when it is not yet: a new reference. */
PyObject *sf_py_import(const char *module_name, const char *attribute);

/* A member that is set once, when it is first asked for: a new reference, or NULL where it is not set yet. */
PyObject *sf_py_kept(PyObject *owner, PyObject *const *member);
/* Sets it to what was made (taken over; NULL: an exception is set), unless another thread came first: a new reference to what
 * the member has. */
PyObject *sf_py_keep(PyObject *owner, PyObject **member, PyObject *made);

/* Frees an instance of a type that was made here. */
void sf_py_free(PyObject *object);
void sf_py_gc_free(PyObject *object);

/* errors.c: from the library's errors to exceptions. ------------------------------------------------------------ */

/* A new exception of the type that belongs to the error's code; NULL with an exception set when that fails. */
PyObject *sf_py_make_error(const sf_py_state *state, const sf_error *error);
/* Raises it; returns NULL. */
PyObject *sf_py_raise(const sf_py_state *state, const sf_error *error);
/* Raises a message of this layer, without its middle where it is longer than a few lines. Returns NULL. */
PyObject *sf_py_fail(const sf_py_state *state, sf_code code, const char *format, ...);

/* What a message says of a value: its type, and as much of it as a line has room for. A new reference; NULL with an
 * exception set where memory or the caller's patience ends, but not where the value's own code fails. No exception may be
 * set. */
PyObject *sf_py_describe(PyObject *value);

/* Raises a ConfigValidationError, "message, found value", in place of the exception that may be set: what that says follows.
 * Returns -1. */
int sf_py_fail_found(const sf_py_state *state, PyObject *value, const char *format, ...);

/* The UTF-8 of a string, which holds it. -1 with a ConfigValidationError set where it is none, has a NUL, or can't be
 * encoded. */
int sf_py_text(const sf_py_state *state, const char *name, PyObject *value, const char **text);

/* An integer from what has __index__, or is a scalar of an array library that holds one: a new reference. NULL with an
 * exception set, a TypeError where it is none. */
PyObject *sf_py_index(PyObject *value);

/* The Python value of a scalar of an array library; all else as it is. A new reference, NULL with an exception set. */
PyObject *sf_py_scalar(PyObject *value);

#endif
