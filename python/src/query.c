#include "query.h"

#include "arguments.h"
#include "errors.h"
#include "object.h"

#include <string.h>

/* Whether the exception that is set means an invalid argument. */
static bool is_argument_error(void) {
  return PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
         PyErr_ExceptionMatches(PyExc_OverflowError);
}

/* An integer (with __index__), saturated at the ends of int64. */
static int read_integer(const sf_py_state *state, PyObject *value, const char *name, int64_t *integer) {
  int overflow = 0;
  PyObject *index = sf_py_index(value);
  if (index == NULL) {
    if (PyErr_ExceptionMatches(PyExc_TypeError))
      sf_py_fail_found(state, value, "%s: expected an integer", name);
    return -1;
  }
  *integer = PyLong_AsLongLongAndOverflow(index, &overflow);
  Py_DECREF(index);
  if (PyErr_Occurred())
    return -1;
  if (overflow != 0)
    *integer = overflow > 0 ? INT64_MAX : INT64_MIN;
  return 0;
}

int sf_py_top_k_read(const sf_py_state *state, PyObject *top_k, sf_search_request *request) {
  request->all_in_range = top_k == Py_None;
  if (request->all_in_range)
    return 0;
  return read_integer(state, top_k, "top_k", &request->top_k);
}

/* Sets are taken, too: the order of the shards to search says nothing. */
static PyObject *list_shard_ids(const sf_py_state *state, PyObject *value) {
  if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
    return PySequence_Tuple(value);
  PyObject *function = sf_py_import("shardyfusion._values", "shard_ids");
  PyObject *ids = function == NULL ? NULL : PyObject_CallFunctionObjArgs(function, value, NULL);
  Py_XDECREF(function);
  if (ids == NULL || PyTuple_Check(ids))
    return ids;
  sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "shard_ids: expected integers, found %S", ids);
  Py_DECREF(ids);
  return NULL;
}

static int read_shard_ids(const sf_py_state *state, PyObject *value, sf_search_request *request,
                          sf_py_routing *routing) {
  PyObject *ids = list_shard_ids(state, value);
  if (ids == NULL)
    return -1;
  Py_ssize_t count = PyTuple_Size(ids);
  routing->shard_ids = PyMem_Malloc((size_t)count * sizeof(*routing->shard_ids));
  int result = routing->shard_ids == NULL ? -1 : 0;
  if (result < 0)
    PyErr_NoMemory();
  for (Py_ssize_t i = 0; i < count && result == 0; i++)
    result = read_integer(state, PyTuple_GetItem(ids, i), "shard_ids", &routing->shard_ids[i]);
  Py_DECREF(ids);
  request->has_shard_ids = true;
  request->shard_ids = routing->shard_ids;
  request->num_shard_ids = (size_t)count;
  return result;
}

/* By shardyfusion/_json.py, which is imported for the first value that needs it. */
static PyObject *dump(const char *function, PyObject *value) {
  PyObject *callable = sf_py_import("shardyfusion._json", function);
  PyObject *text = callable == NULL ? NULL : PyObject_CallFunctionObjArgs(callable, value, NULL);
  Py_XDECREF(callable);
  if (text == NULL || PyUnicode_Check(text))
    return text;
  Py_DECREF(text);
  PyErr_SetString(PyExc_TypeError, "expected text");
  return NULL;
}

PyObject *sf_py_dump_payload(PyObject *payload) {
  return dump("dump_payload", payload);
}

PyObject *sf_py_dump_context(PyObject *context) {
  return dump("dump_context", context);
}

static int read_context(const sf_py_state *state, PyObject *context, sf_search_request *request,
                        sf_py_routing *routing) {
  if (PyObject_HasAttrString(context, "items"))
    routing->context_text = sf_py_dump_context(context);
  if (routing->context_text != NULL)
    request->routing_context = PyUnicode_AsUTF8AndSize(routing->context_text, NULL);
  if (request->routing_context != NULL)
    return 0;
  if (PyErr_Occurred() && !is_argument_error())
    return -1;
  return sf_py_fail_found(state, context,
                          "routing_context: expected a mapping of names to numbers, strings, booleans or bytes");
}

int sf_py_routing_read(const sf_py_state *state, PyObject *const *arguments, sf_search_request *request,
                       sf_py_routing *routing) {
  int result = 0;
  if (arguments[0] != Py_None)
    result = read_shard_ids(state, arguments[0], request, routing);
  if (result == 0 && arguments[1] != Py_None) {
    request->has_num_probes = true;
    result = read_integer(state, arguments[1], "num_probes", &request->num_probes);
  }
  if (result == 0 && arguments[2] != Py_None)
    result = read_context(state, arguments[2], request, routing);
  if (result < 0)
    sf_py_routing_release(routing);
  return result;
}

void sf_py_routing_release(sf_py_routing *routing) {
  PyMem_Free(routing->shard_ids);
  Py_XDECREF(routing->context_text);
  *routing = (sf_py_routing){0};
}

int sf_py_shard_ids_read(const sf_py_state *state, PyObject *shard_ids, sf_search_request *request,
                         sf_py_routing *routing) {
  int result = shard_ids == Py_None ? 0 : read_shard_ids(state, shard_ids, request, routing);
  if (result < 0)
    sf_py_routing_release(routing);
  return result;
}

/* ------------------------------------------------------------------------------------------------ What narrows a search */

int sf_py_filter_read(const sf_py_state *state, PyObject *filter, const char **text) {
  Py_ssize_t length;
  if (filter == Py_None)
    return 0;
  if (!PyUnicode_Check(filter))
    return sf_py_fail_found(state, filter, "filter: expected a str with an expression, or None");
  *text = PyUnicode_AsUTF8AndSize(filter, &length);
  if (*text == NULL && !is_argument_error())
    return -1;
  if (*text != NULL && strlen(*text) == (size_t)length)
    return 0;
  PyErr_Clear();
  *text = NULL;
  sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "filter: expected text without NUL and lone surrogates");
  return -1;
}

/* A number or None, but no bool: True is most likely a mistake. */
static int read_number(const sf_py_state *state, PyObject *value, const char *expected, bool *has_number,
                       double *number) {
  if (value == Py_None)
    return 0;
  *has_number = true;
  *number = PyBool_Check(value) ? -1 : PyFloat_AsDouble(value);
  if (!PyBool_Check(value) && !PyErr_Occurred())
    return 0;
  if (PyErr_Occurred() && !is_argument_error())
    return -1;
  return sf_py_fail_found(state, value, expected);
}

/* An integer of at least `least`, saturated at the ends of int64. */
static int read_count(const sf_py_state *state, PyObject *value, const char *name, int64_t least, int64_t *count) {
  if (read_integer(state, value, name, count) < 0)
    return -1;
  if (*count >= least)
    return 0;
  sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "%s: expected at least %lld, found %S", name, (long long)least, value);
  return -1;
}

static int read_flag(PyObject *value, bool *flag) {
  int is_true = PyObject_IsTrue(value);
  *flag = is_true > 0;
  return is_true < 0 ? -1 : 0;
}

int sf_py_narrowing_read(const sf_py_state *state, PyObject *narrowing, sf_search_request *request) {
  PyObject *filter, *max_score, *max_results, *offset, *vectors, *payloads, *explains, *recall;
  bool wants_payloads = true;
  if (narrowing == Py_None)
    return 0;
  if (!PyArg_ParseTuple(narrowing, "OOOOOOOO", &filter, &max_score, &max_results, &offset, &vectors, &payloads,
                        &explains, &recall))
    return -1;
  if (sf_py_filter_read(state, filter, &request->filter) < 0 ||
      read_number(state, max_score, "max_score: expected a number", &request->has_max_score, &request->max_score) < 0 ||
      read_number(state, recall, "recall: expected a number", &request->has_recall, &request->recall) < 0 ||
      read_count(state, max_results, "max_results", 1, &request->max_results) < 0 ||
      read_count(state, offset, "offset", 0, &request->offset) < 0 ||
      read_flag(vectors, &request->include_vectors) < 0 || read_flag(payloads, &wants_payloads) < 0 ||
      read_flag(explains, &request->explain) < 0)
    return -1;
  request->omit_payloads = !wants_payloads;
  return 0;
}
