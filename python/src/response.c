#include "response.h"

#include "column.h"
#include "object.h"
#include "result.h"
#include "vector_view.h"

typedef struct response {
  PyObject_HEAD
  sf_py_answer *answer; /* NULL: made from Python, and `results` is set */
  PyObject *results;    /* a list; NULL: not made yet */
  unsigned long num_shards_queried;
  double latency_ms;
  bool is_exact;
} response;

PyObject *sf_py_response_new(const sf_py_state *state, sf_search_response *found) {
  sf_py_answer *answer = PyMem_Malloc(sizeof(*answer));
  response *self = answer == NULL ? NULL : (response *)PyType_GenericAlloc(state->response_type, 0);
  if (self == NULL) {
    PyMem_Free(answer);
    sf_search_response_free(found);
    return answer == NULL ? PyErr_NoMemory() : NULL;
  }
  atomic_init(&answer->references, 1);
  answer->response = found;
  self->answer = answer;
  self->num_shards_queried = sf_search_response_num_shards_queried(found);
  self->latency_ms = sf_search_response_latency_ms(found);
  self->is_exact = sf_search_response_is_exact(found);
  return (PyObject *)self;
}

static PyObject *construct(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const names[] = {"results", "num_shards_queried", "latency_ms", "is_exact", NULL};
  PyObject *results;
  unsigned long num_shards_queried;
  double latency_ms;
  int is_exact = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Okd|p:VectorSearchResponse", (char **)(uintptr_t)names, &results,
                                   &num_shards_queried, &latency_ms, &is_exact))
    return NULL;
  PyObject *list = PySequence_List(results);
  response *self = list == NULL ? NULL : (response *)PyType_GenericAlloc(type, 0);
  if (self == NULL) {
    Py_XDECREF(list);
    return NULL;
  }
  self->results = list;
  self->num_shards_queried = num_shards_queried;
  self->latency_ms = latency_ms;
  self->is_exact = is_exact != 0;
  return (PyObject *)self;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(((response *)object)->results);
  return 0;
}

static int clear(PyObject *object) {
  Py_CLEAR(((response *)object)->results);
  return 0;
}

static void dealloc(PyObject *object) {
  PyObject_GC_UnTrack(object);
  clear(object);
  sf_py_answer_release(((response *)object)->answer);
  sf_py_gc_free(object);
}

static PyObject *make_results(const sf_py_state *state, sf_py_answer *answer) {
  Py_ssize_t count = (Py_ssize_t)sf_search_response_count(answer->response);
  PyObject *list = PyList_New(count);
  for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
    bool is_missing = sf_search_response_result(answer->response, (size_t)i)->is_missing;
    PyObject *result = is_missing ? Py_NewRef(Py_None) : sf_py_result_new(state, answer, (size_t)i);
    if (result == NULL)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, i, result);
  }
  return list;
}

PyObject *sf_py_rows_new(const sf_py_state *state, sf_search_response *fetched) {
  sf_py_answer *answer = PyMem_Malloc(sizeof(*answer));
  if (answer == NULL) {
    sf_search_response_free(fetched);
    return PyErr_NoMemory();
  }
  atomic_init(&answer->references, 1);
  answer->response = fetched;
  PyObject *list = make_results(state, answer);
  sf_py_answer_release(answer);
  return list;
}

/* The list of results: a new reference, NULL with an exception set. What it is asked for may be the caller's code, which
 * may change the list, and ask for it again. */
static PyObject *results_of(PyObject *object) {
  response *self = (response *)object;
  PyObject *results = sf_py_kept(object, &self->results);
  if (results != NULL)
    return results;
  if (self->answer != NULL)
    return sf_py_keep(object, &self->results, make_results(sf_py_state_of(object), self->answer));
  PyErr_SetString(PyExc_RuntimeError, "the response is being freed"); /* cleared by the garbage collector */
  return NULL;
}

static PyObject *get_results(PyObject *object, void *closure) {
  (void)closure;
  return results_of(object);
}

static Py_ssize_t length(PyObject *object) {
  const response *self = (response *)object;
  if (self->results == NULL && self->answer != NULL)
    return (Py_ssize_t)sf_search_response_count(self->answer->response);
  PyObject *results = results_of(object);
  Py_ssize_t count = results == NULL ? -1 : PyList_Size(results);
  Py_XDECREF(results);
  return count;
}

static PyObject *item(PyObject *object, Py_ssize_t index) {
  PyObject *results = results_of(object);
  PyObject *value = results == NULL ? NULL : PySequence_GetItem(results, index);
  Py_XDECREF(results);
  return value;
}

static PyObject *subscript(PyObject *object, PyObject *key) {
  PyObject *results = results_of(object);
  PyObject *value = results == NULL ? NULL : PyObject_GetItem(results, key);
  Py_XDECREF(results);
  return value;
}

static PyObject *iterate(PyObject *object) {
  PyObject *results = results_of(object);
  PyObject *iterator = results == NULL ? NULL : PyObject_GetIter(results);
  Py_XDECREF(results);
  return iterator;
}

/* An attribute of each result, as they are now: a new tuple. */
static PyObject *attributes(PyObject *object, const char *name) {
  PyObject *results = results_of(object);
  PyObject *snapshot = results == NULL ? NULL : PyList_AsTuple(results);
  Py_ssize_t count = snapshot == NULL ? 0 : PyTuple_Size(snapshot);
  PyObject *values = snapshot == NULL ? NULL : PyTuple_New(count);
  for (Py_ssize_t i = 0; values != NULL && i < count; i++) {
    PyObject *value = PyObject_GetAttrString(PyTuple_GetItem(snapshot, i), name);
    if (value == NULL)
      Py_CLEAR(values);
    else
      PyTuple_SetItem(values, i, value);
  }
  Py_XDECREF(snapshot);
  Py_XDECREF(results);
  return values;
}

/* Memory for `count` values of 8 bytes. */
static void *allocate(size_t count) {
  void *data = PyMem_Calloc(count, sizeof(uint64_t));
  if (data == NULL)
    PyErr_NoMemory();
  return data;
}

/* The scores of results that were made from Python: their code may run, but the tuple stays. */
static double *copy_scores(PyObject *values) {
  Py_ssize_t count = PyTuple_Size(values);
  double *scores = allocate((size_t)count);
  for (Py_ssize_t i = 0; scores != NULL && i < count; i++) {
    scores[i] = PyFloat_AsDouble(PyTuple_GetItem(values, i));
    if (scores[i] != -1 || !PyErr_Occurred())
      continue;
    PyMem_Free(scores);
    return NULL;
  }
  return scores;
}

static double *copy_row_scores(const sf_search_response *found) {
  size_t count = sf_search_response_count(found);
  double *scores = allocate(count);
  for (size_t i = 0; scores != NULL && i < count; i++)
    scores[i] = sf_search_response_result(found, i)->score;
  return scores;
}

static PyObject *get_scores(PyObject *object, void *closure) {
  (void)closure;
  const response *self = (response *)object;
  if (self->answer != NULL) {
    double *scores = copy_row_scores(self->answer->response);
    Py_ssize_t count = (Py_ssize_t)sf_search_response_count(self->answer->response);
    return scores == NULL ? NULL : sf_py_column_new(sf_py_state_of(object), scores, count, "d");
  }
  PyObject *values = attributes(object, "score");
  double *scores = values == NULL ? NULL : copy_scores(values);
  PyObject *column =
      scores == NULL ? NULL : sf_py_column_new(sf_py_state_of(object), scores, PyTuple_Size(values), "d");
  Py_XDECREF(values);
  return column;
}

/* Whether all are integers of 64 bits, which are copied. */
static bool copy_integer_ids(PyObject *ids, int64_t *integers) {
  for (Py_ssize_t i = 0; i < PyTuple_Size(ids); i++) {
    PyObject *id = PyTuple_GetItem(ids, i);
    int overflow = 0;
    if (!PyLong_CheckExact(id))
      return false;
    integers[i] = PyLong_AsLongLongAndOverflow(id, &overflow);
    if (overflow != 0)
      return false;
  }
  return true;
}

/* As above, from a response of the library. */
static bool copy_row_ids(const sf_search_response *found, int64_t *integers) {
  for (size_t i = 0; i < sf_search_response_count(found); i++) {
    const sf_search_result *row = sf_search_response_result(found, i);
    if (row->id_type != SF_ID_INTEGER)
      return false;
    integers[i] = row->id_integer;
  }
  return true;
}

/* The ids that are not all integers, as a list. */
static PyObject *list_ids(PyObject *object) {
  PyObject *ids = attributes(object, "id");
  PyObject *list = ids == NULL ? NULL : PySequence_List(ids);
  Py_XDECREF(ids);
  return list;
}

static PyObject *get_ids(PyObject *object, void *closure) {
  (void)closure;
  const response *self = (response *)object;
  PyObject *ids = self->answer == NULL ? attributes(object, "id") : NULL;
  if (self->answer == NULL && ids == NULL)
    return NULL;
  size_t count = ids != NULL ? (size_t)PyTuple_Size(ids) : sf_search_response_count(self->answer->response);
  int64_t *integers = allocate(count);
  PyObject *column = NULL;
  if (integers != NULL &&
      (ids != NULL ? copy_integer_ids(ids, integers) : copy_row_ids(self->answer->response, integers)))
    column = sf_py_column_new(sf_py_state_of(object), integers, (Py_ssize_t)count, "q");
  else if (integers != NULL) {
    PyMem_Free(integers);
    column = ids != NULL ? PySequence_List(ids) : list_ids(object);
  }
  Py_XDECREF(ids);
  return column;
}

static PyObject *get_num_shards_queried(PyObject *object, void *closure) {
  (void)closure;
  return PyLong_FromUnsignedLong(((response *)object)->num_shards_queried);
}

static PyObject *get_latency_ms(PyObject *object, void *closure) {
  (void)closure;
  return PyFloat_FromDouble(((response *)object)->latency_ms);
}

static PyObject *get_is_exact(PyObject *object, void *closure) {
  (void)closure;
  return PyBool_FromLong(((response *)object)->is_exact);
}

/* What the constructor takes: a new tuple. */
static PyObject *fields(PyObject *object) {
  const response *self = (response *)object;
  PyObject *results = results_of(object);
  return results == NULL ? NULL
                         : Py_BuildValue("(NkdN)", results, self->num_shards_queried, self->latency_ms,
                                         PyBool_FromLong(self->is_exact));
}

static PyObject *repr(PyObject *object) {
  PyObject *all = fields(object);
  if (all == NULL)
    return NULL;
  PyObject *text = PyUnicode_FromFormat(
      "VectorSearchResponse(results=%R, num_shards_queried=%R, latency_ms=%R, is_exact=%R)", PyTuple_GetItem(all, 0),
      PyTuple_GetItem(all, 1), PyTuple_GetItem(all, 2), PyTuple_GetItem(all, 3));
  Py_DECREF(all);
  return text;
}

static PyObject *compare(PyObject *left, PyObject *right, int operation) {
  return sf_py_compare(left, right, operation, fields);
}

static PyObject *reduce(PyObject *object, PyObject *unused) {
  (void)unused;
  return sf_py_reduce(object, fields);
}

static PyGetSetDef properties[] = {
    {"results", get_results, NULL, "The results in order, nearest first: a list of SearchResult.", NULL},
    {"num_shards_queried", get_num_shards_queried, NULL, "How many shards were searched.", NULL},
    {"latency_ms", get_latency_ms, NULL, "From the request to the result, in milliseconds.", NULL},
    {"is_exact", get_is_exact, NULL,
     "Whether these are known to be the nearest in the shards that were searched; False where `recall` allowed others.",
     NULL},
    {"scores", get_scores, NULL,
     "The scores in order: a memoryview of float64, shape (len,), which NumPy takes without a copy.", NULL},
    {"ids", get_ids, NULL,
     "The ids in order: a memoryview of int64, shape (len,), where all are integers; else a list.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

/* What is left of the protocol of sequences is the list's. */

static PyObject *index_of(PyObject *object, PyObject *args) {
  PyObject *results = results_of(object);
  PyObject *method = results == NULL ? NULL : PyObject_GetAttrString(results, "index");
  PyObject *index = method == NULL ? NULL : PyObject_Call(method, args, NULL);
  Py_XDECREF(method);
  Py_XDECREF(results);
  return index;
}

static PyObject *count_of(PyObject *object, PyObject *value) {
  PyObject *results = results_of(object);
  PyObject *count = results == NULL ? NULL : PyObject_CallMethod(results, "count", "(O)", value);
  Py_XDECREF(results);
  return count;
}

static PyObject *explain(PyObject *object, PyObject *unused) {
  (void)unused;
  const response *self = (response *)object;
  if (self->answer == NULL) {
    PyErr_SetString(PyExc_ValueError, "only what a search returned can be explained");
    return NULL;
  }
  const char *json = sf_search_response_explain_json(self->answer->response);
  const char *text = sf_search_response_explain_text(self->answer->response);
  if (json == NULL || text == NULL)
    return PyErr_NoMemory();
  PyObject *type = sf_py_import("shardyfusion._types", "Explanation");
  PyObject *explanation = type == NULL ? NULL : PyObject_CallFunction(type, "ss", json, text);
  Py_XDECREF(type);
  return explanation;
}

static PyMethodDef methods[] = {
    {"explain", explain, METH_NOARGS,
     "What the search did: which shards, how many rows at each stage, how long each phase took."},

    {"__reduce__", reduce, METH_NOARGS, NULL},
    {"index", index_of, METH_VARARGS,
     "index(value, start=0, stop=None): the position of a result; ValueError if it is not present."},
    {"count", count_of, METH_O, "How often a result occurs."},
    {NULL, NULL, 0, NULL}};

static const char doc[] =
    "VectorSearchResponse(results, num_shards_queried, latency_ms, is_exact=False)\n--\n\n"
    "The neighbours of one query, nearest first. A sequence of its results: iteration, `len`, indexing, slices.\n"
    "Compared by its fields; can be pickled.";

static PyType_Slot slots[] = {{Py_tp_doc, SF_PY_SLOT(doc)},
                              {Py_tp_new, SF_PY_SLOT(construct)},
                              {Py_tp_dealloc, SF_PY_SLOT(dealloc)},
                              {Py_tp_traverse, SF_PY_SLOT(traverse)},
                              {Py_tp_clear, SF_PY_SLOT(clear)},
                              {Py_tp_repr, SF_PY_SLOT(repr)},
                              {Py_tp_richcompare, SF_PY_SLOT(compare)},
                              {Py_tp_hash, SF_PY_SLOT(PyObject_HashNotImplemented)},
                              {Py_tp_iter, SF_PY_SLOT(iterate)},
                              {Py_sq_length, SF_PY_SLOT(length)},
                              {Py_sq_item, SF_PY_SLOT(item)},
                              {Py_mp_length, SF_PY_SLOT(length)},
                              {Py_mp_subscript, SF_PY_SLOT(subscript)},
                              {Py_tp_getset, properties},
                              {Py_tp_methods, methods},
                              {0, NULL}};

PyType_Spec sf_py_response_spec = {.name = "shardyfusion.vector.types.VectorSearchResponse",
                                   .basicsize = sizeof(response),
                                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                   .slots = slots};

static int set_match_args(PyTypeObject *type) {
  PyObject *names = Py_BuildValue("(ssss)", "id", "score", "vector", "payload");
  int result = names == NULL ? -1 : PyObject_SetAttrString((PyObject *)type, "__match_args__", names);
  Py_XDECREF(names);
  return result;
}

/* isinstance(response, collections.abc.Sequence) */
static int register_sequence(PyTypeObject *type) {
  PyObject *module = PyImport_ImportModule("collections.abc");
  PyObject *sequence = module == NULL ? NULL : PyObject_GetAttrString(module, "Sequence");
  PyObject *registered = sequence == NULL ? NULL : PyObject_CallMethod(sequence, "register", "(O)", type);
  Py_XDECREF(module);
  Py_XDECREF(sequence);
  Py_XDECREF(registered);
  return registered == NULL ? -1 : 0;
}

int sf_py_add_results(PyObject *module, sf_py_state *state) {
  if (sf_py_add_vector_views(module, state) < 0)
    return -1;
  state->column_type = sf_py_add_type(module, &sf_py_column_spec, 0);
  state->result_type = state->column_type == NULL ? NULL : sf_py_add_type(module, &sf_py_result_spec, 1);
  state->response_type = state->result_type == NULL ? NULL : sf_py_add_type(module, &sf_py_response_spec, 1);
  if (state->response_type == NULL || register_sequence(state->response_type) < 0)
    return -1;
  return set_match_args(state->result_type);
}
