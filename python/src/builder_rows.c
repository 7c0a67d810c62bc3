#include "builder_rows.h"

#include "array.h"
#include "arrow_stream.h"
#include "builder.h"
#include "errors.h"
#include "rows.h"

/* ---------------------------------------------------------------------------------------------------------- Adding rows */

/* Adds a slice; the number of its rows. */
static PyObject *add_slice(sf_py_builder *self, sf_py_rows *rows) {
  sf_error error;
  rows->batch.has_first_number = true;
  rows->batch.first_number = self->num_rows;
  sf_operation *operation = NULL;
  sf_code code = sf_builder_add_submit(self->builder, &rows->batch, NULL, NULL, &operation, &error);
  int added = sf_py_builder_wait(self, code, operation, &error);
  sf_py_builder_release_operation(operation);
  if (added < 0)
    return NULL;
  self->num_rows += rows->batch.count;
  return PyLong_FromSize_t(rows->batch.count);
}

static bool wants_shard_ids(const sf_py_builder *self) {
  return self->wants == SF_SHARDING_EXPLICIT;
}

static bool wants_contexts(const sf_py_builder *self) {
  return self->wants == SF_SHARDING_CEL;
}

/* One member of a record; those that the sharding does not look at are left alone. */
static int set_member(const sf_py_builder *self, sf_py_rows *rows, size_t row, int attribute, PyObject *value) {
  sf_py_place place = {.row = row, .name = sf_py_attribute_names[attribute], .number = self->num_rows + row};
  switch (attribute) {
  case SF_PY_ID:
    return sf_py_rows_set_id(rows, &place, value);
  case SF_PY_VECTOR:
    return sf_py_rows_set_vector(rows, &place, value);
  case SF_PY_PAYLOAD:
    return sf_py_rows_set_payload(rows, &place, value);
  case SF_PY_SHARD_ID:
    return wants_shard_ids(self) ? sf_py_rows_set_shard_id(rows, &place, value) : 0;
  default:
    return wants_contexts(self) ? sf_py_rows_set_context(rows, &place, value) : 0;
  }
}

static int set_record(const sf_py_builder *self, sf_py_rows *rows, size_t row, PyObject *record) {
  for (int attribute = 0; attribute < SF_PY_NUM_ATTRIBUTES; attribute++) {
    PyObject *value = PyObject_GetAttr(record, self->attributes[attribute]);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
      PyErr_Clear();
      return sf_py_fail_found(rows->state, record, "records: record %llu: expected a VectorRecord",
                              self->num_rows + row);
    }
    int result = value == NULL ? -1 : set_member(self, rows, row, attribute, value);
    Py_XDECREF(value);
    if (result < 0)
      return -1;
  }
  return 0;
}

/* The next records of an iterator, as many as there is room for. */
static int fill_records(sf_py_builder *self, PyObject *iterator, sf_py_rows *rows) {
  rows->batch.row_word = "record";
  rows->batch.vectors_name = sf_py_attribute_names[SF_PY_VECTOR];
  rows->batch.ids_name = sf_py_attribute_names[SF_PY_ID];
  rows->batch.payloads_name = sf_py_attribute_names[SF_PY_PAYLOAD];
  rows->batch.shard_ids_name = sf_py_attribute_names[SF_PY_SHARD_ID];
  rows->batch.routing_contexts_name = sf_py_attribute_names[SF_PY_ROUTING_CONTEXT];
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

PyObject *sf_py_builder_add_records(PyObject *object, PyObject *args) {
  sf_py_builder *self = (sf_py_builder *)object;
  PyObject *iterator;
  Py_ssize_t capacity;
  sf_py_rows rows;
  PyObject *added = NULL;
  if (!PyArg_ParseTuple(args, "On:add_records", &iterator, &capacity))
    return NULL;
  if (!PyIter_Check(iterator) || capacity < 1)
    return PyErr_Format(PyExc_TypeError, "expected an iterator and how many records to take");
  if (sf_py_builder_claim(self) < 0)
    return NULL;
  if (sf_py_rows_make(sf_py_state_of(object), (size_t)capacity, self->dim, &rows) == 0) {
    if (fill_records(self, iterator, &rows) == 0)
      added = rows.batch.count > 0 ? add_slice(self, &rows) : PyLong_FromLong(0);
    sf_py_rows_release(&rows);
  }
  sf_py_builder_release(self);
  return added;
}

PyObject *sf_py_builder_add_stream(PyObject *object, PyObject *args) {
  sf_py_builder *self = (sf_py_builder *)object;
  PyObject *stream;
  Py_ssize_t capacity;
  sf_py_rows rows;
  PyObject *added = NULL;
  if (!PyArg_ParseTuple(args, "On:add_stream", &stream, &capacity) || sf_py_builder_claim(self) < 0)
    return NULL;
  if (sf_py_rows_make(sf_py_state_of(object), capacity > 0 ? (size_t)capacity : 1, self->dim, &rows) == 0) {
    int filled = sf_py_arrow_stream_fill(stream, &rows);
    added = filled < 0 ? NULL : filled > 0 ? add_slice(self, &rows) : PyLong_FromLong(0);
    sf_py_rows_release(&rows);
  }
  sf_py_builder_release(self);
  return added;
}

/* ---------------------------------------------------------------------------------------------------------------- Arrays */

/* What comes beside an array of vectors: iterators, or None. */
typedef struct beside {
  PyObject *iterators[SF_PY_NUM_ATTRIBUTES];
} beside;

static const char *const beside_names[SF_PY_NUM_ATTRIBUTES] = {"ids", "vectors", "payloads", "shard_ids",
                                                               "routing_contexts"};

static int check_beside(const beside *columns) {
  for (int i = 0; i < SF_PY_NUM_ATTRIBUTES; i++) {
    if (columns->iterators[i] == Py_None || PyIter_Check(columns->iterators[i]))
      continue;
    PyErr_Format(PyExc_TypeError, "%s: expected an iterator or None", beside_names[i]);
    return -1;
  }
  return 0;
}

static int set_beside(sf_py_rows *rows, int attribute, const sf_py_place *place, PyObject *value) {
  switch (attribute) {
  case SF_PY_ID:
    return sf_py_rows_set_id(rows, place, value);
  case SF_PY_PAYLOAD:
    return sf_py_rows_set_payload(rows, place, value);
  case SF_PY_SHARD_ID:
    return sf_py_rows_set_shard_id(rows, place, value);
  default:
    return sf_py_rows_set_context(rows, place, value);
  }
}

/* The next `count` values of each. */
static int fill_beside(const sf_py_builder *self, const beside *columns, size_t count, sf_py_rows *rows) {
  for (int i = 0; i < SF_PY_NUM_ATTRIBUTES; i++) {
    for (size_t row = 0; row < count && columns->iterators[i] != Py_None; row++) {
      sf_py_place place = {.row = row, .name = beside_names[i], .number = self->num_rows + row};
      PyObject *value = PyIter_Next(columns->iterators[i]);
      if (value == NULL && !PyErr_Occurred())
        sf_py_rows_fail(rows, &place, "expected a value for each vector, found no more");
      int result = value == NULL ? -1 : set_beside(rows, i, &place, value);
      Py_XDECREF(value);
      if (result < 0)
        return -1;
    }
  }
  return 0;
}

static int read_array(sf_py_builder *self, PyObject *object, sf_py_array *array) {
  int taken = sf_py_array_read(object, array);
  if (taken == 0)
    sf_py_fail_found(sf_py_state_of((PyObject *)self), object,
                     "vectors: expected an array of numbers and two dimensions");
  if (taken != 1)
    return -1;
  if (array->dim == self->dim)
    return 0;
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
             "vectors: expected %zu components, found %zu", self->dim, array->dim);
  sf_py_array_release(array);
  return -1;
}

/* Adds rows of an array; how many. */
static PyObject *add_rows(sf_py_builder *self, const sf_py_array *array, const beside *columns, size_t first,
                          size_t capacity) {
  sf_py_rows rows;
  PyObject *added = NULL;
  size_t left = first < array->count ? array->count - first : 0;
  size_t count = capacity > 0 && capacity < left ? capacity : left;
  if (sf_py_rows_make(sf_py_state_of((PyObject *)self), count, self->dim, &rows) < 0)
    return NULL;
  if (fill_beside(self, columns, count, &rows) == 0 && sf_py_array_slice(array, first, count, &rows) == 0)
    added = count > 0 ? add_slice(self, &rows) : PyLong_FromLong(0);
  sf_py_rows_release(&rows);
  return added;
}

PyObject *sf_py_builder_add_array(PyObject *object, PyObject *args) {
  sf_py_builder *self = (sf_py_builder *)object;
  PyObject *vectors;
  beside columns = {.iterators = {[SF_PY_VECTOR] = Py_None}};
  Py_ssize_t first;
  Py_ssize_t capacity;
  sf_py_array array;
  if (!PyArg_ParseTuple(args, "OOOOOnn:add_array", &vectors, &columns.iterators[SF_PY_ID],
                        &columns.iterators[SF_PY_PAYLOAD], &columns.iterators[SF_PY_SHARD_ID],
                        &columns.iterators[SF_PY_ROUTING_CONTEXT], &first, &capacity) ||
      check_beside(&columns) < 0 || sf_py_builder_claim(self) < 0)
    return NULL;
  PyObject *added = NULL;
  if (read_array(self, vectors, &array) == 0) {
    added = add_rows(self, &array, &columns, first < 0 ? 0 : (size_t)first, capacity < 0 ? 0 : (size_t)capacity);
    sf_py_array_release(&array);
  }
  sf_py_builder_release(self);
  return added;
}

/* Trains with an array's rows in place. If the whole array would have to be copied, training is left to the builder, which keeps
 * rows until it has enough. */
static PyObject *train_in_place(sf_py_builder *self, const sf_py_array *array) {
  sf_py_rows rows;
  PyObject *outcome = NULL;
  if (array->count == 0 || !sf_py_array_is_in_place(array))
    Py_RETURN_NONE;
  if (sf_py_rows_make(sf_py_state_of((PyObject *)self), 0, self->dim, &rows) < 0)
    return NULL;
  if (sf_py_array_slice(array, 0, array->count, &rows) == 0) {
    /* Routing that training does not look at has to be there for the library to take the rows. */
    sf_error error;
    sf_operation *operation = NULL;
    sf_code code = sf_builder_train_submit(self->builder, &rows.batch, NULL, NULL, &operation, &error);
    if (sf_py_builder_wait(self, code, operation, &error) == 0)
      outcome = Py_NewRef(Py_None);
    sf_py_builder_release_operation(operation);
  }
  sf_py_rows_release(&rows);
  return outcome;
}

PyObject *sf_py_builder_train(PyObject *object, PyObject *vectors) {
  sf_py_builder *self = (sf_py_builder *)object;
  sf_py_array array;
  PyObject *outcome = NULL;
  if (sf_py_builder_claim(self) < 0)
    return NULL;
  if (read_array(self, vectors, &array) == 0) {
    outcome = train_in_place(self, &array);
    sf_py_array_release(&array);
  }
  sf_py_builder_release(self);
  return outcome;
}
