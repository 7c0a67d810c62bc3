/* The module: its types, its state, and functions that describe the library. */
#include "arrow_stream.h"
#include "builder_type.h"
#include "distributed.h"
#include "errors.h"
#include "index.h"
#include "open.h"
#include "operation.h"
#include "reader.h"
#include "response.h"
#include "routing.h"
#include "sink.h"

#include <shardyfusion.h>

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

static int execute(PyObject *module) {
  sf_py_state *state = PyModule_GetState(module);
  state->filled = PyUnicode_InternFromString("filled");
  if (state->filled == NULL)
    return -1;
  if (sf_py_add_errors(module, state) < 0 || sf_py_add_results(module, state) < 0 ||
      sf_py_add_operations(module, state) < 0 || sf_py_add_sinks(module, state) < 0 ||
      sf_py_add_readers(module, state) < 0 || sf_py_add_open(module) < 0 || sf_py_add_builders(module, state) < 0 ||
      sf_py_add_distributed(module) < 0 || sf_py_add_routing(module) < 0 || sf_py_add_index(module) < 0)
    return -1;
  return sf_py_add_arrow_streams(module, state);
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
  return sf_py_state_traverse(PyModule_GetState(module), visit, arg);
}

static int clear(PyObject *module) {
  sf_py_state_clear(PyModule_GetState(module));
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
