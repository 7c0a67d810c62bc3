/* What works on a root: opening a reader, the history, single objects. */
#include "operation.h"
#include "reader.h"

#include <string.h>

/* Every function here begins with these. */
typedef struct root_arguments {
  PyObject *target[2]; /* queue or None, future */
  const char *root;
  PyObject *sink;
} root_arguments;

static int check_target(const sf_py_state *state, const root_arguments *given) {
  if ((given->target[0] == Py_None || Py_TYPE(given->target[0]) == state->queue_type) &&
      Py_TYPE(given->sink) == state->sink_type)
    return 0;
  PyErr_SetString(PyExc_TypeError, "expected a completion queue (or None), a future, a root and a sink");
  return -1;
}

static sf_py_operation *new_operation(const sf_py_state *state, sf_py_kind kind, const root_arguments *given) {
  sf_py_operation *operation = sf_py_operation_new(state, kind, given->target[0], given->target[1]);
  if (operation != NULL)
    operation->sink = Py_NewRef(given->sink);
  return operation;
}

PyObject *sf_py_open(PyObject *module, PyObject *args, PyObject *kwargs) {
  static const char *const names[] = {"queue",
                                      "future",
                                      "root",
                                      "sink",
                                      "cache_dir",
                                      "max_concurrency",
                                      "max_fallback_attempts",
                                      "max_cached_shards",
                                      "preload_shards",
                                      "shard_format",
                                      "manifest",
                                      "manifest_ref",
                                      "published_seconds",
                                      NULL};
  const sf_py_state *state = PyModule_GetState(module);
  root_arguments given;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_manifest_source manifest = SF_MANIFEST_SOURCE_INIT;
  Py_buffer bytes = {0};
  unsigned max_concurrency;
  unsigned max_cached_shards;
  int preload_shards;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOsO$zIiIpzz*zd:open", (char **)(uintptr_t)names, &given.target[0],
                                   &given.target[1], &given.root, &given.sink, &options.cache_dir, &max_concurrency,
                                   &options.max_fallback_attempts, &max_cached_shards, &preload_shards,
                                   &options.shard_format, &bytes, &manifest.ref, &manifest.published_seconds))
    return NULL;
  sf_py_operation *operation = check_target(state, &given) < 0 ? NULL : new_operation(state, SF_PY_OPEN, &given);
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = SF_ERROR;
  if (operation != NULL) {
    options.max_concurrency = max_concurrency;
    options.max_cached_shards = max_cached_shards;
    options.preload_shards = preload_shards != 0;
    manifest.bytes = bytes.buf;
    manifest.length = (size_t)bytes.len;
    options.manifest = manifest.ref != NULL ? &manifest : NULL;
    sf_py_sink_attach(given.sink, &options);
    code = sf_reader_open_submit(given.root, &options, NULL, sf_py_operation_target(given.target[0]), operation,
                                 &submitted, &error);
  }
  PyBuffer_Release(&bytes);
  return operation == NULL ? NULL : sf_py_operation_submitted(operation, given.target[0], submitted, code, &error);
}

PyObject *sf_py_history(PyObject *module, PyObject *args, PyObject *kwargs) {
  static const char *const names[] = {"queue", "future", "root", "sink", "limit", NULL};
  const sf_py_state *state = PyModule_GetState(module);
  root_arguments given;
  Py_ssize_t limit;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOsO$n:history", (char **)(uintptr_t)names, &given.target[0],
                                   &given.target[1], &given.root, &given.sink, &limit) ||
      check_target(state, &given) < 0)
    return NULL;
  sf_py_operation *operation = new_operation(state, SF_PY_HISTORY, &given);
  if (operation == NULL)
    return NULL;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_operation *submitted = NULL;
  sf_error error;
  sf_py_sink_attach(given.sink, &options);
  sf_code code = sf_snapshot_history_submit(given.root, &options, limit < 0 ? 0 : (size_t)limit, NULL,
                                            sf_py_operation_target(given.target[0]), operation, &submitted, &error);
  return sf_py_operation_submitted(operation, given.target[0], submitted, code, &error);
}

PyObject *sf_py_read_object(PyObject *module, PyObject *args, PyObject *kwargs) {
  static const char *const names[] = {"queue", "future", "root", "sink", "reference", NULL};
  const sf_py_state *state = PyModule_GetState(module);
  root_arguments given;
  const char *reference;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOsO$s:read_object", (char **)(uintptr_t)names, &given.target[0],
                                   &given.target[1], &given.root, &given.sink, &reference) ||
      check_target(state, &given) < 0)
    return NULL;
  sf_py_operation *operation = new_operation(state, SF_PY_READ_OBJECT, &given);
  if (operation == NULL)
    return NULL;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_operation *submitted = NULL;
  sf_error error;
  sf_py_sink_attach(given.sink, &options);
  sf_code code = sf_snapshot_read_object_submit(given.root, &options, reference, NULL,
                                                sf_py_operation_target(given.target[0]), operation, &submitted, &error);
  return sf_py_operation_submitted(operation, given.target[0], submitted, code, &error);
}

PyObject *sf_py_check_manifest(PyObject *module, PyObject *args) {
  Py_buffer bytes;
  const char *name;
  sf_error error;
  sf_code code;
  if (!PyArg_ParseTuple(args, "y*s:check_manifest", &bytes, &name))
    return NULL;
  Py_BEGIN_ALLOW_THREADS
  code = sf_manifest_check(bytes.buf, (size_t)bytes.len, name, &error);
  Py_END_ALLOW_THREADS
  PyBuffer_Release(&bytes);
  if (code != SF_OK)
    return sf_py_raise(PyModule_GetState(module), &error);
  Py_RETURN_NONE;
}
