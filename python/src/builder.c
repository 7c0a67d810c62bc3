/*
 * Builder: rows from Python objects to a snapshot.
 *
 * Rows are added, and centroids trained, by the calling thread, without the GIL. What the library tells meanwhile comes to
 * `tell` on that thread, which takes the GIL back now and then, to look for signals and to call the caller's `progress`. A
 * build is finished by a thread of the library: there `tell` only notes how far it is, for the thread that waits.
 */
#include "arrow_stream.h"
#include "operation.h"
#include "query.h"
#include "sink.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long the caller's thread goes without looking for signals (Ctrl-C). */
#define TELL_INTERVAL_NANOSECONDS 50000000
#define WAIT_INTERVAL_MS 50

/* The attributes of a record, as VectorRecord has them. */
enum { ID, VECTOR, PAYLOAD, SHARD_ID, ROUTING_CONTEXT, NUM_ATTRIBUTES };
static const char *const attribute_names[NUM_ATTRIBUTES] = {"id", "vector", "payload", "shard_id", "routing_context"};

typedef struct builder {
  PyObject_HEAD
  sf_builder *builder; /* NULL: closed */
  PyObject *sink;      /* outlives the library's builder */
  PyObject *progress;  /* NULL: nobody listens */
  PyObject *attributes[NUM_ATTRIBUTES];
  PyThreadState *thread; /* that called, and let go of the GIL; NULL: none */
  uint64_t told_at;
  pthread_mutex_t mutex; /* guards `latest` */
  bool has_mutex;
  sf_build_progress latest;
  uint64_t news; /* counts what came to `latest`; guarded, too */
  bool is_busy;
  long process;
  size_t dim;
  uint32_t wants; /* whether rows have shard ids or routing contexts: the sharding strategy */
  unsigned long long num_rows;
} builder;

static sf_py_state *state_of(builder *self) {
  return sf_py_state_of((PyObject *)self);
}

/* -------------------------------------------------------------------------------------------------------------- Progress */

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

/* With the GIL: looks for signals, and tells the caller. -1 with an exception set where either wants the build to stop. */
static int report(builder *self, const sf_build_progress *progress) {
  if (PyErr_CheckSignals() < 0)
    return -1;
  if (self->progress == NULL)
    return 0;
  PyObject *done = PyObject_CallFunction(self->progress, "sKIIK", sf_build_phase_name(progress->phase),
                                         (unsigned long long)progress->rows, (unsigned)progress->shards_done,
                                         (unsigned)progress->shards_total, (unsigned long long)progress->bytes_done);
  Py_XDECREF(done);
  return done == NULL ? -1 : 0;
}

static bool tell(const sf_build_progress *progress, void *user_data) {
  builder *self = user_data;
  pthread_mutex_lock(&self->mutex);
  memcpy(&self->latest, progress, progress->size < sizeof(self->latest) ? progress->size : sizeof(self->latest));
  self->news++;
  pthread_mutex_unlock(&self->mutex);
  if (self->thread == NULL || now() - self->told_at < TELL_INTERVAL_NANOSECONDS)
    return true;
  PyEval_RestoreThread(self->thread);
  bool goes_on = report(self, progress) == 0;
  self->thread = PyEval_SaveThread();
  self->told_at = now();
  return goes_on;
}

/* Before and after a call of the library that this thread makes without the GIL. */
static void begin_call(builder *self) {
  self->is_busy = true;
  self->thread = PyEval_SaveThread();
}

/* NULL with an exception set unless the call succeeded: the one that stopped it, or the library's error. */
static PyObject *end_call(builder *self, sf_code code, const sf_error *error) {
  PyEval_RestoreThread(self->thread);
  self->thread = NULL;
  self->is_busy = false;
  if (PyErr_Occurred())
    return NULL;
  if (code == SF_OK)
    return Py_NewRef(Py_None);
  PyObject *failure = sf_py_sink_take_failure(self->sink, error);
  if (failure == NULL)
    return sf_py_raise(state_of(self), error);
  PyErr_SetObject((PyObject *)Py_TYPE(failure), failure);
  Py_DECREF(failure);
  return NULL;
}

static int check(builder *self) {
  const char *why = self->builder == NULL             ? "the builder is closed"
                    : self->process != (long)getpid() ? "the builder belongs to the process that forked"
                    : self->is_busy                   ? "the builder is in use by another thread"
                                                      : NULL;
  if (why == NULL)
    return 0;
  sf_py_fail(state_of(self), SF_READER_STATE_ERROR, "%s", why);
  return -1;
}

/* --------------------------------------------------------------------------------------------------------------- Options */

/* Numbers and texts of the dictionary that write_sharded makes; what they point to is the dictionary's. */
static unsigned long long read_number(PyObject *options, const char *name) {
  PyObject *value = PyDict_GetItemString(options, name);
  return value == NULL || PyErr_Occurred() ? 0 : PyLong_AsUnsignedLongLong(value);
}

static const char *read_text(PyObject *options, const char *name) {
  PyObject *value = PyDict_GetItemString(options, name);
  return value == NULL || value == Py_None || PyErr_Occurred() ? NULL : PyUnicode_AsUTF8AndSize(value, NULL);
}

/* An array of vectors, or vectors one by one, as contiguous float32 in memory to free; *rows stays empty for None. */
static int read_matrix(const sf_py_state *state, PyObject *options, const char *name, sf_py_rows *rows) {
  PyObject *value = PyDict_GetItemString(options, name);
  if (value == NULL || value == Py_None)
    return 0;
  Py_ssize_t count = PyObject_Size(value);
  if (count < 0)
    return -1;
  if (sf_py_rows_make(state, (size_t)count, (size_t)read_number(options, "dim"), rows) < 0)
    return -1;
  for (Py_ssize_t i = 0; i < count; i++) {
    sf_py_place place = {.row = (size_t)i, .name = name, .number = (unsigned long long)i};
    PyObject *row = PySequence_GetItem(value, i);
    int result = row == NULL ? -1 : sf_py_rows_set_vector(rows, &place, row);
    Py_XDECREF(row);
    if (result < 0)
      return -1;
  }
  rows->batch.count = (size_t)count;
  return 0;
}

static int fail_count(const sf_py_state *state, const char *name, const sf_py_rows *rows, unsigned expected) {
  if (rows->vectors == NULL || rows->batch.count == expected)
    return 0;
  sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "%s: expected %u, found %zu", name, expected, rows->batch.count);
  return -1;
}

static int read_options(builder *self, PyObject *given, sf_py_rows *centroids, sf_py_rows *hyperplanes,
                        sf_build_options *options) {
  sf_py_state *state = state_of(self);
  if (read_matrix(state, given, "centroids", centroids) < 0 ||
      read_matrix(state, given, "hyperplanes", hyperplanes) < 0)
    return -1;
  options->metric = (sf_metric)read_number(given, "metric");
  options->strategy = (sf_sharding_strategy)read_number(given, "strategy");
  options->backend = read_text(given, "backend");
  options->dim = (uint32_t)read_number(given, "dim");
  options->num_dbs = (uint32_t)read_number(given, "num_dbs");
  options->num_probes = (uint32_t)read_number(given, "num_probes");
  options->training_rows = read_number(given, "training_rows");
  options->training_iterations = (uint32_t)read_number(given, "training_iterations");
  options->num_hash_bits = (uint32_t)read_number(given, "num_hash_bits");
  options->cel_expr = read_text(given, "cel_expr");
  options->cel_columns = read_text(given, "cel_columns");
  options->routing_values = read_text(given, "routing_values");
  options->seed = read_number(given, "seed");
  options->max_memory_bytes = read_number(given, "max_memory_bytes");
  options->num_threads = (uint32_t)read_number(given, "num_threads");
  options->run_id = read_text(given, "run_id");
  options->staging_dir = read_text(given, "staging_dir");
  options->centroids = centroids->vectors;
  options->hyperplanes = hyperplanes->vectors;
  self->dim = options->dim;
  self->wants = (uint32_t)options->strategy;
  if (PyErr_Occurred())
    return -1;
  if (options->num_dbs == 0 && centroids->vectors != NULL)
    options->num_dbs = (uint32_t)centroids->batch.count;
  if (fail_count(state, "centroids", centroids, options->num_dbs) < 0)
    return -1;
  return fail_count(state, "hyperplanes", hyperplanes, options->num_hash_bits);
}

static int make_attributes(builder *self) {
  for (size_t i = 0; i < NUM_ATTRIBUTES; i++) {
    self->attributes[i] = PyUnicode_InternFromString(attribute_names[i]);
    if (self->attributes[i] == NULL)
      return -1;
  }
  self->has_mutex = pthread_mutex_init(&self->mutex, NULL) == 0;
  if (!self->has_mutex)
    PyErr_NoMemory();
  return self->has_mutex ? 0 : -1;
}

static PyObject *create(builder *self, const char *root, PyObject *given) {
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  sf_s3_options s3_options = SF_S3_OPTIONS_INIT;
  sf_py_rows centroids = {0};
  sf_py_rows hyperplanes = {0};
  PyObject *outcome = NULL;
  PyObject *s3 = PyDict_GetItemString(given, "s3");
  if (read_options(self, given, &centroids, &hyperplanes, &options) < 0 ||
      sf_py_sink_attach_s3(self->sink, s3, &s3_options) < 0)
    goto done;
  options.s3 = s3 != NULL && s3 != Py_None ? &s3_options : NULL;
  options.progress = tell;
  options.progress_user_data = self;
  sf_py_sink_attach_build(self->sink, &options);
  sf_builder *made = NULL;
  sf_error error;
  begin_call(self);
  sf_code code = sf_builder_create(root, &options, &made, &error);
  outcome = end_call(self, code, &error);
  self->builder = made;
done:
  sf_py_rows_release(&centroids);
  sf_py_rows_release(&hyperplanes);
  return outcome;
}

static PyObject *construct(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  const char *root;
  PyObject *sink;
  PyObject *progress;
  PyObject *options;
  if (!PyArg_ParseTuple(args, "sOOO:Builder", &root, &sink, &progress, &options) || kwargs != NULL)
    return NULL;
  builder *self = (builder *)PyType_GenericAlloc(type, 0);
  if (self == NULL)
    return NULL;
  self->process = (long)getpid();
  PyObject *outcome = NULL;
  if (Py_TYPE(sink) != state_of(self)->sink_type || !PyDict_Check(options)) {
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

/* ---------------------------------------------------------------------------------------------------------- Adding rows */

/* Adds a slice; the number of its rows. */
static PyObject *add_slice(builder *self, sf_py_rows *rows) {
  sf_error error;
  rows->batch.has_first_number = true;
  rows->batch.first_number = self->num_rows;
  begin_call(self);
  sf_code code = sf_builder_add(self->builder, &rows->batch, &error);
  PyObject *outcome = end_call(self, code, &error);
  if (outcome == NULL)
    return NULL;
  Py_DECREF(outcome);
  self->num_rows += rows->batch.count;
  return PyLong_FromSize_t(rows->batch.count);
}

static bool wants_shard_ids(const builder *self) {
  return self->wants == SF_SHARDING_EXPLICIT;
}

static bool wants_contexts(const builder *self) {
  return self->wants == SF_SHARDING_CEL;
}

/* One member of a record; those that the sharding does not look at are left alone. */
static int set_member(const builder *self, sf_py_rows *rows, size_t row, int attribute, PyObject *value) {
  sf_py_place place = {.row = row, .name = attribute_names[attribute], .number = self->num_rows + row};
  switch (attribute) {
  case ID:
    return sf_py_rows_set_id(rows, &place, value);
  case VECTOR:
    return sf_py_rows_set_vector(rows, &place, value);
  case PAYLOAD:
    return sf_py_rows_set_payload(rows, &place, value);
  case SHARD_ID:
    return wants_shard_ids(self) ? sf_py_rows_set_shard_id(rows, &place, value) : 0;
  default:
    return wants_contexts(self) ? sf_py_rows_set_context(rows, &place, value) : 0;
  }
}

static int set_record(const builder *self, sf_py_rows *rows, size_t row, PyObject *record) {
  for (int attribute = 0; attribute < NUM_ATTRIBUTES; attribute++) {
    PyObject *value = PyObject_GetAttr(record, self->attributes[attribute]);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
      sf_py_place place = {.row = row, .name = "records", .number = self->num_rows + row};
      PyErr_Clear();
      return sf_py_rows_fail(rows, &place, "expected a VectorRecord, found %R", record);
    }
    int result = value == NULL ? -1 : set_member(self, rows, row, attribute, value);
    Py_XDECREF(value);
    if (result < 0)
      return -1;
  }
  return 0;
}

/* The next records of an iterator, as many as there is room for. */
static int fill_records(builder *self, PyObject *iterator, sf_py_rows *rows) {
  rows->batch.row_word = "record";
  rows->batch.vectors_name = attribute_names[VECTOR];
  rows->batch.ids_name = attribute_names[ID];
  rows->batch.payloads_name = attribute_names[PAYLOAD];
  rows->batch.shard_ids_name = attribute_names[SHARD_ID];
  rows->batch.routing_contexts_name = attribute_names[ROUTING_CONTEXT];
  while (rows->batch.count < rows->capacity) {
    PyObject *record = PyIter_Next(iterator);
    if (record == NULL)
      return PyErr_Occurred() ? -1 : 0;
    int result = set_record(self, rows, rows->batch.count, record);
    Py_DECREF(record);
    if (result < 0)
      return -1;
    rows->batch.count++;
  }
  return 0;
}

static PyObject *add_records(PyObject *object, PyObject *args) {
  builder *self = (builder *)object;
  PyObject *iterator;
  Py_ssize_t capacity;
  sf_py_rows rows;
  if (!PyArg_ParseTuple(args, "On:add_records", &iterator, &capacity) || check(self) < 0)
    return NULL;
  if (!PyIter_Check(iterator) || capacity < 1)
    return PyErr_Format(PyExc_TypeError, "expected an iterator and how many records to take");
  if (sf_py_rows_make(state_of(self), (size_t)capacity, self->dim, &rows) < 0)
    return NULL;
  /* The iterator is the caller's code: it could come back here. */
  self->is_busy = true;
  int filled = fill_records(self, iterator, &rows);
  self->is_busy = false;
  PyObject *count = filled < 0 ? NULL : rows.batch.count > 0 ? add_slice(self, &rows) : PyLong_FromLong(0);
  sf_py_rows_release(&rows);
  return count;
}

static PyObject *add_stream(PyObject *object, PyObject *args) {
  builder *self = (builder *)object;
  PyObject *stream;
  Py_ssize_t capacity;
  sf_py_rows rows;
  if (!PyArg_ParseTuple(args, "On:add_stream", &stream, &capacity) || check(self) < 0)
    return NULL;
  if (sf_py_rows_make(state_of(self), capacity > 0 ? (size_t)capacity : 1, self->dim, &rows) < 0)
    return NULL;
  self->is_busy = true;
  int filled = sf_py_arrow_stream_fill(stream, &rows);
  self->is_busy = false;
  PyObject *count = filled < 0 ? NULL : filled > 0 ? add_slice(self, &rows) : PyLong_FromLong(0);
  sf_py_rows_release(&rows);
  return count;
}

/* ---------------------------------------------------------------------------------------------------------------- Arrays */

/* What lies beside an array of vectors: sequences of as many items, or None. */
typedef struct beside {
  PyObject *items[NUM_ATTRIBUTES];
} beside;

static const char *const beside_names[NUM_ATTRIBUTES] = {"ids", "vectors", "payloads", "shard_ids", "routing_contexts"};

static int check_counts(builder *self, const sf_py_array *array, const beside *lists) {
  for (int i = 0; i < NUM_ATTRIBUTES; i++) {
    if (i == VECTOR || lists->items[i] == Py_None)
      continue;
    Py_ssize_t count = PyObject_Size(lists->items[i]);
    if (count < 0)
      return -1;
    if ((size_t)count == array->count)
      continue;
    sf_py_fail(state_of(self), SF_CONFIG_VALIDATION_ERROR, "%s: expected %zu, one for each vector, found %zd",
               beside_names[i], array->count, count);
    return -1;
  }
  return 0;
}

static int fill_beside(const beside *lists, size_t first, size_t count, sf_py_rows *rows) {
  for (int i = 0; i < NUM_ATTRIBUTES; i++) {
    if (i == VECTOR || lists->items[i] == Py_None)
      continue;
    for (size_t row = 0; row < count; row++) {
      sf_py_place place = {.row = row, .name = beside_names[i], .number = first + row};
      PyObject *value = PySequence_GetItem(lists->items[i], (Py_ssize_t)(first + row));
      int result = value == NULL   ? -1
                   : i == ID       ? sf_py_rows_set_id(rows, &place, value)
                   : i == PAYLOAD  ? sf_py_rows_set_payload(rows, &place, value)
                   : i == SHARD_ID ? sf_py_rows_set_shard_id(rows, &place, value)
                                   : sf_py_rows_set_context(rows, &place, value);
      Py_XDECREF(value);
      if (result < 0)
        return -1;
    }
  }
  return 0;
}

static int read_array(builder *self, PyObject *object, sf_py_array *array) {
  int taken = sf_py_array_read(object, array);
  if (taken == 0)
    sf_py_fail(state_of(self), SF_CONFIG_VALIDATION_ERROR,
               "vectors: expected an array of float16, float32 or float64 and two dimensions");
  if (taken != 1)
    return -1;
  if (array->dim == self->dim)
    return 0;
  sf_py_fail(state_of(self), SF_CONFIG_VALIDATION_ERROR, "vectors: expected %zu components, found %zu", self->dim,
             array->dim);
  sf_py_array_release(array);
  return -1;
}

static PyObject *add_array(PyObject *object, PyObject *args) {
  builder *self = (builder *)object;
  PyObject *vectors;
  beside lists = {.items = {[VECTOR] = Py_None}};
  Py_ssize_t first;
  Py_ssize_t capacity;
  sf_py_array array;
  sf_py_rows rows;
  PyObject *added = NULL;
  if (!PyArg_ParseTuple(args, "OOOOOnn:add_array", &vectors, &lists.items[ID], &lists.items[PAYLOAD],
                        &lists.items[SHARD_ID], &lists.items[ROUTING_CONTEXT], &first, &capacity) ||
      check(self) < 0 || read_array(self, vectors, &array) < 0)
    return NULL;
  size_t begin = first < 0 ? 0 : (size_t)first;
  size_t left = begin < array.count ? array.count - begin : 0;
  size_t count = capacity > 0 && (size_t)capacity < left ? (size_t)capacity : left;
  if (sf_py_rows_make(state_of(self), count, self->dim, &rows) < 0) {
    sf_py_array_release(&array);
    return NULL;
  }
  self->is_busy = true;
  bool filled = check_counts(self, &array, &lists) == 0 && fill_beside(&lists, begin, count, &rows) == 0 &&
                sf_py_array_slice(&array, begin, count, &rows) == 0;
  self->is_busy = false;
  if (filled)
    added = count > 0 ? add_slice(self, &rows) : PyLong_FromLong(0);
  sf_py_rows_release(&rows);
  sf_py_array_release(&array);
  return added;
}

/* Trains with an array's rows, where they lie; one that would have to be copied whole is left to the builder, which keeps
 * rows until it has enough. */
static PyObject *train(PyObject *object, PyObject *vectors) {
  builder *self = (builder *)object;
  sf_py_array array;
  sf_py_rows rows;
  PyObject *outcome = NULL;
  if (check(self) < 0 || read_array(self, vectors, &array) < 0)
    return NULL;
  if (array.count == 0 || !sf_py_array_is_in_place(&array)) {
    sf_py_array_release(&array);
    Py_RETURN_NONE;
  }
  if (sf_py_rows_make(state_of(self), 0, self->dim, &rows) == 0 &&
      sf_py_array_slice(&array, 0, array.count, &rows) == 0) {
    /* Routing that training does not look at has to be there for the library to take the rows. */
    sf_error error;
    begin_call(self);
    sf_code code = sf_builder_train(self->builder, &rows.batch, &error);
    outcome = end_call(self, code, &error);
  }
  sf_py_rows_release(&rows);
  sf_py_array_release(&array);
  return outcome;
}

/* ------------------------------------------------------------------------------------------------------------- Finishing */

static PyObject *describe_shard(const sf_built_shard *shard) {
  return Py_BuildValue("(IzKK)", (unsigned)shard->db_id, shard->db_url, (unsigned long long)shard->num_rows,
                       (unsigned long long)shard->num_bytes);
}

/* (run_id, manifest_ref, num_rows, num_dbs, shards that have rows, seconds of the four phases). */
static PyObject *describe(const sf_build_result *result) {
  PyObject *shards = PyList_New(0);
  for (uint32_t i = 0; shards != NULL && i < result->num_dbs; i++) {
    if (result->shards[i].db_url == NULL)
      continue;
    PyObject *shard = describe_shard(&result->shards[i]);
    if (shard == NULL || PyList_Append(shards, shard) < 0)
      Py_CLEAR(shards);
    Py_XDECREF(shard);
  }
  if (shards == NULL)
    return NULL;
  return Py_BuildValue("(ssKIN(dddd))", result->run_id, result->manifest_ref, (unsigned long long)result->num_rows,
                       (unsigned)result->num_dbs, shards, result->training_seconds, result->writing_seconds,
                       result->finishing_seconds, result->publishing_seconds);
}

/* Looks for signals, and tells the caller what is new since `news`. */
static int report_news(builder *self, uint64_t *news) {
  pthread_mutex_lock(&self->mutex);
  sf_build_progress latest = self->latest;
  bool is_new = self->news != *news;
  *news = self->news;
  pthread_mutex_unlock(&self->mutex);
  return is_new ? report(self, &latest) : PyErr_CheckSignals();
}

/* Waits for the library's thread; a signal, or a progress function that raises, cancels what it does. */
static sf_code wait_for_finish(builder *self, sf_operation *operation, sf_error *error) {
  bool is_finished = false;
  bool is_stopped = false;
  uint64_t news = 0;
  while (!is_finished) {
    self->thread = NULL;
    PyThreadState *thread = PyEval_SaveThread();
    is_finished = sf_operation_wait(operation, is_stopped ? -1 : WAIT_INTERVAL_MS);
    PyEval_RestoreThread(thread);
    if (is_stopped || report_news(self, &news) == 0)
      continue;
    is_stopped = true;
    sf_operation_cancel(operation);
  }
  return sf_operation_result(operation, error);
}

static PyObject *finish(PyObject *object, PyObject *unused) {
  (void)unused;
  builder *self = (builder *)object;
  sf_operation *operation = NULL;
  sf_error error;
  if (check(self) < 0)
    return NULL;
  sf_code code = sf_builder_finish_submit(self->builder, NULL, NULL, &operation, &error);
  if (code != SF_OK)
    return sf_py_raise(state_of(self), &error);
  self->is_busy = true;
  code = wait_for_finish(self, operation, &error);
  sf_build_result *result = code == SF_OK ? sf_operation_take_build_result(operation) : NULL;
  sf_operation_release(operation);
  self->thread = PyEval_SaveThread();
  PyObject *outcome = end_call(self, code, &error);
  if (outcome != NULL) {
    Py_DECREF(outcome);
    outcome = describe(result);
  }
  sf_free(result);
  return outcome;
}

/* Removes what was written, unless the build has finished. */
static PyObject *close_builder(PyObject *object, PyObject *unused) {
  (void)unused;
  builder *self = (builder *)object;
  sf_builder *closed = self->builder;
  if (closed == NULL || self->process != (long)getpid())
    Py_RETURN_NONE;
  if (check(self) < 0)
    return NULL;
  self->builder = NULL;
  Py_BEGIN_ALLOW_THREADS
  sf_builder_free(closed);
  Py_END_ALLOW_THREADS
  Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------------------------------------ Type */

static int traverse(PyObject *object, visitproc visit, void *arg) {
  const builder *self = (builder *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->sink);
  Py_VISIT(self->progress);
  return 0;
}

static int clear(PyObject *object) {
  builder *self = (builder *)object;
  Py_CLEAR(self->progress);
  return 0;
}

static void dealloc(PyObject *object) {
  builder *self = (builder *)object;
  PyObject_GC_UnTrack(object);
  Py_XDECREF(close_builder(object, NULL));
  clear(object);
  Py_XDECREF(self->sink);
  for (size_t i = 0; i < NUM_ATTRIBUTES; i++)
    Py_XDECREF(self->attributes[i]);
  if (self->has_mutex)
    pthread_mutex_destroy(&self->mutex);
  sf_py_gc_free(object);
}

static PyMethodDef methods[] = {
    {"train", train, METH_O, "Trains centroids, where the sharding needs them, with the rows of an array."},
    {"add_records", add_records, METH_VARARGS, "Adds at most so many of an iterator's records; how many it were."},
    {"add_stream", add_stream, METH_VARARGS, "Adds at most so many of an Arrow stream's rows; how many it were."},
    {"add_array", add_array, METH_VARARGS,
     "Adds rows of an array from the first on, with ids, payloads, shard ids, contexts; how many it were."},
    {"finish", finish, METH_NOARGS, "Completes and publishes the snapshot; what was built."},
    {"close", close_builder, METH_NOARGS, "Ends the build; one that has not finished leaves nothing."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, SF_PY_SLOT(construct)},
                              {Py_tp_dealloc, SF_PY_SLOT(dealloc)},
                              {Py_tp_traverse, SF_PY_SLOT(traverse)},
                              {Py_tp_clear, SF_PY_SLOT(clear)},
                              {Py_tp_methods, methods},
                              {0, NULL}};

static PyType_Spec spec = {.name = "shardyfusion._core.Builder",
                           .basicsize = sizeof(builder),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                           .slots = slots};

int sf_py_add_builders(PyObject *module, sf_py_state *state) {
  state->builder_type = sf_py_add_type(module, &spec, 1);
  return state->builder_type == NULL || sf_py_add_arrow_streams(module, state) < 0 ? -1 : 0;
}
