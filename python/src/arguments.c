#include "arguments.h"

#include "errors.h"
#include "object.h"

#include <string.h>

int sf_py_text(const sf_py_state *state, const char *name, PyObject *value, const char **text) {
  Py_ssize_t length = 0;
  *text = PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, &length) : NULL;
  if (*text != NULL && strlen(*text) == (size_t)length)
    return 0;
  if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_UnicodeError))
    return -1;
  PyErr_Clear();
  return sf_py_fail_found(state, value, "%s: expected text that UTF-8 has and no NUL", name);
}

PyObject *sf_py_scalar(PyObject *value) {
  PyObject *function = sf_py_import("shardyfusion._values", "scalar");
  PyObject *plain = function == NULL ? NULL : PyObject_CallFunctionObjArgs(function, value, NULL);
  Py_XDECREF(function);
  return plain;
}

PyObject *sf_py_index(PyObject *value) {
  PyObject *index = PyNumber_Index(value);
  if (index != NULL || !PyErr_ExceptionMatches(PyExc_TypeError))
    return index;
  PyErr_Clear();
  PyObject *plain = sf_py_scalar(value);
  index = plain == NULL ? NULL : PyNumber_Index(plain);
  Py_XDECREF(plain);
  return index;
}
