#include "object.h"

PyTypeObject *sf_py_add_type(PyObject *module, PyType_Spec *spec, int is_public) {
  PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
  if (type == NULL)
    return NULL;
  if (is_public && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
    Py_DECREF(type);
    return NULL;
  }
  return (PyTypeObject *)type;
}

PyObject *sf_py_kept(PyObject *owner, PyObject *const *member) {
  PyObject *kept;
  SF_PY_BEGIN_LOCK(owner);
  kept = Py_XNewRef(*member);
  SF_PY_END_LOCK;
  return kept;
}

PyObject *sf_py_keep(PyObject *owner, PyObject **member, PyObject *made) {
  PyObject *kept;
  if (made == NULL)
    return NULL;
  SF_PY_BEGIN_LOCK(owner);
  if (*member == NULL)
    *member = Py_NewRef(made);
  kept = Py_NewRef(*member);
  SF_PY_END_LOCK;
  Py_DECREF(made);
  return kept;
}

void sf_py_free(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  PyObject_Free(object);
  Py_DECREF(type);
}

void sf_py_gc_free(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  PyObject_GC_Del(object);
  Py_DECREF(type);
}

PyObject *sf_py_import(const char *module_name, const char *attribute) {
  PyObject *module = PyImport_ImportModule(module_name);
  PyObject *value = module == NULL ? NULL : PyObject_GetAttrString(module, attribute);
  Py_XDECREF(module);
  return value;
}

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

Py_hash_t sf_py_hash(PyObject *object, sf_py_fields fields) {
  PyObject *all = fields(object);
  Py_hash_t hash = all == NULL ? -1 : PyObject_Hash(all);
  Py_XDECREF(all);
  return hash;
}

PyObject *sf_py_reduce(PyObject *object, sf_py_fields fields) {
  PyObject *all = fields(object);
  return all == NULL ? NULL : Py_BuildValue("(ON)", Py_TYPE(object), all);
}
