#include "result.h"

#include "errors.h"
#include "object.h"
#include "vector_view.h"

#include <stddef.h>

/* One that a search found makes its id and its payload when they are first needed. */
typedef struct result {
  PyObject_HEAD
  sf_py_answer *answer;        /* NULL: made from Python, and `given` is set */
  const sf_search_result *row; /* in the answer, while it is held */
  double score;
  PyObject *id;      /* of a row; NULL: not made yet */
  PyObject *payload; /* of a row; NULL: not decoded yet */
  PyObject *given;   /* the id, the vector and the payload: a tuple, which unwinds however deep its values are nested */
} result;

void sf_py_answer_release(sf_py_answer *answer) {
  if (answer == NULL || atomic_fetch_sub(&answer->references, 1) > 1)
    return;
  sf_search_response_free(answer->response);
  PyMem_Free(answer);
}

PyObject *sf_py_result_new(const sf_py_state *state, sf_py_answer *answer, size_t index) {
  result *self = (result *)PyType_GenericAlloc(state->result_type, 0);
  if (self == NULL)
    return NULL;
  atomic_fetch_add(&answer->references, 1);
  self->answer = answer;
  self->row = sf_search_response_result(answer->response, index);
  self->score = self->row->score;
  return (PyObject *)self;
}

static PyObject *construct(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const names[] = {"id", "score", "vector", "payload", NULL};
  PyObject *id;
  PyObject *vector = Py_None;
  PyObject *payload = Py_None;
  double score;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Od|OO:SearchResult", (char **)(uintptr_t)names, &id, &score, &vector,
                                   &payload))
    return NULL;
  result *self = (result *)PyType_GenericAlloc(type, 0);
  if (self == NULL)
    return NULL;
  self->score = score;
  self->given = PyTuple_Pack(3, id, vector, payload);
  if (self->given != NULL)
    return (PyObject *)self;
  Py_DECREF(self);
  return NULL;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
  const result *self = (result *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->id);
  Py_VISIT(self->payload);
  Py_VISIT(self->given);
  return 0;
}

static int clear(PyObject *object) {
  result *self = (result *)object;
  Py_CLEAR(self->payload);
  Py_CLEAR(self->given);
  return 0;
}

static void dealloc(PyObject *object) {
  result *self = (result *)object;
  PyObject_GC_UnTrack(object);
  clear(object);
  Py_CLEAR(self->id);
  sf_py_answer_release(self->answer);
  sf_py_gc_free(object);
}

/* What the constructor was given: a new reference. None where the garbage collector has cleared it. */
static PyObject *given(const result *self, Py_ssize_t index) {
  return Py_NewRef(self->given != NULL ? PyTuple_GetItem(self->given, index) : Py_None);
}

static PyObject *make_id(const sf_search_result *row) {
  return row->id_type == SF_ID_INTEGER
             ? PyLong_FromLongLong(row->id_integer)
             : PyUnicode_DecodeUTF8(row->id_string, (Py_ssize_t)row->id_length, "surrogateescape");
}

static PyObject *get_id(PyObject *object, void *closure) {
  (void)closure;
  result *self = (result *)object;
  if (self->answer == NULL)
    return given(self, 0);
  PyObject *id = sf_py_kept(object, &self->id);
  return id != NULL ? id : sf_py_keep(object, &self->id, make_id(self->row));
}

static PyObject *get_score(PyObject *object, void *closure) {
  (void)closure;
  return PyFloat_FromDouble(((result *)object)->score);
}

static PyObject *get_vector(PyObject *object, void *closure) {
  (void)closure;
  const result *self = (const result *)object;
  if (self->answer == NULL)
    return given(self, 1);
  if (self->row->vector == NULL)
    return Py_NewRef(Py_None);
  return sf_py_vector_view(sf_py_state_of(object), self->answer, self->row->vector, self->row->dim);
}

/* The vector as a value that can be pickled and compared: an array.array of float32. */
static PyObject *copy_vector(PyObject *object) {
  PyObject *vector = get_vector(object, NULL);
  if (vector == NULL || ((const result *)object)->answer == NULL || vector == Py_None)
    return vector;
  PyObject *array = sf_py_import("array", "array");
  PyObject *copy = array == NULL ? NULL : PyObject_CallFunction(array, "sO", "f", vector);
  Py_XDECREF(array);
  Py_DECREF(vector);
  return copy;
}

/* A DbAdapterError that names the row. */
static void raise_payload(const sf_py_state *state, const sf_search_result *row, const char *found) {
  PyObject *id = make_id(row);
  if (id != NULL)
    sf_py_fail(state, SF_DB_ADAPTER_ERROR, "shard %u: the payload of id %.200R: expected a JSON object, found %s",
               (unsigned)row->shard_id, id, found);
  Py_XDECREF(id);
}

/* The exception that is set becomes the cause of a DbAdapterError. */
static void fail_payload(const sf_py_state *state, const sf_search_result *row, const char *found) {
  PyObject *type;
  PyObject *value;
  PyObject *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  raise_payload(state, row, found);
  if (type == NULL)
    return;
  PyErr_NormalizeException(&type, &value, &traceback);
  PyObject *raised_type;
  PyObject *raised;
  PyObject *raised_traceback;
  PyErr_Fetch(&raised_type, &raised, &raised_traceback);
  PyErr_NormalizeException(&raised_type, &raised, &raised_traceback);
  PyException_SetCause(raised, value);
  PyErr_Restore(raised_type, raised, raised_traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
}

/* Many results are read for their ids and scores alone: JSON is imported for the first payload. */
static PyObject *make_raw_decode(void) {
  PyObject *type = sf_py_import("json", "JSONDecoder");
  PyObject *decoder = type == NULL ? NULL : PyObject_CallNoArgs(type);
  PyObject *raw_decode = decoder == NULL ? NULL : PyObject_GetAttrString(decoder, "raw_decode");
  Py_XDECREF(type);
  Py_XDECREF(decoder);
  return raw_decode;
}

/* The value of a text that is JSON with nothing around it, in half of the time that json.loads takes; NULL where it is not so, with
 * an exception only where json.loads would fail for the same reason. */
static PyObject *decode_all(PyObject *object, PyObject *text) {
  sf_py_state *state = sf_py_state_of(object);
  PyObject *type = (PyObject *)state->result_type;
  PyObject *raw_decode = sf_py_kept(type, &state->json_raw_decode);
  if (raw_decode == NULL)
    raw_decode = sf_py_keep(type, &state->json_raw_decode, make_raw_decode());
  PyObject *found = raw_decode == NULL ? NULL : PyObject_CallFunctionObjArgs(raw_decode, text, NULL);
  Py_XDECREF(raw_decode);
  PyObject *value = NULL;
  Py_ssize_t end;
  if (found == NULL && PyErr_ExceptionMatches(PyExc_ValueError))
    PyErr_Clear();
  if (found != NULL && PyArg_ParseTuple(found, "On", &value, &end))
    value = end == PyUnicode_GetLength(text) ? Py_NewRef(value) : NULL;
  Py_XDECREF(found);
  return value;
}

static PyObject *load_json(PyObject *object, PyObject *text) {
  PyObject *value = decode_all(object, text);
  if (value != NULL || PyErr_Occurred())
    return value;
  sf_py_state *state = sf_py_state_of(object);
  PyObject *type = (PyObject *)state->result_type;
  PyObject *loads = sf_py_kept(type, &state->json_loads);
  if (loads == NULL)
    loads = sf_py_keep(type, &state->json_loads, sf_py_import("json", "loads"));
  PyObject *loaded = loads == NULL ? NULL : PyObject_CallFunctionObjArgs(loads, text, NULL);
  Py_XDECREF(loads);
  return loaded;
}

static PyObject *decode_payload(PyObject *object, const sf_search_result *row) {
  const sf_py_state *state = sf_py_state_of(object);
  if (row->payload == NULL)
    return Py_NewRef(Py_None);
  PyObject *text = PyUnicode_DecodeUTF8(row->payload, (Py_ssize_t)row->payload_length, NULL);
  PyObject *decoded = text == NULL ? NULL : load_json(object, text);
  Py_XDECREF(text);
  if (decoded == NULL && PyErr_ExceptionMatches(PyExc_ValueError))
    fail_payload(state, row, "text that is not JSON");
  else if (decoded == NULL && PyErr_ExceptionMatches(PyExc_RecursionError))
    fail_payload(state, row, "one that is nested too deep");
  if (decoded == NULL || decoded == Py_None || PyDict_Check(decoded))
    return decoded;
  Py_DECREF(decoded);
  fail_payload(state, row, "another JSON value");
  return NULL;
}

static PyObject *get_payload(PyObject *object, void *closure) {
  (void)closure;
  result *self = (result *)object;
  if (self->answer == NULL)
    return given(self, 2);
  PyObject *payload = sf_py_kept(object, &self->payload);
  return payload != NULL ? payload : sf_py_keep(object, &self->payload, decode_payload(object, self->row));
}

/* All four, made: a new tuple. */
static PyObject *fields(PyObject *object) {
  PyObject *id = get_id(object, NULL);
  PyObject *vector = id == NULL ? NULL : copy_vector(object);
  PyObject *payload = vector == NULL ? NULL : get_payload(object, NULL);
  PyObject *all = payload == NULL ? NULL : Py_BuildValue("(OdOO)", id, ((result *)object)->score, vector, payload);
  Py_XDECREF(id);
  Py_XDECREF(vector);
  Py_XDECREF(payload);
  return all;
}

/* The payload as repr() shows it: one that can't be decoded does not keep the others from being seen. */
static PyObject *payload_repr(PyObject *object) {
  PyObject *payload = get_payload(object, NULL);
  if (payload == NULL && PyErr_ExceptionMatches(sf_py_state_of(object)->errors[SF_DB_ADAPTER_ERROR])) {
    PyErr_Clear();
    return PyUnicode_FromString("<no JSON object>");
  }
  PyObject *text = payload == NULL ? NULL : PyObject_Repr(payload);
  Py_XDECREF(payload);
  return text;
}

/* The vector as repr() shows it. */
static PyObject *vector_repr(PyObject *object) {
  const result *self = (const result *)object;
  if (self->answer != NULL && self->row->vector != NULL)
    return PyUnicode_FromFormat("<%u float32>", (unsigned)self->row->dim);
  PyObject *vector = get_vector(object, NULL);
  PyObject *text = vector == NULL ? NULL : PyObject_Repr(vector);
  Py_XDECREF(vector);
  return text;
}

static PyObject *repr(PyObject *object) {
  PyObject *id = get_id(object, NULL);
  PyObject *score = id == NULL ? NULL : get_score(object, NULL);
  PyObject *vector = score == NULL ? NULL : vector_repr(object);
  PyObject *payload = vector == NULL ? NULL : payload_repr(object);
  PyObject *text = payload == NULL ? NULL
                                   : PyUnicode_FromFormat("SearchResult(id=%R, score=%R, vector=%U, payload=%U)", id,
                                                          score, vector, payload);
  Py_XDECREF(id);
  Py_XDECREF(score);
  Py_XDECREF(vector);
  Py_XDECREF(payload);
  return text;
}

static PyObject *compare(PyObject *left, PyObject *right, int operation) {
  return sf_py_compare(left, right, operation, fields);
}

static PyObject *reduce(PyObject *object, PyObject *unused) {
  (void)unused;
  return sf_py_reduce(object, fields);
}

static Py_hash_t hash(PyObject *object) {
  return sf_py_hash(object, fields);
}

static PyGetSetDef properties[] = {
    {"id", get_id, NULL, "The vector's id, as it was written: an int or a str.", NULL},
    {"score", get_score, NULL, "Distance in the convention of the shard's engine: lower is closer, never NaN.", NULL},
    {"vector", get_vector, NULL,
     "With include_vectors, the stored float32 as a read-only memoryview, which NumPy takes without a copy; else None.",
     NULL},
    {"payload", get_payload, NULL, "The stored JSON object as a dict, decoded when first read, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

static const char doc[] = "SearchResult(id, score, vector=None, payload=None)\n--\n\n"
                          "A neighbour of a query. Immutable; compared by its fields; can be pickled.";

static PyType_Slot slots[] = {{Py_tp_doc, SF_PY_SLOT(doc)},
                              {Py_tp_new, SF_PY_SLOT(construct)},
                              {Py_tp_dealloc, SF_PY_SLOT(dealloc)},
                              {Py_tp_traverse, SF_PY_SLOT(traverse)},
                              {Py_tp_clear, SF_PY_SLOT(clear)},
                              {Py_tp_repr, SF_PY_SLOT(repr)},
                              {Py_tp_richcompare, SF_PY_SLOT(compare)},
                              {Py_tp_hash, SF_PY_SLOT(hash)},
                              {Py_tp_getset, properties},
                              {Py_tp_methods, methods},
                              {0, NULL}};

PyType_Spec sf_py_result_spec = {.name = "shardyfusion.vector.types.SearchResult",
                                 .basicsize = sizeof(result),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                 .slots = slots};
