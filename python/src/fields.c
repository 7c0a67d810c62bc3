/* What the types of results have in common: they are compared and pickled by the arguments that would make them anew. */
#include "result.h"

PyObject *sf_py_compare(PyObject *left, PyObject *right, int operation, sf_py_fields fields) {
  if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(left) != Py_TYPE(right))
    Py_RETURN_NOTIMPLEMENTED;
  PyObject *left_fields = fields(left);
  PyObject *right_fields = left_fields == NULL ? NULL : fields(right);
  PyObject *same = right_fields == NULL ? NULL : PyObject_RichCompare(left_fields, right_fields, operation);
  Py_XDECREF(left_fields);
  Py_XDECREF(right_fields);
  return same;
}

PyObject *sf_py_reduce(PyObject *object, sf_py_fields fields) {
  PyObject *all = fields(object);
  return all == NULL ? NULL : Py_BuildValue("(ON)", Py_TYPE(object), all);
}
