/* What the types of the extension have in common: how they are made and freed, members that are made once, comparing. */
#ifndef SF_PYTHON_OBJECT_H
#define SF_PYTHON_OBJECT_H

#include "python.h"

/* Makes a type that belongs to the module; it is added under its name when `is_public`. */
PyTypeObject *sf_py_add_type(PyObject *module, PyType_Spec *spec, int is_public);

/* An attribute of a module, which is imported when it is not yet: a new reference. */
PyObject *sf_py_import(const char *module_name, const char *attribute);

/* A member that is set once, when it is first needed: a new reference, or NULL where it is not set yet. */
PyObject *sf_py_kept(PyObject *owner, PyObject *const *member);
/* Sets it to what was made (taken over; NULL: an exception is set), unless another thread came first: a new reference to what
 * the member has. */
PyObject *sf_py_keep(PyObject *owner, PyObject **member, PyObject *made);

/* Frees an instance of a type that was made here. */
void sf_py_free(PyObject *object);
void sf_py_gc_free(PyObject *object);

/* Results are compared and pickled by the arguments that would make them anew. ------------------------------------ */

/* The arguments of the constructor that would make the object anew: a new tuple, or NULL with an exception set. */
typedef PyObject *(*sf_py_fields)(PyObject *object);

/* For tp_richcompare: equal when the types and the fields are. */
PyObject *sf_py_compare(PyObject *left, PyObject *right, int operation, sf_py_fields fields);
/* For tp_hash: that of the fields, where all of them have one; else a TypeError. */
Py_hash_t sf_py_hash(PyObject *object, sf_py_fields fields);
/* For __reduce__. */
PyObject *sf_py_reduce(PyObject *object, sf_py_fields fields);

#endif
