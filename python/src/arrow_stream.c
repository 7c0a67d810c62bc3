#include "arrow_stream.h"

#include "arrow.h"
#include "arrow_rows.h"
#include "errors.h"
#include "object.h"

#include <string.h>

typedef struct arrow_stream {
  PyObject_HEAD
  struct ArrowArrayStream stream;
  struct ArrowSchema schema;
  struct ArrowArray chunk;
  int64_t next;                /* row of the chunk */
  unsigned long long num_rows; /* before it */
  sf_py_arrow_selection columns;
  sf_py_json json;
  bool is_selected; /* this and the next are guarded by the object's lock */
  bool is_busy;     /* claimed */
} arrow_stream;

/* For a call that other threads may come in between: producers of chunks, and zones of time, are the caller's code. */
static bool claim(arrow_stream *self, bool is_selected) {
  bool is_claimed;
  SF_PY_BEGIN_LOCK(self);
  is_claimed = !self->is_busy && self->is_selected == is_selected;
  if (is_claimed)
    self->is_busy = true;
  SF_PY_END_LOCK;
  return is_claimed;
}

static void unclaim(arrow_stream *self) {
  SF_PY_BEGIN_LOCK(self);
  self->is_selected = true;
  self->is_busy = false;
  SF_PY_END_LOCK;
}

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
  if (capsule == NULL)
    return -1;
  struct ArrowArrayStream *stream = NULL;
  if (PyCapsule_IsValid(capsule, "arrow_array_stream"))
    stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
  int result = -1;
  if (stream == NULL)
    sf_py_fail_found(sf_py_state_of((PyObject *)self), capsule,
                     "Arrow stream: expected a capsule of the name arrow_array_stream");
  else if (stream->release == NULL || stream->get_schema == NULL || stream->get_next == NULL)
    sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
               "Arrow stream: expected one that nobody has taken, found one that was released");
  else {
    self->stream = *stream;
    stream->release = NULL;
    result = 0;
  }
  Py_DECREF(capsule);
  return result;
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
  if (!sf_py_arrow_is_schema(&self->schema)) {
    sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
               "Arrow stream: expected a schema with a format and children, found one without, or nested too deeply");
    goto failed;
  }
  if (strcmp(self->schema.format, "+s") == 0 && self->schema.dictionary == NULL)
    return (PyObject *)self;
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
             "Arrow stream: expected a table, with columns, found values of format '%.100s'", self->schema.format);
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

static PyObject *decode_name(const char *name) {
  return PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "replace");
}

static PyObject *get_names(PyObject *object, void *closure) {
  (void)closure;
  const arrow_stream *self = (arrow_stream *)object;
  PyObject *names = PyList_New((Py_ssize_t)self->schema.n_children);
  for (int64_t i = 0; names != NULL && i < self->schema.n_children; i++) {
    PyObject *name = decode_name(sf_py_arrow_name(self->schema.children[i]));
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

/* Of values, after dictionaries and run ends are followed. */
static sf_py_arrow_kind kind_of(const struct ArrowSchema *schema) {
  return sf_py_arrow_type_of(sf_py_arrow_values(schema)).kind;
}

static bool is_text(const struct ArrowSchema *schema) {
  sf_py_arrow_type type = sf_py_arrow_type_of(sf_py_arrow_values(schema));
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
                 "column %.200s: expected one of that name, found several", text);
      return -1;
    }
    *place = i;
  }
  if (*place >= 0)
    return 0;
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
             "column %.200s: expected it, found none of that name", text);
  return -1;
}

static int fail_format(arrow_stream *self, const struct ArrowSchema *schema, const char *expected, const char *format) {
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_CONFIG_VALIDATION_ERROR,
             "column %.200s: expected %s, found Arrow's format '%.100s'%s", sf_py_arrow_name(schema), expected, format,
             schema->dictionary != NULL ? " in a dictionary" : "");
  return -1;
}

static int fail_column(arrow_stream *self, const struct ArrowSchema *schema, const char *expected) {
  return fail_format(self, schema, expected, sf_py_arrow_values(schema)->format);
}

/* Whether JSON can be made of a column. */
static int check_member(arrow_stream *self, const struct ArrowSchema *schema) {
  const char *format;
  if (sf_py_json_can_write(schema, &format))
    return 0;
  return fail_format(self, schema,
                     "booleans, numbers, strings, bytes, decimals, dates, times, lists, structs or maps of these",
                     format);
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

static bool is_vector(const struct ArrowSchema *schema) {
  sf_py_arrow_kind kind = sf_py_arrow_type_of(schema).kind;
  bool is_list = kind == SF_PY_ARROW_LIST || kind == SF_PY_ARROW_LIST_VIEW || kind == SF_PY_ARROW_FIXED_SIZE_LIST;
  sf_py_arrow_kind component = is_list ? sf_py_arrow_type_of(schema->children[0]).kind : SF_PY_ARROW_OTHER;
  return component == SF_PY_ARROW_FLOAT || component == SF_PY_ARROW_INTEGER;
}

static int check_types(arrow_stream *self) {
  const sf_py_arrow_selection *columns = &self->columns;
  const struct ArrowSchema *vector = schema_of(self, columns->vector);
  if (!is_vector(vector)) {
    sf_py_arrow_kind kind = sf_py_arrow_type_of(vector).kind;
    bool is_list = kind == SF_PY_ARROW_LIST || kind == SF_PY_ARROW_LIST_VIEW || kind == SF_PY_ARROW_FIXED_SIZE_LIST;
    return fail_format(self, vector, "lists of float16, float32, float64 or integers",
                       is_list ? vector->children[0]->format : vector->format);
  }
  const struct ArrowSchema *id = columns->id < 0 ? NULL : schema_of(self, columns->id);
  if (id != NULL && !is_text(id) && kind_of(id) != SF_PY_ARROW_INTEGER && kind_of(id) != SF_PY_ARROW_UUID)
    return fail_column(self, id, "integers or strings");
  const struct ArrowSchema *shard_id = columns->shard_id < 0 ? NULL : schema_of(self, columns->shard_id);
  if (shard_id != NULL && kind_of(shard_id) != SF_PY_ARROW_INTEGER)
    return fail_column(self, shard_id, "integers");
  const struct ArrowSchema *payload = columns->payload < 0 ? NULL : schema_of(self, columns->payload);
  if (payload == NULL || is_text(payload) || kind_of(payload) == SF_PY_ARROW_NULL)
    return 0;
  if (kind_of(payload) != SF_PY_ARROW_STRUCT && kind_of(payload) != SF_PY_ARROW_MAP)
    return fail_column(self, payload, "JSON objects as strings, or structs");
  return check_member(self, payload);
}

static PyObject *select_columns(PyObject *object, PyObject *args) {
  arrow_stream *self = (arrow_stream *)object;
  PyObject *names[6];
  if (!PyArg_ParseTuple(args, "OOOOOO:select", &names[0], &names[1], &names[2], &names[3], &names[4], &names[5]))
    return NULL;
  sf_py_arrow_selection *columns = &self->columns;
  /* Claimed for good where it fails: the columns are found only in part. */
  if (names[0] == Py_None || !claim(self, false))
    return PyErr_Format(PyExc_ValueError, "expected columns once, with one of vectors");
  if (find_column(self, names[0], &columns->vector) < 0 || find_column(self, names[1], &columns->id) < 0 ||
      find_column(self, names[2], &columns->payload) < 0 || find_column(self, names[3], &columns->shard_id) < 0 ||
      find_members(self, names[4], &columns->payload_members, &columns->num_payload_members) < 0 ||
      find_members(self, names[5], &columns->context_members, &columns->num_context_members) < 0 ||
      check_types(self) < 0)
    return NULL;
  unclaim(self);
  Py_RETURN_NONE;
}

/* ---------------------------------------------------------------------------------------------------------------- Chunks */

/* Makes the next chunk that has rows the current one: 1, 0 at the end, -1 with an exception set. */
static int next_chunk(arrow_stream *self) {
  while (true) {
    int failure;
    self->num_rows += (unsigned long long)self->chunk.length;
    self->next = 0;
    Py_BEGIN_ALLOW_THREADS
    release_chunk(self);
    failure = self->stream.get_next(&self->stream, &self->chunk);
    Py_END_ALLOW_THREADS
    if (failure != 0) {
      self->chunk = (struct ArrowArray){0};
      fail_stream(self, failure);
      return -1;
    }
    if (self->chunk.release == NULL)
      return 0;
    if (!sf_py_arrow_has_layout(&self->schema, &self->chunk)) {
      PyErr_SetString(PyExc_ValueError, "the Arrow stream gave a chunk that does not fit its schema");
      return -1;
    }
    if (self->chunk.length > 0)
      return 1;
  }
}

static int fill(arrow_stream *self, sf_py_rows *rows) {
  if (self->chunk.release == NULL || self->next == self->chunk.length) {
    int has_next = next_chunk(self);
    if (has_next <= 0)
      return has_next;
  }
  int64_t left = self->chunk.length - self->next;
  size_t count = (uint64_t)left < rows->capacity ? (size_t)left : rows->capacity;
  sf_py_arrow_slice of = {.schema = &self->schema,
                          .chunk = &self->chunk,
                          .columns = &self->columns,
                          .json = &self->json,
                          .rows = rows,
                          .first = self->chunk.offset + self->next,
                          .number = self->num_rows + (unsigned long long)self->next};
  if (sf_py_arrow_slice_fill(&of, count) < 0)
    return -1;
  self->next += (int64_t)count;
  return 1;
}

int sf_py_arrow_stream_fill(PyObject *object, sf_py_rows *rows) {
  arrow_stream *self = (arrow_stream *)object;
  if (Py_TYPE(object) != rows->state->arrow_stream_type || !claim(self, true)) {
    PyErr_SetString(PyExc_TypeError, "expected an Arrow stream, its columns selected, that nobody else reads");
    return -1;
  }
  int filled = fill(self, rows);
  unclaim(self);
  return filled;
}

/* ------------------------------------------------------------------------------------------------------------------ Type */

static PyGetSetDef properties[] = {{"names", get_names, NULL, "The names of the columns.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef methods[] = {{"select", select_columns, METH_VARARGS,
                                 "Selects columns: vector, id, payload, shard_id, then those of payloads and of "
                                 "routing contexts; None: no column."},
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
