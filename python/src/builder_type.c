#include "builder_type.h"

#include "builder.h"
#include "builder_options.h"
#include "builder_rows.h"
#include "distributed.h"
#include "errors.h"
#include "object.h"
#include "s3.h"
#include "sink.h"

#include <string.h>
#include <unistd.h>

/* How long a thread that closes a builder goes without checking for signals (Ctrl-C). */
#define WAIT_INTERVAL_MS 50

/* ---------------------------------------------------------------------------------------------------------------- Making */

static int make_attributes(sf_py_builder *self) {
  for (size_t i = 0; i < SF_PY_NUM_ATTRIBUTES; i++) {
    self->attributes[i] = PyUnicode_InternFromString(sf_py_attribute_names[i]);
    if (self->attributes[i] == NULL)
      return -1;
  }
  self->has_mutex = pthread_mutex_init(&self->mutex, NULL) == 0;
  if (!self->has_mutex)
    PyErr_NoMemory();
  return self->has_mutex ? 0 : -1;
}

/* Called by the library's threads, without the GIL. */
static bool tell(const sf_build_progress *progress, void *user_data) {
  sf_py_builder *self = user_data;
  pthread_mutex_lock(&self->mutex);
  memcpy(&self->latest, progress, progress->size < sizeof(self->latest) ? progress->size : sizeof(self->latest));
  self->news++;
  pthread_mutex_unlock(&self->mutex);
  return true;
}

static PyObject *create(sf_py_builder *self, const char *root, PyObject *given) {
  sf_py_build_options read = {.options = SF_BUILD_OPTIONS_INIT};
  sf_s3_options s3_options = SF_S3_OPTIONS_INIT;
  PyObject *outcome = NULL;
  sf_operation *operation = NULL;
  PyObject *s3 = Py_XNewRef(PyDict_GetItemString(given, "s3"));
  if (sf_py_build_options_read(sf_py_state_of((PyObject *)self), given, &read) < 0 ||
      sf_py_sink_attach_s3(self->sink, s3, &s3_options) < 0)
    goto done;
  self->dim = read.options.dim;
  self->wants = (uint32_t)read.options.strategy;
  read.options.s3 = s3 != NULL && s3 != Py_None ? &s3_options : NULL;
  read.options.progress = tell;
  read.options.progress_user_data = self;
  sf_py_sink_attach_build(self->sink, &read.options);
  sf_error error;
  sf_code code = sf_executor_create(1, 1, &self->executor, &error);
  read.options.executor = self->executor;
  if (code == SF_OK)
    code = sf_builder_create_submit(root, &read.options, NULL, NULL, &operation, &error);
  if (sf_py_builder_wait(self, code, operation, &error) == 0)
    outcome = Py_NewRef(Py_None);
  /* Also where the call was stopped when all was done: it then is closed. */
  self->builder = operation == NULL ? NULL : sf_operation_take_builder(operation);
  sf_py_builder_release_operation(operation);
done:
  Py_XDECREF(s3);
  sf_py_build_options_release(&read);
  return outcome;
}

static PyObject *construct(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  const char *root;
  PyObject *sink;
  PyObject *progress;
  PyObject *options;
  if (!PyArg_ParseTuple(args, "sOOO:Builder", &root, &sink, &progress, &options) || kwargs != NULL)
    return NULL;
  sf_py_builder *self = (sf_py_builder *)PyType_GenericAlloc(type, 0);
  if (self == NULL)
    return NULL;
  self->process = (long)getpid();
  PyObject *outcome = NULL;
  if (Py_TYPE(sink) != sf_py_state_of((PyObject *)self)->sink_type || !PyDict_Check(options)) {
    PyErr_SetString(PyExc_TypeError, "expected a root, a sink, a function (or None) and a dictionary");
  } else if (make_attributes(self) == 0) {
    self->sink = Py_NewRef(sink);
    self->progress = progress == Py_None ? NULL : Py_NewRef(progress);
    outcome = create(self, root, options);
  }
  Py_XDECREF(outcome);
  if (outcome != NULL)
    return (PyObject *)self;
  Py_DECREF(self);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------------------- Finishing */

static PyObject *describe_shard(const sf_built_shard *shard) {
  return Py_BuildValue("(IzKKIz)", (unsigned)shard->db_id, shard->db_url, (unsigned long long)shard->num_rows,
                       (unsigned long long)shard->num_bytes, (unsigned)shard->attempt, shard->checkpoint_id);
}

/* (run_id, manifest_ref, num_rows, num_dbs, shards that have rows, seconds of the four phases, run_record_ref, manifest). */
PyObject *sf_py_builder_describe(const sf_build_result *result) {
  PyObject *shards = PyList_New(0);
  for (uint32_t i = 0; shards != NULL && i < result->num_dbs; i++) {
    const sf_built_shard *built = sf_build_result_shard(result, i);
    if (built->db_url == NULL)
      continue;
    PyObject *shard = describe_shard(built);
    if (shard == NULL || PyList_Append(shards, shard) < 0)
      Py_CLEAR(shards);
    Py_XDECREF(shard);
  }
  if (shards == NULL)
    return NULL;
  return Py_BuildValue("(ssKIN(dddd)sy#)", result->run_id, result->manifest_ref, (unsigned long long)result->num_rows,
                       (unsigned)result->num_dbs, shards, result->training_seconds, result->writing_seconds,
                       result->finishing_seconds, result->publishing_seconds, result->run_record_ref, result->manifest,
                       (Py_ssize_t)result->manifest_length);
}

static PyObject *finish(PyObject *object, PyObject *unused) {
  (void)unused;
  sf_py_builder *self = (sf_py_builder *)object;
  sf_operation *operation = NULL;
  sf_error error;
  PyObject *outcome = NULL;
  if (sf_py_is_providing())
    return sf_py_fail(sf_py_state_of(object), SF_READER_STATE_ERROR,
                      "the resolve() of a credential provider can't wait for a build");
  if (sf_py_builder_claim(self) < 0)
    return NULL;
  sf_code code = sf_builder_finish_submit(self->builder, NULL, NULL, &operation, &error);
  if (sf_py_builder_wait(self, code, operation, &error) == 0) {
    sf_build_result *result = sf_operation_take_build_result(operation);
    outcome = sf_py_builder_describe(result);
    sf_free(result);
  }
  sf_py_builder_release_operation(operation);
  sf_py_builder_release(self);
  return outcome;
}

/* Waits for the removal of what was written; a signal gives that up. -1 with its exception set. */
static int wait_for_removal(sf_operation *operation) {
  int result = 0;
  for (bool is_finished = false; !is_finished;) {
    Py_BEGIN_ALLOW_THREADS
    is_finished = sf_operation_wait(operation, WAIT_INTERVAL_MS);
    Py_END_ALLOW_THREADS
    if (result < 0 || PyErr_CheckSignals() == 0)
      continue;
    result = -1;
    sf_operation_cancel(operation);
  }
  sf_py_builder_release_operation(operation);
  return result;
}

/* Removes what was written, unless the build has finished. */
static PyObject *close_builder(PyObject *object, PyObject *unused) {
  (void)unused;
  sf_py_builder *self = (sf_py_builder *)object;
  sf_operation *operation = NULL;
  bool is_open;
  SF_PY_BEGIN_LOCK(self);
  is_open = self->builder != NULL;
  SF_PY_END_LOCK;
  if (!is_open || self->process != (long)getpid())
    Py_RETURN_NONE;
  if (sf_py_builder_claim(self) < 0)
    return NULL;
  sf_builder *closed;
  SF_PY_BEGIN_LOCK(self);
  closed = self->builder;
  self->builder = NULL;
  self->is_busy = false;
  SF_PY_END_LOCK;
  /* Where it can't be submitted, it is done at once. */
  Py_BEGIN_ALLOW_THREADS;
  if (sf_builder_free_submit(closed, NULL, NULL, &operation, NULL) != SF_OK)
    operation = NULL;
  Py_END_ALLOW_THREADS;
  if (operation != NULL && wait_for_removal(operation) < 0)
    return NULL;
  Py_RETURN_NONE;
}

/* Closes, and keeps the exception that is set; one of closing is only printed. */
static void close_silently(PyObject *object) {
  PyObject *type;
  PyObject *value;
  PyObject *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyObject *closed = close_builder(object, NULL);
  if (closed == NULL)
    PyErr_WriteUnraisable(object);
  Py_XDECREF(closed);
  PyErr_Restore(type, value, traceback);
}

/* ------------------------------------------------------------------------------------------------------------------ Type */

static int traverse(PyObject *object, visitproc visit, void *arg) {
  const sf_py_builder *self = (sf_py_builder *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->sink);
  Py_VISIT(self->progress);
  return 0;
}

static int clear(PyObject *object) {
  sf_py_builder *self = (sf_py_builder *)object;
  Py_CLEAR(self->progress);
  return 0;
}

static void dealloc(PyObject *object) {
  sf_py_builder *self = (sf_py_builder *)object;
  PyObject_GC_UnTrack(object);
  close_silently(object);
  if (self->executor != NULL && self->process == (long)getpid()) {
    Py_BEGIN_ALLOW_THREADS
    sf_executor_release(self->executor);
    Py_END_ALLOW_THREADS
  }
  clear(object);
  Py_XDECREF(self->sink);
  for (size_t i = 0; i < SF_PY_NUM_ATTRIBUTES; i++)
    Py_XDECREF(self->attributes[i]);
  if (self->has_mutex)
    pthread_mutex_destroy(&self->mutex);
  sf_py_gc_free(object);
}

static PyMethodDef methods[] = {
    {"train", sf_py_builder_train, METH_O, "Trains centroids from the rows of an array, if the sharding needs them."},
    {"add_records", sf_py_builder_add_records, METH_VARARGS,
     "Adds at most the given number of an iterator's records; returns how many were added."},
    {"add_stream", sf_py_builder_add_stream, METH_VARARGS,
     "Adds at most the given number of an Arrow stream's rows; returns how many were added."},
    {"add_array", sf_py_builder_add_array, METH_VARARGS,
     "Adds rows of an array from a first row on, with iterators of ids, payloads, shard ids and contexts; returns how "
     "many were added."},
    {"finish", finish, METH_NOARGS, "Completes and publishes the snapshot; returns what was built."},
    {"artifact", sf_py_builder_artifact, METH_NOARGS,
     "Of a driver: the run id, the number of shards, and the routing artifact as float32 with its number of rows."},
    {"publish", sf_py_builder_publish, METH_VARARGS,
     "Of a driver: publishes the shards that were written elsewhere; returns what was built."},
    {"finish_partition", sf_py_builder_finish_partition, METH_NOARGS,
     "Of a router: completes the partition; returns its token, its number of rows and its extents."},
    {"close", close_builder, METH_NOARGS, "Ends the build; if it has not finished, removes what it wrote."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, SF_PY_SLOT(construct)},
                              {Py_tp_dealloc, SF_PY_SLOT(dealloc)},
                              {Py_tp_traverse, SF_PY_SLOT(traverse)},
                              {Py_tp_clear, SF_PY_SLOT(clear)},
                              {Py_tp_methods, methods},
                              {0, NULL}};

static PyType_Spec spec = {.name = "shardyfusion._core.Builder",
                           .basicsize = sizeof(sf_py_builder),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                           .slots = slots};

int sf_py_add_builders(PyObject *module, sf_py_state *state) {
  state->builder_type = sf_py_add_type(module, &spec, 1);
  return state->builder_type == NULL ? -1 : 0;
}
