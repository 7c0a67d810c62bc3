#include "arrow_stream.h"

#include "arrow.h"

#include <string.h>

/* Columns by their place in the schema; absent ones are -1. */
typedef struct selection {
  int64_t vector;
  int64_t id;
  int64_t payload; /* JSON text, or a struct */
  int64_t shard_id;
  int64_t *payload_members; /* of a payload that is made of columns; NULL: it is not */
  size_t num_payload_members;
  int64_t *context_members; /* NULL: no routing contexts */
  size_t num_context_members;
} selection;

typedef struct arrow_stream {
  PyObject_HEAD
  struct ArrowArrayStream stream;
  struct ArrowSchema schema;
  struct ArrowArray chunk;
  int64_t next;                /* row of the chunk */
  unsigned long long num_rows; /* before it */
  selection columns;
  sf_py_json json;
  bool is_selected;
  bool is_busy; /* the GIL is let go of while the next chunk is made */
} arrow_stream;

/* --------------------------------------------------------------------------------------------------------------- Opening */

static PyObject *fail_stream(arrow_stream *self, int failure) {
  const char *text = self->stream.get_last_error == NULL ? NULL : self->stream.get_last_error(&self->stream);
  PyObject *arguments = Py_BuildValue("(is)", failure, text != NULL ? text : "the Arrow stream failed");
  if (arguments != NULL)
    PyErr_SetObject(PyExc_OSError, arguments);
  Py_XDECREF(arguments);
  return NULL;
}

/* Moves the stream out of its capsule, as the interface asks of who takes it. */
static int take_stream(arrow_stream *self, PyObject *object) {
  PyObject *capsule = PyObject_CallMethod(object, "__arrow_c_stream__", NULL);
  struct ArrowArrayStream *stream = capsule == NULL ? NULL : PyCapsule_GetPointer(capsule, "arrow_array_stream");
  if (stream != NULL && stream->release == NULL)
    PyErr_SetString(PyExc_ValueError, "the Arrow stream was released");
  if (stream == NULL || stream->release == NULL) {
    Py_XDECREF(capsule);
    return -1;
  }
  self->stream = *stream;
  stream->release = NULL;
  Py_DECREF(capsule);
  return 0;
}

static PyObject *construct(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  PyObject *object;
  if (!PyArg_ParseTuple(args, "O:ArrowStream", &object) || kwargs != NULL)
    return NULL;
  arrow_stream *self = (arrow_stream *)PyType_GenericAlloc(type, 0);
  if (self == NULL)
    return NULL;
  int failure = 0;
  if (take_stream(self, object) < 0)
    goto failed;
  Py_BEGIN_ALLOW_THREADS
  failure = self->stream.get_schema(&self->stream, &self->schema);
  Py_END_ALLOW_THREADS
  if (failure != 0) {
    self->schema.release = NULL;
    fail_stream(self, failure);
    goto failed;
  }
  if (strcmp(self->schema.format, "+s") == 0)
    return (PyObject *)self;
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
             "Arrow stream: expected a table, with columns, found values of format '%s'", self->schema.format);
failed:
  Py_DECREF(self);
  return NULL;
}

static void release_chunk(arrow_stream *self) {
  if (self->chunk.release != NULL)
    self->chunk.release(&self->chunk);
  self->chunk = (struct ArrowArray){0};
}

static void dealloc(PyObject *object) {
  arrow_stream *self = (arrow_stream *)object;
  release_chunk(self);
  if (self->schema.release != NULL)
    self->schema.release(&self->schema);
  if (self->stream.release != NULL)
    self->stream.release(&self->stream);
  PyMem_Free(self->columns.payload_members);
  PyMem_Free(self->columns.context_members);
  sf_py_json_free(&self->json);
  sf_py_free(object);
}

/* ------------------------------------------------------------------------------------------------------------- Selection */

static PyObject *get_names(PyObject *object, void *closure) {
  (void)closure;
  const arrow_stream *self = (arrow_stream *)object;
  PyObject *names = PyList_New((Py_ssize_t)self->schema.n_children);
  for (int64_t i = 0; names != NULL && i < self->schema.n_children; i++) {
    PyObject *name = PyUnicode_FromString(sf_py_arrow_name(self->schema.children[i]));
    if (name == NULL)
      Py_CLEAR(names);
    else
      PyList_SetItem(names, (Py_ssize_t)i, name);
  }
  return names;
}

static const struct ArrowSchema *schema_of(const arrow_stream *self, int64_t column) {
  return self->schema.children[column];
}

static sf_py_arrow_kind kind_of(const struct ArrowSchema *schema) {
  return sf_py_arrow_type_of(schema).kind;
}

static bool is_text(const struct ArrowSchema *schema) {
  sf_py_arrow_type type = sf_py_arrow_type_of(schema);
  return (type.kind == SF_PY_ARROW_TEXT || type.kind == SF_PY_ARROW_TEXT_VIEW) && !type.is_binary;
}

/* The place of the column with a name, which is None (-1) or has to be there. */
static int find_column(arrow_stream *self, PyObject *name, int64_t *place) {
  *place = -1;
  if (name == Py_None)
    return 0;
  const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
  if (text == NULL)
    return -1;
  for (int64_t i = 0; i < self->schema.n_children; i++) {
    if (strcmp(sf_py_arrow_name(schema_of(self, i)), text) != 0)
      continue;
    if (*place >= 0) {
      sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
                 "column %s: expected one of that name, found several", text);
      return -1;
    }
    *place = i;
  }
  if (*place >= 0)
    return 0;
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
             "column %s: expected it, found none of that name", text);
  return -1;
}

static int fail_column(arrow_stream *self, const struct ArrowSchema *schema, const char *expected) {
  const char *found = schema->dictionary != NULL ? "dictionary" : schema->format;
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
             "column %s: expected %s, found Arrow's format '%s'", sf_py_arrow_name(schema), expected, found);
  return -1;
}

/* Whether JSON can be made of a column. */
static int check_member(arrow_stream *self, const struct ArrowSchema *schema) {
  static const char expected[] = "booleans, numbers, strings, lists or structs of these";
  const char *format;
  if (sf_py_json_can_write(schema, &format))
    return 0;
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
             "column %s: expected %s, found Arrow's format '%s'", sf_py_arrow_name(schema), expected, format);
  return -1;
}

/* The columns of a sequence of names; None gives none. */
static int find_members(arrow_stream *self, PyObject *names, int64_t **members, size_t *count) {
  if (names == Py_None)
    return 0;
  PyObject *all = PySequence_Tuple(names);
  if (all == NULL)
    return -1;
  *count = (size_t)PyTuple_Size(all);
  *members = PyMem_Calloc(*count + 1, sizeof(**members));
  int result = *members == NULL ? -1 : 0;
  if (result < 0)
    PyErr_NoMemory();
  for (size_t i = 0; i < *count && result == 0; i++) {
    result = find_column(self, PyTuple_GetItem(all, (Py_ssize_t)i), &(*members)[i]);
    if (result == 0)
      result = check_member(self, schema_of(self, (*members)[i]));
  }
  Py_DECREF(all);
  return result;
}

static int check_types(arrow_stream *self) {
  const selection *columns = &self->columns;
  const struct ArrowSchema *vector = schema_of(self, columns->vector);
  sf_py_arrow_kind kind = kind_of(vector);
  bool is_list = kind == SF_PY_ARROW_LIST || kind == SF_PY_ARROW_FIXED_SIZE_LIST;
  if (!is_list || kind_of(vector->children[0]) != SF_PY_ARROW_FLOAT)
    return fail_column(self, vector, "lists of float16, float32 or float64");
  const struct ArrowSchema *id = columns->id < 0 ? NULL : schema_of(self, columns->id);
  if (id != NULL && !is_text(id) && kind_of(id) != SF_PY_ARROW_INTEGER)
    return fail_column(self, id, "integers or strings");
  const struct ArrowSchema *shard_id = columns->shard_id < 0 ? NULL : schema_of(self, columns->shard_id);
  if (shard_id != NULL && kind_of(shard_id) != SF_PY_ARROW_INTEGER)
    return fail_column(self, shard_id, "integers");
  const struct ArrowSchema *payload = columns->payload < 0 ? NULL : schema_of(self, columns->payload);
  if (payload == NULL || is_text(payload) || kind_of(payload) == SF_PY_ARROW_NULL)
    return 0;
  if (kind_of(payload) != SF_PY_ARROW_STRUCT)
    return fail_column(self, payload, "JSON objects as strings, or structs");
  return check_member(self, payload);
}

static PyObject *select_columns(PyObject *object, PyObject *args) {
  arrow_stream *self = (arrow_stream *)object;
  PyObject *names[6];
  if (!PyArg_ParseTuple(args, "OOOOOO:select", &names[0], &names[1], &names[2], &names[3], &names[4], &names[5]))
    return NULL;
  selection *columns = &self->columns;
  if (self->is_selected || names[0] == Py_None)
    return PyErr_Format(PyExc_ValueError, "expected columns once, with one of vectors");
  self->is_selected = true;
  if (find_column(self, names[0], &columns->vector) < 0 || find_column(self, names[1], &columns->id) < 0 ||
      find_column(self, names[2], &columns->payload) < 0 || find_column(self, names[3], &columns->shard_id) < 0 ||
      find_members(self, names[4], &columns->payload_members, &columns->num_payload_members) < 0 ||
      find_members(self, names[5], &columns->context_members, &columns->num_context_members) < 0 ||
      check_types(self) < 0)
    return NULL;
  Py_RETURN_NONE;
}

/* ---------------------------------------------------------------------------------------------------------------- Chunks */

/* Whether an array has the buffers and children that its type asks for. */
static bool has_layout(const struct ArrowSchema *schema, const struct ArrowArray *array) {
  static const int64_t num_buffers[] = {[SF_PY_ARROW_NULL] = 0,    [SF_PY_ARROW_BOOL] = 2,
                                        [SF_PY_ARROW_INTEGER] = 2, [SF_PY_ARROW_FLOAT] = 2,
                                        [SF_PY_ARROW_TEXT] = 3,    [SF_PY_ARROW_TEXT_VIEW] = 3,
                                        [SF_PY_ARROW_LIST] = 2,    [SF_PY_ARROW_FIXED_SIZE_LIST] = 1,
                                        [SF_PY_ARROW_STRUCT] = 1,  [SF_PY_ARROW_OTHER] = 0};
  sf_py_arrow_kind kind = kind_of(schema);
  if (array->n_buffers < num_buffers[kind] || array->offset < 0 || array->length < 0)
    return false;
  if (kind == SF_PY_ARROW_OTHER)
    return true;
  if (array->n_children != schema->n_children)
    return false;
  for (int64_t i = 0; i < schema->n_children; i++) {
    const struct ArrowArray *child = array->children[i];
    bool is_long_enough = kind != SF_PY_ARROW_STRUCT || child->length >= array->offset + array->length;
    if (!is_long_enough || !has_layout(schema->children[i], child))
      return false;
  }
  return true;
}

/* Makes the next chunk that has rows the current one: 1, 0 at the end, -1 with an exception set. */
static int next_chunk(arrow_stream *self) {
  while (true) {
    int failure;
    self->num_rows += (unsigned long long)self->chunk.length;
    self->next = 0;
    self->is_busy = true;
    Py_BEGIN_ALLOW_THREADS
    release_chunk(self);
    failure = self->stream.get_next(&self->stream, &self->chunk);
    Py_END_ALLOW_THREADS
    self->is_busy = false;
    if (failure != 0) {
      self->chunk = (struct ArrowArray){0};
      fail_stream(self, failure);
      return -1;
    }
    if (self->chunk.release == NULL)
      return 0;
    if (!has_layout(&self->schema, &self->chunk)) {
      PyErr_SetString(PyExc_ValueError, "the Arrow stream gave a chunk that does not fit its schema");
      return -1;
    }
    if (self->chunk.length > 0)
      return 1;
  }
}

/* ------------------------------------------------------------------------------------------------------- Rows of a slice */

/* What a slice is made from. */
typedef struct slice {
  arrow_stream *stream;
  sf_py_rows *rows;
  int64_t first; /* as columns count: the chunk's offset is added */
  unsigned long long number;
} slice;

static sf_py_arrow_column column_of(const arrow_stream *self, int64_t place) {
  return (sf_py_arrow_column){.schema = self->schema.children[place],
                              .array = self->chunk.children[place],
                              .type = sf_py_arrow_type_of(self->schema.children[place])};
}

static sf_py_place place_of(const slice *of, const sf_py_arrow_column *column, size_t row) {
  return (sf_py_place){.row = row, .name = sf_py_arrow_name(column->schema), .number = of->number + row};
}

static int fail_null(const slice *of, const sf_py_arrow_column *column, size_t row, const char *expected) {
  sf_py_place place = place_of(of, column, row);
  return sf_py_rows_fail(of->rows, &place, "expected %s, found null", expected);
}

static int fail_outside(const slice *of, const sf_py_arrow_column *column, size_t row) {
  sf_py_place place = place_of(of, column, row);
  return sf_py_rows_fail(of->rows, &place, "expected a value within the column's array, found one outside");
}

static int check_components(const slice *of, const sf_py_arrow_column *vectors, const sf_py_arrow_column *components,
                            int64_t first, size_t row) {
  size_t dim = of->rows->dim;
  for (size_t i = 0; components->array->null_count != 0 && i < dim; i++) {
    if (!sf_py_arrow_is_null(components, first + (int64_t)i))
      continue;
    sf_py_place place = place_of(of, vectors, row);
    return sf_py_rows_fail(of->rows, &place, "component %zu: expected a number, found null", i);
  }
  return 0;
}

/* Whether the vector of a row is one, with as many components as are wanted; *first is where they begin. */
static int check_vector(const slice *of, const sf_py_arrow_column *vectors, const sf_py_arrow_column *components,
                        size_t row, int64_t *first) {
  int64_t count;
  if (sf_py_arrow_is_null(vectors, of->first + (int64_t)row))
    return fail_null(of, vectors, row, "a vector");
  if (!sf_py_arrow_list(vectors, of->first + (int64_t)row, first, &count))
    return fail_outside(of, vectors, row);
  if ((size_t)count == of->rows->dim)
    return check_components(of, vectors, components, *first, row);
  sf_py_place place = place_of(of, vectors, row);
  return sf_py_rows_fail(of->rows, &place, "expected %zu components, found %zu", of->rows->dim, (size_t)count);
}

/* Lists without nulls follow one another in their child: the slice's vectors are one array, in place. */
static int fill_vectors(const slice *of, size_t count) {
  sf_py_arrow_column vectors = column_of(of->stream, of->stream->columns.vector);
  sf_py_arrow_column components = sf_py_arrow_child(&vectors, 0);
  int64_t first = 0;
  for (size_t row = 0; row < count; row++) {
    int64_t begin = 0;
    if (check_vector(of, &vectors, &components, row, &begin) < 0)
      return -1;
    first = row == 0 ? begin : first;
    if (begin != first + (int64_t)(row * of->rows->dim))
      return fail_outside(of, &vectors, row);
  }
  size_t width = components.type.width;
  sf_row_batch *batch = &of->rows->batch;
  batch->dim = of->rows->dim;
  batch->vector_type = width == 2 ? SF_FLOAT16 : width == 4 ? SF_FLOAT32 : SF_FLOAT64;
  batch->vectors = (const char *)components.array->buffers[1] + (size_t)(components.array->offset + first) * width;
  if ((uintptr_t)batch->vectors % width == 0)
    return 0;
  PyMem_Free(of->rows->strided);
  of->rows->strided = PyMem_Malloc(count * batch->dim * width);
  if (of->rows->strided == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  batch->vectors = memcpy(of->rows->strided, batch->vectors, count * batch->dim * width);
  return 0;
}

static int fill_integers(const slice *of, const sf_py_arrow_column *column, size_t count, int64_t *integers) {
  for (size_t row = 0; row < count; row++) {
    int64_t at = of->first + (int64_t)row;
    if (sf_py_arrow_is_null(column, at))
      return fail_null(of, column, row, "an integer");
    if (sf_py_arrow_integer(column, at, &integers[row]))
      continue;
    sf_py_place place = place_of(of, column, row);
    return sf_py_rows_fail(of->rows, &place, "expected an integer of at most 2^63 - 1, found %llu",
                           (unsigned long long)integers[row]);
  }
  return 0;
}

static int fill_ids(const slice *of, size_t count) {
  sf_py_rows *rows = of->rows;
  sf_py_arrow_column column = column_of(of->stream, of->stream->columns.id);
  if (column.type.kind == SF_PY_ARROW_INTEGER) {
    rows->batch.integer_ids = rows->integer_ids;
    return fill_integers(of, &column, count, rows->integer_ids);
  }
  rows->batch.string_ids = rows->string_ids;
  rows->batch.string_id_lengths = rows->id_lengths;
  for (size_t row = 0; row < count; row++) {
    int64_t at = of->first + (int64_t)row;
    if (sf_py_arrow_is_null(&column, at))
      return fail_null(of, &column, row, "an id");
    if (!sf_py_arrow_text(&column, at, &rows->string_ids[row], &rows->id_lengths[row]))
      return fail_outside(of, &column, row);
  }
  return 0;
}

/* Keeps what was written to the stream's buffer. */
static const char *keep_json(const slice *of, int written) {
  return written < 0 ? NULL : sf_py_rows_keep_text(of->rows, of->stream->json.text, of->stream->json.length);
}

static int fill_payloads(const slice *of, size_t count) {
  sf_py_rows *rows = of->rows;
  sf_py_json *json = &of->stream->json;
  sf_py_arrow_column column = column_of(of->stream, of->stream->columns.payload);
  rows->batch.payloads = rows->payloads;
  rows->batch.payload_lengths = rows->payload_lengths;
  for (size_t row = 0; row < count; row++) {
    int64_t at = of->first + (int64_t)row;
    const char *text;
    if (sf_py_arrow_is_null(&column, at))
      continue;
    json->length = 0;
    if (column.type.kind == SF_PY_ARROW_STRUCT) {
      int written = sf_py_json_put_struct(json, &column, at);
      rows->payload_lengths[row] = json->length;
      rows->payloads[row] = keep_json(of, written);
    } else {
      if (!sf_py_arrow_text(&column, at, &text, &rows->payload_lengths[row]))
        return fail_outside(of, &column, row);
      rows->payloads[row] = sf_py_rows_keep_text(rows, text, rows->payload_lengths[row]);
    }
    if (rows->payloads[row] == NULL)
      return -1;
  }
  return 0;
}

/* One JSON object a row, of the columns with these places. */
static int fill_objects(const slice *of, const int64_t *members, size_t num_members, size_t count, const char **texts,
                        size_t *lengths) {
  sf_py_json *json = &of->stream->json;
  sf_py_arrow_column *columns = PyMem_Calloc(num_members + 1, sizeof(*columns));
  int result = columns == NULL ? -1 : 0;
  if (result < 0)
    PyErr_NoMemory();
  for (size_t i = 0; i < num_members && result == 0; i++)
    columns[i] = column_of(of->stream, members[i]);
  for (size_t row = 0; row < count && result == 0; row++) {
    json->length = 0;
    texts[row] = keep_json(of, sf_py_json_put_object(json, columns, num_members, of->first + (int64_t)row));
    lengths[row] = json->length;
    result = texts[row] == NULL ? -1 : 0;
  }
  PyMem_Free(columns);
  return result;
}

static int fill_slice(const slice *of, size_t count) {
  const selection *columns = &of->stream->columns;
  sf_py_rows *rows = of->rows;
  sf_row_batch *batch = &rows->batch;
  batch->count = count;
  batch->vectors_name = sf_py_arrow_name(schema_of(of->stream, columns->vector));
  if (fill_vectors(of, count) < 0)
    return -1;
  if (columns->id >= 0) {
    batch->ids_name = sf_py_arrow_name(schema_of(of->stream, columns->id));
    if (fill_ids(of, count) < 0)
      return -1;
  }
  if (columns->shard_id >= 0) {
    sf_py_arrow_column column = column_of(of->stream, columns->shard_id);
    batch->shard_ids_name = sf_py_arrow_name(column.schema);
    batch->shard_ids = rows->shard_ids;
    if (fill_integers(of, &column, count, rows->shard_ids) < 0)
      return -1;
  }
  if (columns->context_members != NULL) {
    batch->routing_contexts = rows->contexts;
    if (fill_objects(of, columns->context_members, columns->num_context_members, count, rows->contexts,
                     rows->payload_lengths) < 0)
      return -1;
  }
  if (columns->payload >= 0) {
    batch->payloads_name = sf_py_arrow_name(schema_of(of->stream, columns->payload));
    return fill_payloads(of, count);
  }
  if (columns->payload_members == NULL)
    return 0;
  batch->payloads = rows->payloads;
  batch->payload_lengths = rows->payload_lengths;
  return fill_objects(of, columns->payload_members, columns->num_payload_members, count, rows->payloads,
                      rows->payload_lengths);
}

int sf_py_arrow_stream_fill(PyObject *object, sf_py_rows *rows) {
  arrow_stream *self = (arrow_stream *)object;
  if (Py_TYPE(object) != rows->state->arrow_stream_type || !self->is_selected || self->is_busy) {
    PyErr_SetString(PyExc_TypeError, "expected an Arrow stream, its columns selected, that nobody else reads");
    return -1;
  }
  if (self->chunk.release == NULL || self->next == self->chunk.length) {
    int has_next = next_chunk(self);
    if (has_next <= 0)
      return has_next;
  }
  int64_t left = self->chunk.length - self->next;
  size_t count = (uint64_t)left < rows->capacity ? (size_t)left : rows->capacity;
  slice of = {.stream = self,
              .rows = rows,
              .first = self->chunk.offset + self->next,
              .number = self->num_rows + (unsigned long long)self->next};
  if (fill_slice(&of, count) < 0)
    return -1;
  self->next += (int64_t)count;
  return 1;
}

/* ------------------------------------------------------------------------------------------------------------------ Type */

static PyGetSetDef properties[] = {{"names", get_names, NULL, "The names of the columns.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef methods[] = {
    {"select", select_columns, METH_VARARGS,
     "Names the columns: vector, id, payload, shard_id, then those of payloads and of routing contexts; None: none."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, SF_PY_SLOT(construct)},
                              {Py_tp_dealloc, SF_PY_SLOT(dealloc)},
                              {Py_tp_getset, properties},
                              {Py_tp_methods, methods},
                              {0, NULL}};

static PyType_Spec spec = {.name = "shardyfusion._core.ArrowStream",
                           .basicsize = sizeof(arrow_stream),
                           .flags = Py_TPFLAGS_DEFAULT,
                           .slots = slots};

int sf_py_add_arrow_streams(PyObject *module, sf_py_state *state) {
  state->arrow_stream_type = sf_py_add_type(module, &spec, 1);
  return state->arrow_stream_type == NULL ? -1 : 0;
}
