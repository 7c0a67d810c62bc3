/*
 * CPython's headers, by its limited API of 3.11, so that one binary serves that version and all later ones. A free-threaded
 * CPython has no limited API (up to 3.14): it gets a binary of its own.
 *
 * The extension `shardyfusion._core` has Python objects over the library's handles, and nothing that the library does itself.
 *
 * Threads: everything runs with the GIL held unless a comment says otherwise. Where there is no GIL, the members of an object
 * that change after it was made are guarded by the object's critical section, SF_PY_BEGIN_LOCK. Nothing that may run Python
 * code is called in it: that could let another thread in, as with the GIL. The library's own threads never touch Python
 * objects: their events and log messages wait in a sink until a Python thread takes them.
 */
#ifndef SF_PYTHON_PYTHON_H
#define SF_PYTHON_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <pyconfig.h>
#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x030b0000
#endif
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Between the two, one thread at a time for each object; with a GIL that is so anyway. No `return` or `goto` leaves. */
#ifdef Py_GIL_DISABLED
#define SF_PY_BEGIN_LOCK(object) Py_BEGIN_CRITICAL_SECTION((PyObject *)(object))
#define SF_PY_END_LOCK Py_END_CRITICAL_SECTION()
#else
#define SF_PY_BEGIN_LOCK(object)                                                                                       \
  {                                                                                                                    \
    (void)(object);
#define SF_PY_END_LOCK }
#endif

/* A slot of a type specification takes an object pointer, also for functions. */
#define SF_PY_SLOT(function) ((void *)(uintptr_t)(function))
/* A method whose signature, by its METH_ flags, is not PyCFunction's. */
#define SF_PY_METHOD(function) ((PyCFunction)(void (*)(void))(function))

#endif
