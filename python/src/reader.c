/* Reader: searches, refreshes and closes, each as an operation that finishes at a loop or that a thread waits for. */
#include "reader.h"

#include "errors.h"
#include "object.h"
#include "operation.h"
#include "query.h"
#include "response.h"
#include "vector.h"

#include <unistd.h>

/* Submitting a search routes it. Where that reads more components than this (a tenth of a millisecond or so), the GIL is
 * released meanwhile; below, releasing it would cost more than it gains when other threads want it. */
#define MAX_ROUTE_COST_WITH_GIL (1 << 17)

PyObject *sf_py_reader_new(const sf_py_state *state, sf_reader *reader, PyObject *sink) {
  sf_snapshot_info *info;
  sf_error error;
  sf_py_reader *self = (sf_py_reader *)PyType_GenericAlloc(state->reader_type, 0);
  if (self == NULL) {
    sf_reader_free(reader);
    return NULL;
  }
  self->reader = reader;
  self->sink = Py_NewRef(sink);
  self->process = (long)getpid();
  if (sf_reader_snapshot_info(reader, &info, &error) != SF_OK) {
    Py_DECREF(self);
    return sf_py_raise(state, &error);
  }
  self->route_cost = (uint64_t)info->num_dbs * info->dim;
  sf_free(info);
  return (PyObject *)self;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(((sf_py_reader *)object)->sink);
  return 0;
}

static void dealloc(PyObject *object) {
  sf_py_reader *self = (sf_py_reader *)object;
  PyObject_GC_UnTrack(object);
  /* In a fork's child this does nothing: the reader is its parent's. */
  Py_BEGIN_ALLOW_THREADS
  sf_reader_free(self->reader);
  Py_END_ALLOW_THREADS
  if (self->process != (long)getpid())
    Py_XINCREF(self->sink); /* the parent's threads are gone, but the reader that points to it stays */
  Py_XDECREF(self->sink);
  sf_py_gc_free(object);
}

static sf_reader *reader_of(PyObject *object) {
  return ((sf_py_reader *)object)->reader;
}

/* ---------------------------------------------------------------------------------------- Results of operations */

static PyObject *take_response(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  (void)self;
  return sf_py_response_new(state, sf_operation_take_response(operation));
}

static PyObject *take_batch(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  size_t count = self->count;
  PyObject *list = PyList_New((Py_ssize_t)count);
  sf_search_response **responses = PyMem_Calloc(count, sizeof(sf_search_response *));
  if (list == NULL || responses == NULL) {
    PyMem_Free(responses);
    Py_XDECREF(list);
    return PyErr_NoMemory();
  }
  sf_operation_take_responses(operation, responses, count);
  for (size_t i = 0; i < count; i++) {
    PyObject *response = list == NULL ? NULL : sf_py_response_new(state, responses[i]);
    if (list == NULL)
      sf_search_response_free(responses[i]);
    else if (response == NULL)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)i, response);
  }
  PyMem_Free(responses);
  return list;
}

static PyObject *take_changed(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  (void)state, (void)self;
  return PyBool_FromLong(sf_operation_refresh_changed(operation));
}

static PyObject *take_nothing(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  (void)state, (void)self, (void)operation;
  return Py_NewRef(Py_None);
}

/* ------------------------------------------------------------------------------------------------------ Searching */

/* An operation of the reader that is not submitted yet. */
static sf_py_operation *begin(PyObject *object, sf_py_take take, PyObject *const *target) {
  sf_py_operation *operation = sf_py_operation_new(sf_py_state_of(object), take, target[0], target[1]);
  if (operation == NULL)
    return NULL;
  operation->reader = Py_NewRef(object);
  operation->sink = Py_NewRef(((sf_py_reader *)object)->sink);
  return operation;
}

/* Submission, with or without the GIL. */
typedef sf_code (*submit_function)(sf_reader *reader, const void *what, size_t count, sf_completion_queue *queue,
                                   void *user_data, sf_operation **operation, sf_error *error);

static sf_code submit_search(sf_reader *reader, const void *request, size_t count, sf_completion_queue *queue,
                             void *user_data, sf_operation **operation, sf_error *error) {
  (void)count;
  return sf_reader_search_submit(reader, request, queue, user_data, operation, error);
}

static sf_code submit_batch(sf_reader *reader, const void *requests, size_t count, sf_completion_queue *queue,
                            void *user_data, sf_operation **operation, sf_error *error) {
  return sf_reader_batch_search_submit(reader, requests, count, queue, user_data, operation, error);
}

static PyObject *submit(PyObject *object, PyObject *const *target, sf_py_take take, submit_function function,
                        const sf_search_request *requests, size_t count) {
  sf_py_reader *self = (sf_py_reader *)object;
  sf_py_operation *operation = begin(object, take, target);
  if (operation == NULL)
    return NULL;
  operation->count = count;
  sf_completion_queue *queue = sf_py_operation_target(target[0]);
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code;
  if (self->route_cost * count <= MAX_ROUTE_COST_WITH_GIL)
    code = function(self->reader, requests, count, queue, operation, &submitted, &error);
  else {
    Py_BEGIN_ALLOW_THREADS
    code = function(self->reader, requests, count, queue, operation, &submitted, &error);
    Py_END_ALLOW_THREADS
  }
  return sf_py_operation_submitted(operation, target[0], submitted, code, &error);
}

/* The positional arguments of `search` and `batch_search`. */
enum { QUEUE, FUTURE, QUERY, TOP_K, SHARD_IDS, NUM_PROBES, ROUTING_CONTEXT, NARROWING, NUM_SEARCH_ARGUMENTS };

static int check_arguments(PyObject *object, PyObject *const *args, Py_ssize_t count, Py_ssize_t expected) {
  if (count == expected && (args[QUEUE] == Py_None || Py_TYPE(args[QUEUE]) == sf_py_state_of(object)->queue_type))
    return 0;
  PyErr_SetString(PyExc_TypeError, "expected a completion queue (or None), a future and what the method needs");
  return -1;
}

static PyObject *search(PyObject *object, PyObject *const *args, Py_ssize_t count) {
  const sf_py_state *state = sf_py_state_of(object);
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  sf_py_routing routing = {0};
  sf_py_vectors vectors = {.count = 1};
  PyObject *operation = NULL;
  if (check_arguments(object, args, count, NUM_SEARCH_ARGUMENTS) < 0 ||
      sf_py_top_k_read(state, args[TOP_K], &request) < 0 ||
      sf_py_narrowing_read(state, args[NARROWING], &request) < 0 ||
      sf_py_vector_read(state, "query", args[QUERY], &vectors.whole) < 0)
    return NULL;
  if (sf_py_routing_read(state, &args[SHARD_IDS], &request, &routing) == 0) {
    sf_py_vectors_request(&vectors, 0, &request);
    operation = submit(object, args, take_response, submit_search, &request, 1);
    sf_py_routing_release(&routing);
  }
  sf_py_vectors_release(&vectors);
  return operation;
}

static sf_search_request *make_requests(const sf_py_vectors *vectors, const sf_search_request *common) {
  sf_search_request *requests = PyMem_Calloc(vectors->count, sizeof(*requests));
  if (requests == NULL)
    PyErr_NoMemory();
  for (size_t i = 0; requests != NULL && i < vectors->count; i++) {
    requests[i] = *common;
    sf_py_vectors_request(vectors, i, &requests[i]);
  }
  return requests;
}

static PyObject *batch_search(PyObject *object, PyObject *const *args, Py_ssize_t count) {
  const sf_py_state *state = sf_py_state_of(object);
  sf_search_request common = SF_SEARCH_REQUEST_INIT;
  sf_py_routing routing = {0};
  sf_py_vectors vectors = {0};
  PyObject *operation = NULL;
  if (check_arguments(object, args, count, NUM_SEARCH_ARGUMENTS) < 0 ||
      sf_py_top_k_read(state, args[TOP_K], &common) < 0 || sf_py_narrowing_read(state, args[NARROWING], &common) < 0 ||
      sf_py_vectors_read(state, "queries", args[QUERY], &vectors) < 0)
    return NULL;
  if (sf_py_routing_read(state, &args[SHARD_IDS], &common, &routing) == 0) {
    sf_search_request *requests = make_requests(&vectors, &common);
    if (requests != NULL)
      operation = submit(object, args, take_batch, submit_batch, requests, vectors.count);
    PyMem_Free(requests);
    sf_py_routing_release(&routing);
  }
  sf_py_vectors_release(&vectors);
  return operation;
}

static PyObject *take_count(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  (void)state, (void)self;
  return PyLong_FromUnsignedLongLong(sf_operation_row_count(operation));
}

/* count(queue, future, filter, shard_ids) */
static PyObject *count_rows(PyObject *object, PyObject *const *args, Py_ssize_t count) {
  enum { COUNT_FILTER = FUTURE + 1, COUNT_SHARD_IDS, NUM_COUNT_ARGUMENTS };
  const sf_py_state *state = sf_py_state_of(object);
  sf_count_request request = SF_COUNT_REQUEST_INIT;
  sf_search_request shards = SF_SEARCH_REQUEST_INIT;
  sf_py_routing routing = {0};
  if (check_arguments(object, args, count, NUM_COUNT_ARGUMENTS) < 0 ||
      sf_py_filter_read(state, args[COUNT_FILTER], &request.filter) < 0 ||
      sf_py_shard_ids_read(state, args[COUNT_SHARD_IDS], &shards, &routing) < 0)
    return NULL;
  request.has_shard_ids = shards.has_shard_ids;
  request.shard_ids = shards.shard_ids;
  request.num_shard_ids = shards.num_shard_ids;
  sf_py_operation *operation = begin(object, take_count, args);
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = operation == NULL
                     ? SF_OK
                     : sf_reader_count_submit(reader_of(object), &request, sf_py_operation_target(args[QUEUE]),
                                              operation, &submitted, &error);
  sf_py_routing_release(&routing);
  return operation == NULL ? NULL : sf_py_operation_submitted(operation, args[QUEUE], submitted, code, &error);
}

static PyObject *take_rows(const sf_py_state *state, const sf_py_operation *self, sf_operation *operation) {
  (void)self;
  return sf_py_rows_new(state, sf_operation_take_response(operation));
}

/* An int or a str of a tuple, which holds its text. */
static int read_id(const sf_py_state *state, PyObject *given, sf_row_id *id) {
  if (!PyUnicode_Check(given)) {
    *id = (sf_row_id){.type = SF_ID_INTEGER, .integer = PyLong_AsLongLong(given)};
    if (!PyErr_Occurred())
      return 0;
  } else {
    Py_ssize_t length;
    *id = (sf_row_id){.type = SF_ID_STRING, .string = PyUnicode_AsUTF8AndSize(given, &length)};
    id->length = (size_t)length;
    if (id->string != NULL)
      return 0;
  }
  if (PyErr_ExceptionMatches(PyExc_MemoryError))
    return -1;
  return sf_py_fail_found(state, given, "ids: expected integers of 64 bits or strings in UTF-8");
}

/* To free with PyMem_Free; NULL with an exception set. */
static sf_row_id *read_ids(const sf_py_state *state, PyObject *tuple) {
  Py_ssize_t count = PyTuple_Size(tuple);
  sf_row_id *ids = count < 0 ? NULL : PyMem_Calloc((size_t)count + 1, sizeof(*ids));
  if (ids == NULL && count >= 0)
    return (void *)PyErr_NoMemory();
  for (Py_ssize_t i = 0; i < count; i++)
    if (read_id(state, PyTuple_GetItem(tuple, i), &ids[i]) < 0) {
      PyMem_Free(ids);
      return NULL;
    }
  return ids;
}

/* fetch(queue, future, ids, shard_ids, include_vectors, include_payloads): ids is a tuple of ints and strs. */
static PyObject *fetch(PyObject *object, PyObject *const *args, Py_ssize_t count) {
  enum { IDS = FUTURE + 1, FETCH_SHARD_IDS, VECTORS, PAYLOADS, NUM_FETCH_ARGUMENTS };
  const sf_py_state *state = sf_py_state_of(object);
  sf_fetch_request request = SF_FETCH_REQUEST_INIT;
  sf_search_request shards = SF_SEARCH_REQUEST_INIT;
  sf_py_routing routing = {0};
  if (check_arguments(object, args, count, NUM_FETCH_ARGUMENTS) < 0)
    return NULL;
  int vectors = PyObject_IsTrue(args[VECTORS]);
  int payloads = PyObject_IsTrue(args[PAYLOADS]);
  sf_row_id *ids = vectors < 0 || payloads < 0 ? NULL : read_ids(state, args[IDS]);
  if (ids == NULL || sf_py_shard_ids_read(state, args[FETCH_SHARD_IDS], &shards, &routing) < 0) {
    PyMem_Free(ids);
    return NULL;
  }
  request.ids = ids;
  request.num_ids = (size_t)PyTuple_Size(args[IDS]);
  request.has_shard_ids = shards.has_shard_ids;
  request.shard_ids = shards.shard_ids;
  request.num_shard_ids = shards.num_shard_ids;
  request.include_vectors = vectors > 0;
  request.omit_payloads = payloads == 0;
  sf_py_operation *operation = begin(object, take_rows, args);
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = SF_OK;
  if (operation != NULL)
    code = sf_reader_fetch_submit(reader_of(object), &request, sf_py_operation_target(args[QUEUE]), operation,
                                  &submitted, &error);
  PyMem_Free(ids);
  sf_py_routing_release(&routing);
  return operation == NULL ? NULL : sf_py_operation_submitted(operation, args[QUEUE], submitted, code, &error);
}

/* Ids as a list of ints; frees them. */
static PyObject *list_shard_ids(uint32_t *shard_ids, size_t count) {
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list != NULL && i < count; i++) {
    PyObject *id = PyLong_FromUnsignedLong(shard_ids[i]);
    if (id == NULL)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)i, id);
  }
  sf_free(shard_ids);
  return list;
}

/* route(query, shard_ids, num_probes, routing_context) */
static PyObject *route(PyObject *object, PyObject *const *args, Py_ssize_t count) {
  const sf_py_state *state = sf_py_state_of(object);
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  sf_py_routing routing = {0};
  sf_py_vectors vectors = {.count = 1};
  uint32_t *shard_ids;
  size_t num_shards;
  sf_error error;
  PyObject *list = NULL;
  if (count != 4 || sf_py_vector_read(state, "query", args[0], &vectors.whole) < 0)
    return NULL;
  if (sf_py_routing_read(state, &args[1], &request, &routing) == 0) {
    sf_py_vectors_request(&vectors, 0, &request);
    if (sf_reader_route(((sf_py_reader *)object)->reader, &request, &shard_ids, &num_shards, &error) == SF_OK)
      list = list_shard_ids(shard_ids, num_shards);
    else
      sf_py_raise(state, &error);
    sf_py_routing_release(&routing);
  }
  sf_py_vectors_release(&vectors);
  return list;
}

/* refresh(queue, future) or refresh(queue, future, bytes, ref, published_seconds) */
static PyObject *refresh(PyObject *object, PyObject *args) {
  sf_py_reader *self = (sf_py_reader *)object;
  PyObject *target[2];
  Py_buffer bytes = {0};
  sf_manifest_source manifest = SF_MANIFEST_SOURCE_INIT;
  if (!PyArg_ParseTuple(args, "OO|y*sd:refresh", &target[0], &target[1], &bytes, &manifest.ref,
                        &manifest.published_seconds))
    return NULL;
  sf_py_operation *operation = NULL;
  if (check_arguments(object, target, 2, 2) == 0)
    operation = begin(object, take_changed, target);
  if (operation == NULL) {
    PyBuffer_Release(&bytes);
    return NULL;
  }
  manifest.bytes = bytes.buf;
  manifest.length = (size_t)bytes.len;
  sf_completion_queue *queue = sf_py_operation_target(target[0]);
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = manifest.ref != NULL
                     ? sf_reader_refresh_to_submit(self->reader, &manifest, queue, operation, &submitted, &error)
                     : sf_reader_refresh_submit(self->reader, queue, operation, &submitted, &error);
  PyBuffer_Release(&bytes);
  return sf_py_operation_submitted(operation, target[0], submitted, code, &error);
}

/* close(queue, future, timeout_ms) */
static PyObject *close_reader(PyObject *object, PyObject *args) {
  sf_py_reader *self = (sf_py_reader *)object;
  PyObject *target[2];
  long long timeout_ms;
  if (!PyArg_ParseTuple(args, "OOL:close", &target[0], &target[1], &timeout_ms) ||
      check_arguments(object, target, 2, 2) < 0)
    return NULL;
  sf_py_operation *operation = begin(object, take_nothing, target);
  if (operation == NULL)
    return NULL;
  sf_operation *submitted = NULL;
  sf_error error;
  sf_code code = sf_reader_close_submit(self->reader, timeout_ms, sf_py_operation_target(target[0]), operation,
                                        &submitted, &error);
  return sf_py_operation_submitted(operation, target[0], submitted, code, &error);
}

/* Cancels operations in flight, and closes: at the end of the interpreter. */
static PyObject *abandon(PyObject *object, PyObject *unused) {
  (void)unused;
  sf_py_reader *self = (sf_py_reader *)object;
  Py_BEGIN_ALLOW_THREADS
  sf_reader_close(self->reader, 0, NULL);
  Py_END_ALLOW_THREADS
  Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------- The served snapshot, as tuples */

static PyObject *snapshot_info(PyObject *self, PyObject *unused) {
  (void)unused;
  sf_snapshot_info *info;
  sf_error error;
  if (sf_reader_snapshot_info(reader_of(self), &info, &error) != SF_OK)
    return sf_py_raise(sf_py_state_of(self), &error);
  PyObject *tuple = Py_BuildValue("(sIIsssL)", info->run_id, (unsigned)info->num_dbs, (unsigned)info->dim,
                                  sf_metric_name(info->metric), sf_sharding_strategy_name(info->sharding),
                                  info->manifest_ref, (long long)info->total_vectors);
  sf_free(info);
  return tuple;
}

static PyObject *manifest_ref(PyObject *self, PyObject *unused) {
  (void)unused;
  sf_snapshot_info *info;
  sf_error error;
  if (sf_reader_snapshot_info(reader_of(self), &info, &error) != SF_OK)
    return sf_py_raise(sf_py_state_of(self), &error);
  PyObject *ref = PyUnicode_FromString(info->manifest_ref);
  sf_free(info);
  return ref;
}

static PyObject *shard_details(PyObject *self, PyObject *unused) {
  (void)unused;
  sf_shard_detail *details;
  size_t count;
  sf_error error;
  if (sf_reader_shard_details(reader_of(self), &details, &count, &error) != SF_OK)
    return sf_py_raise(sf_py_state_of(self), &error);
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list != NULL && i < count; i++) {
    const sf_shard_detail *shard = sf_shard_detail_at(details, i);
    PyObject *row = Py_BuildValue("(IzLz)", (unsigned)shard->db_id, shard->db_url, (long long)shard->vector_count,
                                  shard->checkpoint_id);
    if (row == NULL)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)i, row);
  }
  sf_free(details);
  return list;
}

static PyObject *health(PyObject *self, PyObject *threshold) {
  sf_health *health;
  sf_error error;
  double seconds = PyFloat_AsDouble(threshold);
  if (PyErr_Occurred())
    return NULL;
  if (sf_reader_health(reader_of(self), seconds, &health, &error) != SF_OK)
    return sf_py_raise(sf_py_state_of(self), &error);
  PyObject *tuple = Py_BuildValue("(szdIOz)", sf_health_status_name(health->status), health->manifest_ref,
                                  health->manifest_age_seconds, (unsigned)health->num_shards,
                                  health->is_closed ? Py_True : Py_False, health->refresh_error);
  sf_free(health);
  return tuple;
}

static PyMethodDef methods[] = {{"search", SF_PY_METHOD(search), METH_FASTCALL, NULL},
                                {"batch_search", SF_PY_METHOD(batch_search), METH_FASTCALL, NULL},
                                {"fetch", SF_PY_METHOD(fetch), METH_FASTCALL, NULL},
                                {"count", SF_PY_METHOD(count_rows), METH_FASTCALL, NULL},
                                {"route", SF_PY_METHOD(route), METH_FASTCALL, NULL},
                                {"refresh", refresh, METH_VARARGS, NULL},
                                {"close", close_reader, METH_VARARGS, NULL},
                                {"abandon", abandon, METH_NOARGS, NULL},
                                {"snapshot_info", snapshot_info, METH_NOARGS, NULL},
                                {"shard_details", shard_details, METH_NOARGS, NULL},
                                {"health", health, METH_O, NULL},
                                {"manifest_ref", manifest_ref, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, SF_PY_SLOT(dealloc)}, {Py_tp_traverse, SF_PY_SLOT(traverse)}, {Py_tp_methods, methods}, {0, NULL}};

static PyType_Spec reader_spec = {.name = "shardyfusion._core.Reader",
                                  .basicsize = sizeof(sf_py_reader),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                  .slots = slots};

int sf_py_add_readers(PyObject *module, sf_py_state *state) {
  state->reader_type = sf_py_add_type(module, &reader_spec, 1);
  return state->reader_type == NULL ? -1 : 0;
}
