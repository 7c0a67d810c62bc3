#include "operation.h"

#include "errors.h"
#include "object.h"
#include "s3.h"

#include <shardyfusion/reader.h>

#include <unistd.h>

/* How long a thread that waits for an operation goes without checking for signals (Ctrl-C). */
#define SIGNAL_INTERVAL_MS 50

/* The most operations of one wake-up. Each costs the loop some 40 µs, with what its task then does: timers and other
 * descriptors get their turn between the batches, since the queue's descriptor stays readable. */
#define MAX_DRAINED 8

struct sf_py_queue {
  PyObject_HEAD
  sf_completion_queue *queue;
  sf_py_operation *first; /* under way */
  long process;
  bool is_abandoned;
};

/* The library's operation, which is the caller's from here on; NULL where another thread took it. */
static sf_operation *take_operation(sf_py_operation *self) {
  sf_operation *operation;
  SF_PY_BEGIN_LOCK(self);
  operation = self->operation;
  self->operation = NULL;
  SF_PY_END_LOCK;
  return operation;
}

/* Releases the library's operation. One that is in flight on a root is cancelled, and waited for: the library uses the sink
 * until it ends. (A reader holds the sink as long.) A fork's child leaves its parent's operations alone. */
static void drop_operation(sf_py_operation *self) {
  sf_operation *operation = take_operation(self);
  if (operation == NULL || self->process != (long)getpid())
    return;
  Py_BEGIN_ALLOW_THREADS
  if (self->reader == NULL) {
    sf_operation_cancel(operation);
    sf_operation_wait(operation, -1);
    sf_reader_free(sf_operation_take_reader(operation)); /* here: the release may leave it to a thread of the library */
  }
  sf_operation_release(operation);
  Py_END_ALLOW_THREADS
}

/* With the queue's lock. */
static void unlink_operation(sf_py_operation *self) {
  if (self->queue == NULL)
    return;
  *(self->previous != NULL ? &self->previous->next : &self->queue->first) = self->next;
  if (self->next != NULL)
    self->next->previous = self->previous;
  self->queue = NULL;
  self->previous = self->next = NULL;
}

/* Raises its error: the exception of a credential provider unchanged, else the library's error. */
static PyObject *raise_failure(const sf_py_state *state, const sf_py_operation *self, const sf_error *error) {
  PyObject *failure = self->sink == NULL ? NULL : sf_py_sink_take_failure(self->sink, error);
  if (failure == NULL)
    return sf_py_raise(state, error);
  PyErr_SetObject((PyObject *)Py_TYPE(failure), failure);
  Py_DECREF(failure);
  return NULL;
}

/* The outcome of a finished operation, or NULL with its error raised. The operation is done with. */
static PyObject *finish(sf_py_operation *self) {
  const sf_py_state *state = sf_py_state_of((PyObject *)self);
  sf_operation *operation = take_operation(self);
  if (operation == NULL)
    return sf_py_fail(state, SF_READER_STATE_ERROR, "the operation was abandoned");
  sf_error error;
  PyObject *outcome;
  sf_code code = sf_operation_result(operation, &error);
  bool is_cancelled;
  SF_PY_BEGIN_LOCK(self);
  is_cancelled = self->is_cancelled;
  SF_PY_END_LOCK;
  if (code == SF_OK)
    outcome = self->take(state, self, operation);
  else if (code == SF_CANCELLED_ERROR && !is_cancelled)
    outcome = sf_py_fail(state, SF_READER_STATE_ERROR, "the reader was closed while the operation was in flight");
  else
    outcome = raise_failure(state, self, &error);
  sf_operation_release(operation);
  return outcome;
}

/* A future that is done (it was cancelled) takes no result. */
static int is_done(const sf_py_state *state, PyObject *future) {
  PyObject *done = PyObject_CallMethodObjArgs(future, state->done, NULL);
  int result = done == NULL ? -1 : PyObject_IsTrue(done);
  Py_XDECREF(done);
  return result;
}

/* The exception that is set, which it is no longer. */
static PyObject *take_exception(void) {
  PyObject *type = NULL;
  PyObject *value = NULL;
  PyObject *traceback = NULL;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
}

/* Sets the future from the outcome (taken over), or from the exception that is set. */
static int resolve(const sf_py_state *state, PyObject *future, PyObject *outcome) {
  PyObject *method = outcome != NULL ? state->set_result : state->set_exception;
  PyObject *value = outcome != NULL ? outcome : take_exception();
  int done = is_done(state, future);
  PyObject *set = done == 0 ? PyObject_CallMethodObjArgs(future, method, value, NULL) : NULL;
  Py_XDECREF(value);
  Py_XDECREF(set);
  return done > 0 || set != NULL ? 0 : -1;
}

/* Operation. ------------------------------------------------------------------------------------------------------ */

sf_py_operation *sf_py_operation_new(const sf_py_state *state, sf_py_take take, PyObject *queue, PyObject *future) {
  if (queue == Py_None && sf_py_is_providing()) {
    sf_py_fail(state, SF_READER_STATE_ERROR, "the resolve() of a credential provider can't wait for a reader");
    return NULL;
  }
  sf_py_operation *self = (sf_py_operation *)PyType_GenericAlloc(state->operation_type, 0);
  if (self == NULL)
    return NULL;
  self->take = take;
  self->future = queue == Py_None ? NULL : Py_NewRef(future);
  self->process = (long)getpid();
  return self;
}

sf_completion_queue *sf_py_operation_target(PyObject *queue) {
  return queue == Py_None ? NULL : ((sf_py_queue *)queue)->queue;
}

/* False where it has finished already, and another thread found it at the queue. */
static bool link_operation(sf_py_operation *self, sf_py_queue *queue) {
  bool is_early;
  SF_PY_BEGIN_LOCK(queue);
  is_early = self->is_early;
  if (!is_early) {
    self->queue = queue;
    self->next = queue->first;
    if (self->next != NULL)
      self->next->previous = self;
    queue->first = self;
  }
  SF_PY_END_LOCK;
  return !is_early;
}

PyObject *sf_py_operation_submitted(sf_py_operation *self, PyObject *queue, sf_operation *submitted, sf_code code,
                                    const sf_error *error) {
  if (code != SF_OK) {
    sf_py_raise(sf_py_state_of((PyObject *)self), error);
    Py_DECREF(self);
    return NULL;
  }
  self->operation = submitted;
  if (queue == Py_None)
    return (PyObject *)self;
  if (link_operation(self, (sf_py_queue *)queue))
    return Py_NewRef((PyObject *)self); /* the other reference is the queue's */
  if (resolve(sf_py_state_of((PyObject *)self), self->future, finish(self)) == 0)
    return (PyObject *)self;
  Py_DECREF(self);
  return NULL;
}

static int operation_traverse(PyObject *object, visitproc visit, void *arg) {
  const sf_py_operation *self = (sf_py_operation *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->future);
  Py_VISIT(self->reader);
  Py_VISIT(self->sink);
  return 0;
}

static int operation_clear(PyObject *object) {
  sf_py_operation *self = (sf_py_operation *)object;
  drop_operation(self);
  Py_CLEAR(self->future);
  Py_CLEAR(self->reader);
  Py_CLEAR(self->sink);
  return 0;
}

static void operation_dealloc(PyObject *object) {
  PyObject_GC_UnTrack(object); /* and no queue has it: a queue holds a reference */
  operation_clear(object);
  sf_py_gc_free(object);
}

static PyObject *get_future(PyObject *object, void *closure) {
  (void)closure;
  const sf_py_operation *self = (sf_py_operation *)object;
  return Py_NewRef(self->future != NULL ? self->future : Py_None);
}

static PyObject *operation_cancel(PyObject *object, PyObject *unused) {
  (void)unused;
  sf_py_operation *self = (sf_py_operation *)object;
  SF_PY_BEGIN_LOCK(self);
  self->is_cancelled = true;
  if (self->operation != NULL && self->process == (long)getpid())
    sf_operation_cancel(self->operation);
  SF_PY_END_LOCK;
  Py_RETURN_NONE;
}

/* The operation to wait for, which no other thread takes meanwhile; NULL where there is none. */
static sf_operation *claim_operation(sf_py_operation *self) {
  sf_operation *operation = NULL;
  SF_PY_BEGIN_LOCK(self);
  if (self->future == NULL && !self->is_waited && self->operation != NULL) {
    operation = self->operation;
    self->is_waited = true;
  }
  SF_PY_END_LOCK;
  return operation;
}

static void unclaim_operation(sf_py_operation *self) {
  SF_PY_BEGIN_LOCK(self);
  self->is_waited = false;
  SF_PY_END_LOCK;
}

static PyObject *operation_wait(PyObject *object, PyObject *unused) {
  (void)unused;
  sf_py_operation *self = (sf_py_operation *)object;
  sf_operation *operation = claim_operation(self);
  if (operation == NULL)
    return sf_py_fail(sf_py_state_of(object), SF_READER_STATE_ERROR, "the operation is not one to wait for");
  for (bool is_finished = false; !is_finished;) {
    Py_BEGIN_ALLOW_THREADS
    is_finished = sf_operation_wait(operation, SIGNAL_INTERVAL_MS);
    Py_END_ALLOW_THREADS
    if (!is_finished && PyErr_CheckSignals() < 0) {
      sf_operation_cancel(operation);
      unclaim_operation(self);
      return NULL;
    }
  }
  return finish(self);
}

static PyGetSetDef operation_properties[] = {{"future", get_future, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef operation_methods[] = {
    {"cancel", operation_cancel, METH_NOARGS, "Requests cancellation and returns immediately."},
    {"wait", operation_wait, METH_NOARGS, "Waits until it finishes, without the GIL, and returns its result."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot operation_slots[] = {{Py_tp_dealloc, SF_PY_SLOT(operation_dealloc)},
                                        {Py_tp_traverse, SF_PY_SLOT(operation_traverse)},
                                        {Py_tp_clear, SF_PY_SLOT(operation_clear)},
                                        {Py_tp_getset, operation_properties},
                                        {Py_tp_methods, operation_methods},
                                        {0, NULL}};

static PyType_Spec operation_spec = {.name = "shardyfusion._core.Operation",
                                     .basicsize = sizeof(sf_py_operation),
                                     .flags =
                                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                     .slots = operation_slots};

/* CompletionQueue. ------------------------------------------------------------------------------------------------ */

static PyObject *queue_construct(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  sf_error error;
  if (!PyArg_ParseTuple(args, ":CompletionQueue") || kwargs != NULL)
    return NULL;
  sf_py_queue *self = (sf_py_queue *)PyType_GenericAlloc(type, 0);
  if (self == NULL)
    return NULL;
  self->process = (long)getpid();
  if (sf_completion_queue_create(&self->queue, &error) == SF_OK)
    return (PyObject *)self;
  sf_py_raise(sf_py_state_of((PyObject *)self), &error);
  Py_DECREF(self);
  return NULL;
}

static int queue_traverse(PyObject *object, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(object));
  for (sf_py_operation *next = ((sf_py_queue *)object)->first; next != NULL; next = next->next)
    Py_VISIT(next);
  return 0;
}

/* The next that is under way, which the queue holds no longer: its reference is the caller's. NULL: none. */
static sf_py_operation *take_first(sf_py_queue *self) {
  sf_py_operation *first;
  SF_PY_BEGIN_LOCK(self);
  first = self->first;
  if (first != NULL)
    unlink_operation(first);
  SF_PY_END_LOCK;
  return first;
}

static int queue_clear(PyObject *object) {
  sf_py_operation *dropped;
  while ((dropped = take_first((sf_py_queue *)object)) != NULL) {
    drop_operation(dropped);
    Py_DECREF(dropped);
  }
  return 0;
}

static void queue_dealloc(PyObject *object) {
  sf_py_queue *self = (sf_py_queue *)object;
  PyObject_GC_UnTrack(object);
  queue_clear(object);
  if (self->process == (long)getpid())
    sf_completion_queue_free(self->queue);
  sf_py_gc_free(object);
}

static PyObject *queue_fileno(PyObject *object, PyObject *unused) {
  (void)unused;
  return PyLong_FromLong(sf_completion_queue_fd(((sf_py_queue *)object)->queue));
}

/* The next that has finished, which the queue holds no longer: its reference is the caller's. NULL: none. */
static sf_py_operation *take_finished(sf_py_queue *self) {
  sf_py_operation *operation = NULL;
  SF_PY_BEGIN_LOCK(self);
  sf_operation *finished;
  while (operation == NULL && !self->is_abandoned && (finished = sf_completion_queue_pop(self->queue)) != NULL) {
    operation = sf_operation_user_data(finished);
    if (operation->queue != NULL) {
      unlink_operation(operation);
    } else {
      operation->is_early = true; /* the thread that submits it still holds it, and sees to it */
      operation = NULL;
    }
  }
  SF_PY_END_LOCK;
  return operation;
}

static PyObject *queue_drain(PyObject *object, PyObject *unused) {
  (void)unused;
  const sf_py_state *state = sf_py_state_of(object);
  int failed = 0;
  for (int i = 0; i < MAX_DRAINED && !failed; i++) {
    sf_py_operation *operation = take_finished((sf_py_queue *)object);
    if (operation == NULL)
      break;
    failed = resolve(state, operation->future, finish(operation)) < 0;
    Py_DECREF(operation);
  }
  return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *queue_abandon(PyObject *object, PyObject *unused) {
  (void)unused;
  SF_PY_BEGIN_LOCK(object);
  ((sf_py_queue *)object)->is_abandoned = true;
  SF_PY_END_LOCK;
  queue_clear(object);
  Py_RETURN_NONE;
}

static PyMethodDef queue_methods[] = {
    {"fileno", queue_fileno, METH_NOARGS, "The descriptor that is readable while there are finished operations."},
    {"abandon", queue_abandon, METH_NOARGS, "Cancels and releases the operations in flight."},
    {"drain", queue_drain, METH_NOARGS, "Resolves the futures of finished operations."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot queue_slots[] = {{Py_tp_new, SF_PY_SLOT(queue_construct)},
                                    {Py_tp_dealloc, SF_PY_SLOT(queue_dealloc)},
                                    {Py_tp_traverse, SF_PY_SLOT(queue_traverse)},
                                    {Py_tp_clear, SF_PY_SLOT(queue_clear)},
                                    {Py_tp_methods, queue_methods},
                                    {0, NULL}};

static PyType_Spec queue_spec = {.name = "shardyfusion._core.CompletionQueue",
                                 .basicsize = sizeof(sf_py_queue),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                 .slots = queue_slots};

int sf_py_add_operations(PyObject *module, sf_py_state *state) {
  state->done = PyUnicode_InternFromString("done");
  state->set_result = PyUnicode_InternFromString("set_result");
  state->set_exception = PyUnicode_InternFromString("set_exception");
  if (state->done == NULL || state->set_result == NULL || state->set_exception == NULL)
    return -1;
  state->operation_type = sf_py_add_type(module, &operation_spec, 1);
  if (state->operation_type == NULL)
    return -1;
  state->queue_type = sf_py_add_type(module, &queue_spec, 1);
  return state->queue_type == NULL ? -1 : 0;
}
