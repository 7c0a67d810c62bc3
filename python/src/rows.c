#include "rows.h"

#include "arguments.h"
#include "errors.h"
#include "query.h"
#include "vector.h"

#include <stdarg.h>
#include <string.h>

enum { TEXT_BLOCK_SIZE = 1 << 16 };

struct sf_py_text_block {
  sf_py_text_block *next;
  size_t used;
  size_t size;
  char text[];
};

int sf_py_rows_make(const sf_py_state *state, size_t capacity, size_t dim, sf_py_rows *rows) {
  *rows = (sf_py_rows){.state = state, .capacity = capacity, .dim = dim};
  sf_row_batch_init(&rows->batch);
  rows->integer_ids = PyMem_Calloc(capacity, sizeof(*rows->integer_ids));
  rows->string_ids = PyMem_Calloc(capacity, sizeof(*rows->string_ids));
  rows->id_lengths = PyMem_Calloc(capacity, sizeof(*rows->id_lengths));
  rows->payloads = PyMem_Calloc(capacity, sizeof(*rows->payloads));
  rows->payload_lengths = PyMem_Calloc(capacity, sizeof(*rows->payload_lengths));
  rows->shard_ids = PyMem_Calloc(capacity, sizeof(*rows->shard_ids));
  rows->contexts = PyMem_Calloc(capacity, sizeof(*rows->contexts));
  if (rows->integer_ids != NULL && rows->string_ids != NULL && rows->id_lengths != NULL && rows->payloads != NULL &&
      rows->payload_lengths != NULL && rows->shard_ids != NULL && rows->contexts != NULL)
    return 0;
  sf_py_rows_release(rows);
  PyErr_NoMemory();
  return -1;
}

static void free_blocks(sf_py_rows *rows) {
  while (rows->blocks != NULL) {
    sf_py_text_block *next = rows->blocks->next;
    PyMem_Free(rows->blocks);
    rows->blocks = next;
  }
}

void sf_py_rows_release(sf_py_rows *rows) {
  free_blocks(rows);
  PyMem_Free(rows->vectors);
  PyMem_Free(rows->strided);
  PyMem_Free(rows->integer_ids);
  PyMem_Free((void *)rows->string_ids);
  PyMem_Free(rows->id_lengths);
  PyMem_Free((void *)rows->payloads);
  PyMem_Free(rows->payload_lengths);
  PyMem_Free(rows->shard_ids);
  PyMem_Free((void *)rows->contexts);
  Py_XDECREF(rows->holders);
  *rows = (sf_py_rows){0};
}

void sf_py_rows_restart(sf_py_rows *rows) {
  free_blocks(rows);
  Py_CLEAR(rows->holders);
  memset((void *)rows->string_ids, 0, rows->capacity * sizeof(*rows->string_ids));
  memset((void *)rows->payloads, 0, rows->capacity * sizeof(*rows->payloads));
  memset((void *)rows->contexts, 0, rows->capacity * sizeof(*rows->contexts));
  sf_row_batch given = rows->batch;
  sf_row_batch_init(&rows->batch);
  rows->batch.vectors_name = given.vectors_name;
  rows->batch.ids_name = given.ids_name;
  rows->batch.payloads_name = given.payloads_name;
  rows->batch.shard_ids_name = given.shard_ids_name;
  rows->batch.routing_contexts_name = given.routing_contexts_name;
  rows->batch.row_word = given.row_word;
}

const char *sf_py_rows_keep_text(sf_py_rows *rows, const char *text, size_t length) {
  sf_py_text_block *block = rows->blocks;
  if (block == NULL || block->size - block->used <= length) {
    size_t size = length < TEXT_BLOCK_SIZE ? TEXT_BLOCK_SIZE : length + 1;
    block = PyMem_Malloc(sizeof(*block) + size);
    if (block == NULL) {
      PyErr_NoMemory();
      return NULL;
    }
    *block = (sf_py_text_block){.next = rows->blocks, .size = size};
    rows->blocks = block;
  }
  char *copy = block->text + block->used;
  memcpy(copy, text, length);
  copy[length] = '\0';
  block->used += length + 1;
  return copy;
}

/* Keeps an object until the slice is done with. */
static int hold(sf_py_rows *rows, PyObject *object) {
  if (rows->holders == NULL)
    rows->holders = PyList_New(0);
  return rows->holders == NULL ? -1 : PyList_Append(rows->holders, object);
}

int sf_py_rows_fail(const sf_py_rows *rows, const sf_py_place *place, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PyObject *message = PyUnicode_FromFormatV(format, arguments);
  va_end(arguments);
  const char *word = rows->batch.row_word != NULL ? rows->batch.row_word : "row";
  if (message != NULL)
    sf_py_fail(rows->state, SF_CONFIG_VALIDATION_ERROR, "%s: %s %llu: %U", place->name, word, place->number, message);
  Py_XDECREF(message);
  return -1;
}

/* Replaces an exception that means an invalid value by one that names the value and, if `says_why`, gives the reason. */
static int fail_value(const sf_py_rows *rows, const sf_py_place *place, const char *expected, PyObject *found,
                      bool says_why) {
  if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError) &&
      !PyErr_ExceptionMatches(PyExc_OverflowError) && !PyErr_ExceptionMatches(PyExc_RecursionError))
    return -1;
  if (!says_why)
    PyErr_Clear();
  const char *word = rows->batch.row_word != NULL ? rows->batch.row_word : "row";
  return sf_py_fail_found(rows->state, found, "%s: %s %llu: expected %s", place->name, word, place->number, expected);
}

/* -------------------------------------------------------------------------------------------------------------- Vectors */

static int make_vectors(sf_py_rows *rows, size_t dim) {
  if (dim > 0 && rows->capacity > SIZE_MAX / sizeof(float) / dim) {
    PyErr_NoMemory();
    return -1;
  }
  rows->vectors = PyMem_Malloc(rows->capacity * dim * sizeof(float));
  if (rows->vectors == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  rows->dim = dim;
  return 0;
}

int sf_py_rows_set_vector(sf_py_rows *rows, const sf_py_place *place, PyObject *object) {
  sf_py_vector vector = {0};
  PyObject *found;
  int taken = sf_py_vector_take(rows->state, object, &vector, &found);
  if (taken == 0)
    sf_py_rows_fail(rows, place, "expected float16, float32 or float64 values of one dimension, or numbers, found %S",
                    found);
  Py_XDECREF(found);
  if (taken != 1)
    return -1;
  int result = -1;
  if (rows->dim != 0 && vector.dim != rows->dim)
    sf_py_rows_fail(rows, place, "expected %zu components, found %zu", rows->dim, vector.dim);
  else if (rows->vectors != NULL || make_vectors(rows, vector.dim) == 0)
    result = 0;
  float *to = result == 0 ? rows->vectors + place->row * rows->dim : NULL;
  if (to != NULL && vector.type == SF_FLOAT32)
    memcpy(to, vector.components, rows->dim * sizeof(float));
  for (size_t i = 0; to != NULL && vector.type == SF_FLOAT64 && i < rows->dim; i++)
    to[i] = (float)((const double *)vector.components)[i];
  sf_py_vector_release(&vector);
  rows->batch.vectors = rows->vectors;
  rows->batch.vector_type = SF_FLOAT32;
  rows->batch.dim = rows->dim;
  return result;
}

/* ---------------------------------------------------------------------------------------------- Ids, payloads, routing */

/* An integer (with __index__) that fits into an int64. */
static int read_integer(PyObject *value, int64_t *integer) {
  PyObject *index = sf_py_index(value);
  if (index == NULL)
    return -1;
  *integer = PyLong_AsLongLong(index);
  Py_DECREF(index);
  return PyErr_Occurred() ? -1 : 0;
}

/* The UTF-8 of a string, which the slice holds. */
static const char *read_text(sf_py_rows *rows, PyObject *text, size_t *length) {
  Py_ssize_t size;
  const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
  *length = (size_t)size;
  return bytes != NULL && hold(rows, text) == 0 ? bytes : NULL;
}

static int set_string_id(sf_py_rows *rows, const sf_py_place *place, PyObject *id) {
  rows->batch.string_ids = rows->string_ids;
  rows->batch.string_id_lengths = rows->id_lengths;
  rows->string_ids[place->row] = read_text(rows, id, &rows->id_lengths[place->row]);
  return rows->string_ids[place->row] != NULL ? 0 : fail_value(rows, place, "an id in UTF-8", id, true);
}

int sf_py_rows_set_id(sf_py_rows *rows, const sf_py_place *place, PyObject *id) {
  rows->batch.integer_ids = rows->integer_ids;
  if (PyUnicode_Check(id))
    return set_string_id(rows, place, id);
  if (read_integer(id, &rows->integer_ids[place->row]) == 0)
    return 0;
  PyObject *plain = PyErr_ExceptionMatches(PyExc_TypeError) ? (PyErr_Clear(), sf_py_scalar(id)) : NULL;
  int result = plain != NULL && PyUnicode_Check(plain)
                   ? set_string_id(rows, place, plain)
                   : fail_value(rows, place, "an integer of 64 bits or a string", id, false);
  Py_XDECREF(plain);
  return result;
}

/* Sets a payload that is not None: JSON text as it is, a mapping as the text of its object. */
static int set_payload_text(sf_py_rows *rows, const sf_py_place *place, PyObject *payload) {
  PyObject *text = PyUnicode_Check(payload) ? Py_NewRef(payload) : sf_py_dump_payload(payload);
  rows->batch.payloads = rows->payloads;
  rows->batch.payload_lengths = rows->payload_lengths;
  if (text != NULL)
    rows->payloads[place->row] = read_text(rows, text, &rows->payload_lengths[place->row]);
  Py_XDECREF(text);
  return rows->payloads[place->row] != NULL ? 0 : fail_value(rows, place, "what JSON can hold", payload, true);
}

int sf_py_rows_set_payload(sf_py_rows *rows, const sf_py_place *place, PyObject *payload) {
  if (payload == Py_None)
    return 0;
  if (PyUnicode_Check(payload) || PyDict_Check(payload))
    return set_payload_text(rows, place, payload);
  PyObject *plain = sf_py_scalar(payload);
  if (plain == NULL)
    return fail_value(rows, place, "what JSON can hold", payload, true);
  int result = plain == Py_None ? 0 : set_payload_text(rows, place, plain);
  Py_DECREF(plain);
  return result;
}

int sf_py_rows_set_shard_id(sf_py_rows *rows, const sf_py_place *place, PyObject *shard_id) {
  rows->batch.shard_ids = rows->shard_ids;
  if (read_integer(shard_id, &rows->shard_ids[place->row]) == 0)
    return 0;
  return fail_value(rows, place, "an integer", shard_id, false);
}

int sf_py_rows_set_context(sf_py_rows *rows, const sf_py_place *place, PyObject *context) {
  size_t length;
  rows->batch.routing_contexts = rows->contexts;
  PyObject *text = PyObject_HasAttrString(context, "items") ? sf_py_dump_context(context) : NULL;
  if (text != NULL)
    rows->contexts[place->row] = read_text(rows, text, &length);
  Py_XDECREF(text);
  if (rows->contexts[place->row] != NULL)
    return 0;
  return fail_value(rows, place, "a mapping of names to numbers, strings, booleans or bytes", context, true);
}
