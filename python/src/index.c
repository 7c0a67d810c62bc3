/* Making lists for a snapshot: a call that Ctrl-C stops. */
#include "index.h"

#include "arguments.h"
#include "errors.h"
#include "s3.h"
#include "sink.h"

#include <shardyfusion/build.h>

/* How long the caller's thread goes without checking for signals. */
#define WAIT_INTERVAL_MS 50

static int read_integer(PyObject *given, const char *name, uint64_t *number) {
  PyObject *value = PyDict_GetItemString(given, name);
  unsigned long long read = value == NULL ? 0 : PyLong_AsUnsignedLongLong(value);
  if (PyErr_Occurred())
    return -1;
  *number = read;
  return 0;
}

static int read_text(const sf_py_state *state, PyObject *given, const char *name, const char **text) {
  PyObject *value = PyDict_GetItemString(given, name);
  return value == NULL || value == Py_None ? 0 : sf_py_text(state, name, value, text);
}

/* `root` and `options` point into the dictionary. */
static int read_options(const sf_py_state *state, PyObject *sink, PyObject *given, const char **root,
                        sf_s3_options *s3_options, sf_index_options *options) {
  uint64_t num_lists;
  uint64_t num_threads;
  uint64_t force;
  if (Py_TYPE(sink) != state->sink_type) {
    PyErr_SetString(PyExc_TypeError, "expected a sink");
    return -1;
  }
  if (read_text(state, given, "root", root) < 0 || read_text(state, given, "cache_dir", &options->cache_dir) < 0 ||
      read_integer(given, "num_lists", &num_lists) < 0 || read_integer(given, "num_threads", &num_threads) < 0 ||
      read_integer(given, "force", &force) < 0 || read_integer(given, "seed", &options->seed) < 0 ||
      read_integer(given, "max_memory_bytes", &options->max_memory_bytes) < 0)
    return -1;
  options->num_lists = (uint32_t)num_lists;
  options->num_threads = (uint32_t)num_threads;
  options->force = force != 0;
  sf_py_sink_attach_log(sink, &options->log, &options->log_user_data);
  PyObject *s3 = PyDict_GetItemString(given, "s3");
  if (s3 == NULL || s3 == Py_None)
    return 0;
  options->s3 = s3_options;
  return sf_py_sink_attach_s3(sink, s3, s3_options);
}

/* -1 with an exception set where a signal has cancelled the operation. */
static int wait_for_end(sf_operation *operation) {
  bool is_finished = false;
  bool is_stopped = false;
  while (!is_finished) {
    Py_BEGIN_ALLOW_THREADS
    is_finished = sf_operation_wait(operation, is_stopped ? -1 : WAIT_INTERVAL_MS);
    Py_END_ALLOW_THREADS
    if (is_stopped || PyErr_CheckSignals() == 0)
      continue;
    is_stopped = true;
    sf_operation_cancel(operation);
  }
  return is_stopped ? -1 : 0;
}

static PyObject *describe(const sf_index_result *result) {
  return Py_BuildValue("(sOIKKKd)", result->manifest_ref, result->is_published ? Py_True : Py_False,
                       (unsigned)result->num_shards, (unsigned long long)result->num_rows,
                       (unsigned long long)result->num_lists, (unsigned long long)result->num_bytes, result->seconds);
}

static PyObject *finish(const sf_py_state *state, PyObject *sink, sf_operation *operation) {
  sf_error error;
  if (wait_for_end(operation) < 0)
    return NULL;
  if (sf_operation_result(operation, &error) != SF_OK)
    return sf_py_raise_failure(state, sink, &error);
  sf_index_result *result = sf_operation_take_index_result(operation);
  PyObject *outcome = describe(result);
  sf_free(result);
  return outcome;
}

static PyObject *index_snapshot(PyObject *module, PyObject *args) {
  const sf_py_state *state = PyModule_GetState(module);
  PyObject *sink;
  PyObject *given;
  const char *root = NULL;
  sf_s3_options s3 = SF_S3_OPTIONS_INIT;
  sf_index_options options = SF_INDEX_OPTIONS_INIT;
  sf_operation *operation = NULL;
  sf_error error;
  if (!PyArg_ParseTuple(args, "OO!:index_snapshot", &sink, &PyDict_Type, &given) ||
      read_options(state, sink, given, &root, &s3, &options) < 0)
    return NULL;
  if (sf_snapshot_index_submit(root, &options, NULL, NULL, NULL, &operation, &error) != SF_OK)
    return sf_py_raise_failure(state, sink, &error);
  PyObject *outcome = finish(state, sink, operation);
  Py_BEGIN_ALLOW_THREADS
  sf_operation_release(operation);
  Py_END_ALLOW_THREADS
  return outcome;
}

static PyMethodDef functions[] = {
    {"index_snapshot", index_snapshot, METH_VARARGS, "Makes lists for a snapshot; returns what was made."},
    {NULL, NULL, 0, NULL}};

int sf_py_add_index(PyObject *module) {
  return PyModule_AddFunctions(module, functions);
}
