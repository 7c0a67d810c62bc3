#include "sink.h"

#include "object.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Maximum length of the queue; beyond it the oldest record is dropped. */
#define MAX_RECORDS 65536

/* An event or a log message, followed by its strings in the same allocation. */
typedef struct record {
  struct record *next;
  bool is_event;
  sf_log_level level;
  const char *text; /* the message; NULL: none */
  const char *manifest_ref;
  const char *run_id;
  sf_event event; /* its strings are the ones above */
} record;

typedef struct sink {
  PyObject_HEAD
  pthread_mutex_t mutex; /* guards all below; never held while the GIL is waited for */
  bool has_mutex;
  record *first;
  record *last;
  size_t count;
  bool wants_events;
  sf_py_credentials credentials; /* guarded by the object's lock */
} sink;

/* Without the GIL, from here to the next line of this kind. ----------------------------------------------------------- */

static const char *put_text(char **next, const char *text) {
  if (text == NULL)
    return NULL;
  size_t size = strlen(text) + 1;
  const char *copy = memcpy(*next, text, size);
  *next += size;
  return copy;
}

static size_t text_size(const char *text) {
  return text == NULL ? 0 : strlen(text) + 1;
}

static record *make_record(const char *text, const char *manifest_ref, const char *run_id) {
  record *made = malloc(sizeof(*made) + text_size(text) + text_size(manifest_ref) + text_size(run_id));
  if (made == NULL)
    return NULL;
  char *next = (char *)(made + 1);
  *made = (record){0};
  made->text = put_text(&next, text);
  made->manifest_ref = put_text(&next, manifest_ref);
  made->run_id = put_text(&next, run_id);
  return made;
}

static void append(sink *to, record *added) {
  record *dropped = NULL;
  pthread_mutex_lock(&to->mutex);
  if (to->count == MAX_RECORDS) {
    dropped = to->first;
    to->first = dropped->next;
    to->count--;
  }
  *(to->first != NULL ? &to->last->next : &to->first) = added;
  to->last = added;
  to->count++;
  pthread_mutex_unlock(&to->mutex);
  free(dropped);
}

static void receive_log(sf_log_level level, const char *message, void *user_data) {
  record *made = make_record(message, NULL, NULL);
  if (made == NULL)
    return;
  made->level = level;
  append(user_data, made);
}

static void receive_event(const sf_event *event, void *user_data) {
  record *made = make_record(event->message, event->manifest_ref, event->run_id);
  if (made == NULL)
    return;
  made->is_event = true;
  memcpy(&made->event, event, event->size < sizeof(made->event) ? event->size : sizeof(made->event));
  append(user_data, made);
}

static record *take_all(sink *from) {
  pthread_mutex_lock(&from->mutex);
  record *taken = from->first;
  from->first = from->last = NULL;
  from->count = 0;
  pthread_mutex_unlock(&from->mutex);
  return taken;
}

static void free_records(record *freed) {
  while (freed != NULL) {
    record *next = freed->next;
    free(freed);
    freed = next;
  }
}

/* With the GIL again. --------------------------------------------------------------------------------------------------- */

void sf_py_sink_attach(PyObject *object, sf_reader_options *options) {
  sink *self = (sink *)object;
  options->log = receive_log;
  options->log_user_data = self;
  if (self->wants_events) {
    options->event = receive_event;
    options->event_user_data = self;
  }
}

void sf_py_sink_attach_build(PyObject *object, sf_build_options *options) {
  options->log = receive_log;
  options->log_user_data = object;
}

void sf_py_sink_attach_log(PyObject *object, sf_log_callback *log, void **user_data) {
  *log = receive_log;
  *user_data = object;
}

/* Puts a value (taken over) into the fields; false when either fails. */
static bool put(PyObject *fields, const char *name, PyObject *value) {
  bool done = value != NULL && PyDict_SetItemString(fields, name, value) == 0;
  Py_XDECREF(value);
  return done;
}

static PyObject *text_or_none(const char *text) {
  return text == NULL ? Py_NewRef(Py_None) : PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

/* The outcome: `error` is None or the name of the exception, `message` its text. */
static bool put_outcome(PyObject *fields, const record *from) {
  const sf_event *event = &from->event;
  return put(fields, "error", text_or_none(event->code == SF_OK ? NULL : sf_code_name(event->code))) &&
         put(fields, "message", text_or_none(from->text));
}

static bool put_snapshot(PyObject *fields, const record *from) {
  return put(fields, "manifest_ref", text_or_none(from->manifest_ref)) &&
         put(fields, "run_id", text_or_none(from->run_id)) &&
         put(fields, "num_shards", PyLong_FromUnsignedLong(from->event.num_shards));
}

static bool put_rows(PyObject *fields, const sf_event *event) {
  return put(fields, "num_vectors", PyLong_FromUnsignedLongLong(event->num_rows)) &&
         put(fields, "num_not_finite", PyLong_FromUnsignedLongLong(event->num_not_finite));
}

static bool put_fields(PyObject *fields, const record *from) {
  const sf_event *event = &from->event;
  switch (event->type) {
  case SF_EVENT_READER_INITIALIZED:
    return put_snapshot(fields, from);
  case SF_EVENT_READER_REFRESHED:
    return put(fields, "changed", PyBool_FromLong(event->changed)) && put_snapshot(fields, from) &&
           put_outcome(fields, from);
  case SF_EVENT_READER_CLOSED:
    return put(fields, "manifest_ref", text_or_none(from->manifest_ref));
  case SF_EVENT_SEARCH:
    return put(fields, "top_k", PyLong_FromLongLong(event->top_k)) &&
           put(fields, "num_results", PyLong_FromUnsignedLongLong(event->num_results)) &&
           put(fields, "num_shards_queried", PyLong_FromUnsignedLong(event->num_shards)) &&
           put(fields, "num_matching", PyLong_FromUnsignedLongLong(event->num_matching)) &&
           put(fields, "filter_ms", PyFloat_FromDouble(event->filter_ms)) && put_outcome(fields, from);
  case SF_EVENT_SHARD_SEARCH:
    return put(fields, "shard_id", PyLong_FromUnsignedLong(event->shard_id)) && put_rows(fields, event) &&
           put(fields, "top_k", PyLong_FromLongLong(event->top_k));
  case SF_EVENT_SHARD_LOAD:
    return put(fields, "shard_id", PyLong_FromUnsignedLong(event->shard_id)) && put_rows(fields, event) &&
           put_outcome(fields, from);
  case SF_EVENT_LISTS_LOAD:
    return put(fields, "shard_id", PyLong_FromUnsignedLong(event->shard_id)) &&
           put(fields, "num_vectors", PyLong_FromUnsignedLongLong(event->num_rows)) && put_outcome(fields, from);
  case SF_EVENT_FALLBACK:
    return put(fields, "manifest_ref", text_or_none(from->manifest_ref)) && put_outcome(fields, from);
  }
  return true;
}

/* (name, fields) of an event, (level, message) of a log message. */
static PyObject *describe(const record *from) {
  if (!from->is_event)
    return Py_BuildValue("(iN)", (int)from->level, text_or_none(from->text));
  PyObject *fields = PyDict_New();
  bool done = fields != NULL && put_fields(fields, from);
  if (done && from->event.type != SF_EVENT_FALLBACK)
    done = put(fields, "duration_ms", PyFloat_FromDouble(from->event.duration_ms));
  if (done)
    return Py_BuildValue("(sN)", sf_event_type_name(from->event.type), fields);
  Py_XDECREF(fields);
  return NULL;
}

static PyObject *take(PyObject *object, PyObject *unused) {
  (void)unused;
  record *taken = take_all((sink *)object);
  if (taken == NULL)
    Py_RETURN_NONE;
  PyObject *list = PyList_New(0);
  for (const record *next = taken; list != NULL && next != NULL; next = next->next) {
    PyObject *described = describe(next);
    if (described == NULL || PyList_Append(list, described) < 0)
      Py_CLEAR(list);
    Py_XDECREF(described);
  }
  free_records(taken);
  return list;
}

static PyObject *construct(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  int wants_events;
  if (!PyArg_ParseTuple(args, "p:Sink", &wants_events) || kwargs != NULL)
    return NULL;
  sink *self = (sink *)PyType_GenericAlloc(type, 0);
  if (self == NULL)
    return NULL;
  self->wants_events = wants_events != 0;
  self->has_mutex = pthread_mutex_init(&self->mutex, NULL) == 0;
  if (self->has_mutex)
    return (PyObject *)self;
  Py_DECREF(self);
  return PyErr_NoMemory();
}

sf_py_credentials *sf_py_sink_credentials(PyObject *object) {
  return &((sink *)object)->credentials;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
  const sink *self = (sink *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->credentials.provider);
  Py_VISIT(self->credentials.failure);
  return 0;
}

static int clear(PyObject *object) {
  sink *self = (sink *)object;
  Py_CLEAR(self->credentials.provider);
  Py_CLEAR(self->credentials.failure);
  return 0;
}

static void dealloc(PyObject *object) {
  sink *self = (sink *)object;
  PyObject_GC_UnTrack(object);
  clear(object);
  free_records(self->first);
  if (self->has_mutex)
    pthread_mutex_destroy(&self->mutex);
  sf_py_gc_free(object);
}

static PyMethodDef methods[] = {{"take", take, METH_NOARGS,
                                 "Takes what was added since the last call, oldest first, or None: (name, fields) of "
                                 "events, (level, message) of logs."},
                                {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, SF_PY_SLOT(construct)},
                              {Py_tp_dealloc, SF_PY_SLOT(dealloc)},
                              {Py_tp_traverse, SF_PY_SLOT(traverse)},
                              {Py_tp_clear, SF_PY_SLOT(clear)},
                              {Py_tp_methods, methods},
                              {0, NULL}};

static PyType_Spec spec = {.name = "shardyfusion._core.Sink",
                           .basicsize = sizeof(sink),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                           .slots = slots};

int sf_py_add_sinks(PyObject *module, sf_py_state *state) {
  state->sink_type = sf_py_add_type(module, &spec, 1);
  return state->sink_type == NULL ? -1 : 0;
}
