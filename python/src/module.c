/* The module: its state, its types, and what it says of the library. */
#include "module.h"

#include <string.h>

sf_py_state *sf_py_state_of(PyObject *object) {
  return PyType_GetModuleState(Py_TYPE(object));
}

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

static PyObject *library_version(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
  return PyUnicode_FromString(sf_version());
}

static PyObject *kernel_name(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
  return PyUnicode_FromString(sf_kernel_name());
}

static PyMethodDef functions[] = {
    {"version", library_version, METH_NOARGS, "The version of the library, such as \"0.1.0\"."},
    {"kernel_name", kernel_name, METH_NOARGS,
     "The distance kernels in use: \"avx512\", \"avx2\", \"neon\", \"portable\"."},
    {NULL, NULL, 0, NULL}};

PyObject *sf_py_import(const char *module_name, const char *attribute) {
  PyObject *module = PyImport_ImportModule(module_name);
  PyObject *value = module == NULL ? NULL : PyObject_GetAttrString(module, attribute);
  Py_XDECREF(module);
  return value;
}

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

static int execute(PyObject *module) {
  sf_py_state *state = PyModule_GetState(module);
  state->filled = PyUnicode_InternFromString("filled");
  if (state->filled == NULL)
    return -1;
  if (sf_py_add_errors(module, state) < 0 || sf_py_add_results(module, state) < 0)
    return -1;
  if (sf_py_add_operations(module, state) < 0 || sf_py_add_readers(module, state) < 0)
    return -1;
  return sf_py_add_builders(module, state);
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
  sf_py_state *state = PyModule_GetState(module);
  for (size_t i = 0; i < SF_PY_NUM_CODES; i++)
    Py_VISIT(state->errors[i]);
  Py_VISIT(state->column_type);
  Py_VISIT(state->result_type);
  Py_VISIT(state->response_type);
  Py_VISIT(state->queue_type);
  Py_VISIT(state->operation_type);
  Py_VISIT(state->sink_type);
  Py_VISIT(state->reader_type);
  Py_VISIT(state->builder_type);
  Py_VISIT(state->arrow_stream_type);
  Py_VISIT(state->json_loads);
  Py_VISIT(state->done);
  Py_VISIT(state->set_result);
  Py_VISIT(state->set_exception);
  Py_VISIT(state->filled);
  return 0;
}

static int clear(PyObject *module) {
  sf_py_state *state = PyModule_GetState(module);
  for (size_t i = 0; i < SF_PY_NUM_CODES; i++)
    Py_CLEAR(state->errors[i]);
  Py_CLEAR(state->column_type);
  Py_CLEAR(state->result_type);
  Py_CLEAR(state->response_type);
  Py_CLEAR(state->queue_type);
  Py_CLEAR(state->operation_type);
  Py_CLEAR(state->sink_type);
  Py_CLEAR(state->reader_type);
  Py_CLEAR(state->builder_type);
  Py_CLEAR(state->arrow_stream_type);
  Py_CLEAR(state->json_loads);
  Py_CLEAR(state->done);
  Py_CLEAR(state->set_result);
  Py_CLEAR(state->set_exception);
  Py_CLEAR(state->filled);
  return 0;
}

static void free_module(void *module) {
  clear(module);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, SF_PY_SLOT(execute)},
#ifdef Py_GIL_DISABLED
                                   {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
                                   {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "shardyfusion._core",
    .m_doc = "The library's handles as Python objects. Internal: use the package `shardyfusion`.",
    .m_size = sizeof(sf_py_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void) {
  return PyModuleDef_Init(&definition);
}
