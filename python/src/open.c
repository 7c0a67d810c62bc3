#include "open.h"

#include "errors.h"
#include "operation.h"
#include "reader.h"
#include "s3.h"
#include "sink.h"

#include <shardyfusion/objects.h>

#include <string.h>

static PyObject *take_reader(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  return sf_py_reader_new(state, sf_operation_take_reader(operation), self->sink);
}

static PyObject *take_history(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  (void)state, (void)self;
  size_t count;
  sf_published_manifest *manifests = sf_operation_take_history(operation, &count);
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list != NULL && i < count; i++) {
    const sf_published_manifest *manifest = sf_published_manifest_at(manifests, i);
    PyObject *row = Py_BuildValue("(sssO)", manifest->ref, manifest->run_id, manifest->published_at,
                                  manifest->is_live ? Py_True : Py_False);
    if (row == NULL)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)i, row);
  }
  sf_free(manifests);
  return list;
}

static PyObject *take_object(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  (void)state, (void)self;
  size_t length;
  void *bytes = sf_operation_take_object(operation, &length);
  PyObject *object = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)length);
  sf_free(bytes);
  return object;
}

/* The arguments that every function here takes, and the library's options from them. */
typedef struct root_call {
  PyObject *target[2]; /* queue or None, future */
  const char *root;
  PyObject *sink;
  PyObject *s3; /* NULL or None: all from the environment */
  sf_reader_options options;
  sf_s3_options s3_options;
} root_call;

/* Makes the operation and the options; NULL with an exception set. */
static sf_py_operation *begin(const sf_py_state *state, sf_py_take take, root_call *call) {
  if ((call->target[0] != Py_None && Py_TYPE(call->target[0]) != state->queue_type) ||
      Py_TYPE(call->sink) != state->sink_type) {
    PyErr_SetString(PyExc_TypeError, "expected a completion queue (or None), a future, a root and a sink");
    return NULL;
  }
  call->s3_options = (sf_s3_options)SF_S3_OPTIONS_INIT;
  if (sf_py_sink_attach_s3(call->sink, call->s3, &call->s3_options) < 0)
    return NULL;
  call->options.s3 = call->s3 != NULL && call->s3 != Py_None ? &call->s3_options : NULL;
  sf_py_sink_attach(call->sink, &call->options);
  sf_py_operation *operation = sf_py_operation_new(state, take, call->target[0], call->target[1]);
  if (operation != NULL)
    operation->sink = Py_NewRef(call->sink);
  return operation;
}

static PyObject *open_reader(PyObject *module, PyObject *args, PyObject *kwargs) {
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
                                      "s3",
                                      "max_cache_bytes",
                                      "thread_nice",
                                      "max_filter_bytes",
                                      NULL};
  root_call call = {.options = SF_READER_OPTIONS_INIT};
  sf_reader_options *options = &call.options;
  sf_manifest_source manifest = SF_MANIFEST_SOURCE_INIT;
  Py_buffer bytes = {0};
  int preload_shards = 0;
  unsigned long long max_cache_bytes = 0;
  unsigned long long max_filter_bytes = 0;
  if (!PyArg_ParseTupleAndKeywords(
          args, kwargs, "OOsO|$zIiIpzz*zdOKIK:open", (char **)(uintptr_t)names, &call.target[0], &call.target[1],
          &call.root, &call.sink, &options->cache_dir, &options->max_concurrency, &options->max_fallback_attempts,
          &options->max_cached_shards, &preload_shards, &options->shard_format, &bytes, &manifest.ref,
          &manifest.published_seconds, &call.s3, &max_cache_bytes, &options->thread_nice, &max_filter_bytes))
    return NULL;
  options->max_cache_bytes = max_cache_bytes;
  options->max_filter_bytes = max_filter_bytes;
  options->preload_shards = preload_shards != 0;
  manifest.bytes = bytes.buf;
  manifest.length = (size_t)bytes.len;
  options->manifest = manifest.ref != NULL ? &manifest : NULL;
  sf_py_operation *operation = begin(PyModule_GetState(module), take_reader, &call);
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = SF_ERROR;
  if (operation != NULL)
    code = sf_reader_open_submit(call.root, options, NULL, sf_py_operation_target(call.target[0]), operation,
                                 &submitted, &error);
  PyBuffer_Release(&bytes);
  return operation == NULL ? NULL : sf_py_operation_submitted(operation, call.target[0], submitted, code, &error);
}

static PyObject *history(PyObject *module, PyObject *args, PyObject *kwargs) {
  static const char *const names[] = {"queue", "future", "root", "sink", "limit", "s3", NULL};
  root_call call = {.options = SF_READER_OPTIONS_INIT};
  Py_ssize_t limit = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOsO|$nO:history", (char **)(uintptr_t)names, &call.target[0],
                                   &call.target[1], &call.root, &call.sink, &limit, &call.s3))
    return NULL;
  sf_py_operation *operation = begin(PyModule_GetState(module), take_history, &call);
  if (operation == NULL)
    return NULL;
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = sf_snapshot_history_submit(call.root, &call.options, limit < 0 ? 0 : (size_t)limit, NULL,
                                            sf_py_operation_target(call.target[0]), operation, &submitted, &error);
  return sf_py_operation_submitted(operation, call.target[0], submitted, code, &error);
}

static PyObject *read_object(PyObject *module, PyObject *args, PyObject *kwargs) {
  static const char *const names[] = {"queue", "future", "root", "sink", "reference", "s3", NULL};
  root_call call = {.options = SF_READER_OPTIONS_INIT};
  const char *reference = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOsO|$sO:read_object", (char **)(uintptr_t)names, &call.target[0],
                                   &call.target[1], &call.root, &call.sink, &reference, &call.s3))
    return NULL;
  sf_py_operation *operation = begin(PyModule_GetState(module), take_object, &call);
  if (operation == NULL)
    return NULL;
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = sf_snapshot_read_object_submit(call.root, &call.options, reference, NULL,
                                                sf_py_operation_target(call.target[0]), operation, &submitted, &error);
  return sf_py_operation_submitted(operation, call.target[0], submitted, code, &error);
}

/* Of a read or an ETag, the bytes or None; of a listing, the names. */
static PyObject *take_answer(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  (void)state;
  sf_object_answer *answer = sf_operation_take_object_answer(operation);
  sf_object_action action = (sf_object_action)self->count;
  PyObject *taken = NULL;
  if (action == SF_OBJECT_READ || action == SF_OBJECT_ETAG)
    taken = answer->found ? PyBytes_FromStringAndSize(answer->bytes, (Py_ssize_t)answer->length) : Py_NewRef(Py_None);
  else if (action == SF_OBJECT_WRITE)
    taken = Py_NewRef(Py_None);
  else
    taken = PyList_New(0);
  for (size_t i = 0; taken != NULL && i < answer->num_names; i++) {
    PyObject *name = PyUnicode_DecodeUTF8(answer->names[i], (Py_ssize_t)strlen(answer->names[i]), "surrogateescape");
    if (name == NULL || PyList_Append(taken, name) < 0)
      Py_CLEAR(taken);
    Py_XDECREF(name);
  }
  sf_free(answer);
  return taken;
}

static PyObject *call_object(PyObject *module, PyObject *args, PyObject *kwargs) {
  static const char *const names[] = {"queue", "future", "root", "sink", "action", "key", "bytes", "s3", NULL};
  root_call call = {.options = SF_READER_OPTIONS_INIT};
  sf_object_request request = SF_OBJECT_REQUEST_INIT;
  Py_buffer bytes = {0};
  int action = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOsO|$isz*O:call_object", (char **)(uintptr_t)names, &call.target[0],
                                   &call.target[1], &call.root, &call.sink, &action, &request.key, &bytes, &call.s3))
    return NULL;
  request.action = (sf_object_action)action;
  request.bytes = bytes.buf;
  request.length = (size_t)bytes.len;
  sf_py_operation *operation = begin(PyModule_GetState(module), take_answer, &call);
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = SF_ERROR;
  if (operation != NULL) {
    operation->count = (size_t)action;
    code = sf_object_call_submit(call.root, call.options.s3, &request, NULL, sf_py_operation_target(call.target[0]),
                                 operation, &submitted, &error);
  }
  if (bytes.obj != NULL)
    PyBuffer_Release(&bytes);
  return operation == NULL ? NULL : sf_py_operation_submitted(operation, call.target[0], submitted, code, &error);
}

static PyObject *check_manifest(PyObject *module, PyObject *args) {
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

static PyMethodDef functions[] = {{"open", SF_PY_METHOD(open_reader), METH_VARARGS | METH_KEYWORDS, NULL},
                                  {"history", SF_PY_METHOD(history), METH_VARARGS | METH_KEYWORDS, NULL},
                                  {"read_object", SF_PY_METHOD(read_object), METH_VARARGS | METH_KEYWORDS, NULL},
                                  {"call_object", SF_PY_METHOD(call_object), METH_VARARGS | METH_KEYWORDS, NULL},
                                  {"check_manifest", check_manifest, METH_VARARGS, NULL},
                                  {NULL, NULL, 0, NULL}};

int sf_py_add_open(PyObject *module) {
  return PyModule_AddFunctions(module, functions);
}
