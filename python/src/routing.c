#include "routing.h"

#include "arguments.h"
#include "builder_options.h"
#include "errors.h"
#include "object.h"
#include "vector.h"

#include <shardyfusion/routing.h>

/* --------------------------------------------------------------------------------------------------------- Expressions */

typedef struct expression {
  PyObject_HEAD
  sf_expression *compiled;
} expression;

static PyObject *construct_expression(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  const char *text;
  const char *columns;
  sf_error error;
  if (!PyArg_ParseTuple(args, "ss:Expression", &text, &columns) || kwargs != NULL)
    return NULL;
  expression *self = (expression *)PyType_GenericAlloc(type, 0);
  if (self == NULL || sf_expression_compile(text, columns, &self->compiled, &error) == SF_OK)
    return (PyObject *)self;
  sf_py_raise(sf_py_state_of((PyObject *)self), &error);
  Py_DECREF(self);
  return NULL;
}

static void free_expression(PyObject *object) {
  sf_expression_free(((expression *)object)->compiled);
  sf_py_free(object);
}

static PyObject *evaluate(PyObject *object, PyObject *context) {
  const char *text;
  char *value = NULL;
  sf_error error;
  const sf_py_state *state = sf_py_state_of(object);
  if (sf_py_text(state, "routing_context", context, &text) < 0)
    return NULL;
  if (sf_expression_evaluate(((expression *)object)->compiled, text, &value, &error) != SF_OK)
    return sf_py_raise(state, &error);
  PyObject *result = PyUnicode_FromString(value);
  sf_free(value);
  return result;
}

static PyMethodDef expression_methods[] = {
    {"evaluate", evaluate, METH_O, "The value for a JSON object of variables, as JSON."}, {NULL, NULL, 0, NULL}};

static PyType_Slot expression_slots[] = {{Py_tp_new, SF_PY_SLOT(construct_expression)},
                                         {Py_tp_dealloc, SF_PY_SLOT(free_expression)},
                                         {Py_tp_methods, expression_methods},
                                         {0, NULL}};

static PyType_Spec expression_spec = {.name = "shardyfusion._core.Expression",
                                      .basicsize = sizeof(expression),
                                      .flags = Py_TPFLAGS_DEFAULT,
                                      .slots = expression_slots};

/* ---------------------------------------------------------------------------------------------------------------- Rows */

typedef struct row_router {
  PyObject_HEAD
  sf_row_router *router;
  uint32_t dim;
} row_router;

static PyObject *construct_router(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  PyObject *given;
  sf_error error;
  if (!PyArg_ParseTuple(args, "O!:RowRouter", &PyDict_Type, &given) || kwargs != NULL)
    return NULL;
  row_router *self = (row_router *)PyType_GenericAlloc(type, 0);
  if (self == NULL)
    return NULL;
  const sf_py_state *state = sf_py_state_of((PyObject *)self);
  sf_py_build_options read = {.options = SF_BUILD_OPTIONS_INIT};
  int result = sf_py_build_options_read(state, given, &read);
  self->dim = read.options.dim;
  if (result == 0 && sf_row_router_create(&read.options, &self->router, &error) != SF_OK) {
    sf_py_raise(state, &error);
    result = -1;
  }
  sf_py_build_options_release(&read);
  if (result == 0)
    return (PyObject *)self;
  Py_DECREF(self);
  return NULL;
}

static void free_router(PyObject *object) {
  sf_row_router_free(((row_router *)object)->router);
  sf_py_free(object);
}

/* Rows as a batch has them, and what keeps them. */
typedef struct rows {
  sf_row_batch batch;
  sf_py_vectors vectors;
  int64_t *shard_ids;
  const char **contexts;
  PyObject *context_texts; /* a tuple */
} rows;

static void release_rows(rows *taken) {
  sf_py_vectors_release(&taken->vectors);
  PyMem_Free(taken->shard_ids);
  PyMem_Free(taken->contexts);
  Py_CLEAR(taken->context_texts);
}

static int take_vectors(const sf_py_state *state, PyObject *vectors, rows *taken) {
  if (sf_py_vectors_read(state, "vectors", vectors, &taken->vectors) < 0)
    return -1;
  if (taken->vectors.each != NULL && taken->vectors.count > 0)
    return sf_py_fail_found(state, vectors, "vectors: expected an array of two dimensions");
  taken->batch.count = taken->vectors.count;
  taken->batch.vectors = taken->vectors.whole.components;
  taken->batch.dim = taken->vectors.whole.dim;
  taken->batch.vector_type = taken->vectors.whole.type;
  return 0;
}

static int take_shard_ids(PyObject *given, rows *taken) {
  PyObject *ids = PySequence_Tuple(given);
  if (ids == NULL)
    return -1;
  taken->batch.count = (size_t)PyTuple_Size(ids);
  taken->shard_ids = PyMem_Calloc(taken->batch.count + 1, sizeof(*taken->shard_ids));
  taken->batch.shard_ids = taken->shard_ids;
  if (taken->shard_ids == NULL)
    PyErr_NoMemory();
  for (size_t i = 0; i < taken->batch.count && !PyErr_Occurred(); i++)
    taken->shard_ids[i] = PyLong_AsLongLong(PyTuple_GetItem(ids, (Py_ssize_t)i));
  Py_DECREF(ids);
  return PyErr_Occurred() ? -1 : 0;
}

static int take_contexts(const sf_py_state *state, PyObject *given, rows *taken) {
  taken->context_texts = PySequence_Tuple(given);
  if (taken->context_texts == NULL)
    return -1;
  taken->batch.count = (size_t)PyTuple_Size(taken->context_texts);
  taken->contexts = PyMem_Calloc(taken->batch.count + 1, sizeof(*taken->contexts));
  taken->batch.routing_contexts = taken->contexts;
  if (taken->contexts == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (size_t i = 0; i < taken->batch.count; i++)
    if (sf_py_text(state, "routing_contexts", PyTuple_GetItem(taken->context_texts, (Py_ssize_t)i),
                   &taken->contexts[i]) < 0)
      return -1;
  return 0;
}

static PyObject *ids_of(const uint32_t *shard_ids, size_t count) {
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list != NULL && i < count; i++) {
    PyObject *id = PyLong_FromUnsignedLong(shard_ids[i]);
    if (id == NULL)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)i, id);
  }
  return list;
}

static PyObject *assign_taken(const row_router *self, const rows *taken) {
  sf_error error;
  sf_code code;
  uint32_t *shard_ids = PyMem_Calloc(taken->batch.count + 1, sizeof(*shard_ids));
  if (shard_ids == NULL)
    return PyErr_NoMemory();
  Py_BEGIN_ALLOW_THREADS
  code = sf_row_router_assign(self->router, &taken->batch, shard_ids, &error);
  Py_END_ALLOW_THREADS
  PyObject *list = code == SF_OK ? ids_of(shard_ids, taken->batch.count)
                                 : sf_py_raise(sf_py_state_of((PyObject *)(uintptr_t)self), &error);
  PyMem_Free(shard_ids);
  return list;
}

static PyObject *assign(PyObject *object, PyObject *args) {
  PyObject *vectors;
  PyObject *shard_ids;
  PyObject *contexts;
  if (!PyArg_ParseTuple(args, "OOO:assign", &vectors, &shard_ids, &contexts))
    return NULL;
  const sf_py_state *state = sf_py_state_of(object);
  rows taken = {.batch = SF_ROW_BATCH_INIT};
  int result = 0;
  if (vectors != Py_None)
    result = take_vectors(state, vectors, &taken);
  else if (shard_ids != Py_None)
    result = take_shard_ids(shard_ids, &taken);
  else if (contexts != Py_None)
    result = take_contexts(state, contexts, &taken);
  PyObject *list = result < 0 ? NULL : assign_taken((row_router *)object, &taken);
  release_rows(&taken);
  return list;
}

/* The query as float32, to free; NULL for None, and with an exception set. */
static float *take_query(const row_router *self, PyObject *given) {
  const sf_py_state *state = sf_py_state_of((PyObject *)(uintptr_t)self);
  sf_py_vector vector = {0};
  if (given == Py_None || sf_py_vector_read(state, "query", given, &vector) < 0)
    return NULL;
  float *query = vector.dim != self->dim ? NULL : PyMem_Calloc(vector.dim, sizeof(*query));
  if (vector.dim != self->dim)
    sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "query: expected %u components, found %zu", (unsigned)self->dim,
               vector.dim);
  else if (query == NULL)
    PyErr_NoMemory();
  for (size_t i = 0; query != NULL && i < vector.dim; i++)
    query[i] = vector.type == SF_FLOAT32 ? ((const float *)vector.components)[i]
                                         : (float)((const double *)vector.components)[i];
  sf_py_vector_release(&vector);
  return query;
}

static PyObject *route(PyObject *object, PyObject *args) {
  const row_router *self = (row_router *)object;
  PyObject *given;
  const char *context;
  unsigned int num_probes;
  size_t count = 0;
  sf_error error;
  if (!PyArg_ParseTuple(args, "OzI:route", &given, &context, &num_probes))
    return NULL;
  float *query = take_query(self, given);
  if (PyErr_Occurred())
    return NULL;
  PyObject *list = NULL;
  uint32_t *shard_ids = PyMem_Calloc(sf_row_router_num_dbs(self->router), sizeof(*shard_ids));
  if (shard_ids == NULL)
    PyErr_NoMemory();
  else if (sf_row_router_route(self->router, query, context, num_probes, shard_ids, &count, &error) == SF_OK)
    list = ids_of(shard_ids, count);
  else
    sf_py_raise(sf_py_state_of(object), &error);
  PyMem_Free(shard_ids);
  PyMem_Free(query);
  return list;
}

static PyObject *vectors_of(PyObject *object, PyObject *unused) {
  (void)unused;
  const row_router *self = (row_router *)object;
  size_t num_rows;
  const float *vectors = sf_row_router_vectors(self->router, &num_rows);
  if (vectors == NULL)
    Py_RETURN_NONE;
  return PyBytes_FromStringAndSize((const char *)vectors, (Py_ssize_t)(num_rows * self->dim * sizeof(*vectors)));
}

static PyObject *num_dbs_of(PyObject *object, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLong(sf_row_router_num_dbs(((row_router *)object)->router));
}

static PyMethodDef router_methods[] = {
    {"assign", assign, METH_VARARGS,
     "The shard of each row, by vectors, shard ids or JSON contexts (the others None)."},
    {"route", route, METH_VARARGS, "The shards for a query or a JSON context (the other None), at most num_probes."},
    {"vectors", vectors_of, METH_NOARGS, "The float32 centroids or hyperplanes; None where there are none."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef router_members[] = {{"num_dbs", num_dbs_of, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot router_slots[] = {{Py_tp_new, SF_PY_SLOT(construct_router)},
                                     {Py_tp_dealloc, SF_PY_SLOT(free_router)},
                                     {Py_tp_methods, router_methods},
                                     {Py_tp_getset, router_members},
                                     {0, NULL}};

static PyType_Spec router_spec = {.name = "shardyfusion._core.RowRouter",
                                  .basicsize = sizeof(row_router),
                                  .flags = Py_TPFLAGS_DEFAULT,
                                  .slots = router_slots};

/* ------------------------------------------------------------------------------------------------------------ Training */

static PyObject *train_taken(const sf_py_state *state, const sf_build_options *options, const rows *taken) {
  sf_error error;
  sf_code code;
  size_t num_bytes = (size_t)options->num_dbs * taken->batch.dim * sizeof(float);
  PyObject *trained = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)num_bytes);
  if (trained == NULL)
    return NULL;
  float *centroids = (float *)(void *)PyBytes_AsString(trained);
  Py_BEGIN_ALLOW_THREADS
  code = sf_train_centroids(options, &taken->batch, centroids, &error);
  Py_END_ALLOW_THREADS
  if (code == SF_OK)
    return trained;
  Py_DECREF(trained);
  return sf_py_raise(state, &error);
}

static PyObject *train_centroids(PyObject *module, PyObject *args) {
  PyObject *given;
  PyObject *vectors;
  if (!PyArg_ParseTuple(args, "O!O:train_centroids", &PyDict_Type, &given, &vectors))
    return NULL;
  const sf_py_state *state = PyModule_GetState(module);
  sf_py_build_options read = {.options = SF_BUILD_OPTIONS_INIT};
  rows taken = {.batch = SF_ROW_BATCH_INIT};
  PyObject *trained = NULL;
  if (sf_py_build_options_read(state, given, &read) == 0 && take_vectors(state, vectors, &taken) == 0)
    trained = train_taken(state, &read.options, &taken);
  release_rows(&taken);
  sf_py_build_options_release(&read);
  return trained;
}

static PyMethodDef functions[] = {
    {"train_centroids", train_centroids, METH_VARARGS, "The num_dbs float32 centroids of the rows of an array."},
    {NULL, NULL, 0, NULL}};

int sf_py_add_routing(PyObject *module) {
  PyType_Spec *specs[] = {&expression_spec, &router_spec};
  for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
    PyTypeObject *type = sf_py_add_type(module, specs[i], 1);
    if (type == NULL)
      return -1;
    Py_DECREF(type);
  }
  return PyModule_AddFunctions(module, functions);
}
