/*
 * Operations of the library, and the queues at which an event loop learns that they finished.
 *
 * An operation of a loop belongs to its queue from submission until it is drained: the queue holds it (also after the caller
 * was cancelled and dropped its reference), and it holds the future, the reader and the sink that the library works with.
 *
 * An operation's lock guards `operation` and the flags; its queue's lock guards the list and the links in it.
 */
#ifndef SF_PYTHON_OPERATION_H
#define SF_PYTHON_OPERATION_H

#include "state.h"

#include <shardyfusion/async.h>

typedef struct sf_py_queue sf_py_queue;

struct sf_py_operation;

/* Makes the result of a finished operation: a new reference, or NULL with an exception set. */
typedef PyObject *(*sf_py_take)(const sf_py_state *state, const struct sf_py_operation *self, sf_operation *operation);

typedef struct sf_py_operation {
  PyObject_HEAD
  sf_operation *operation; /* NULL: not submitted, or done with */
  sf_py_take take;
  size_t count;       /* of a batch */
  PyObject *future;   /* NULL: a thread calls `wait` */
  PyObject *reader;   /* that it works on; NULL: a root */
  PyObject *sink;     /* that the library's callbacks use, and that has the failures of the credential provider */
  sf_py_queue *queue; /* that holds it, while under way; borrowed */
  struct sf_py_operation *previous;
  struct sf_py_operation *next;
  long process;
  bool is_cancelled; /* by the caller, rather than by the reader's closing */
  bool is_waited;    /* a thread waits for it */
  bool is_early;     /* it finished before the thread that submitted it could link it; guarded by the queue */
} sf_py_operation;

/* An operation that is not submitted yet: the caller sets its `reader`, `sink` and `count`. `queue` and `future` may both be None: it is then waited for. */
sf_py_operation *sf_py_operation_new(const sf_py_state *state, sf_py_take take, PyObject *queue, PyObject *future);

/* The library's queue to submit to; NULL where the operation is waited for. */
sf_completion_queue *sf_py_operation_target(PyObject *queue);

/* After submission: passes it to its queue, or raises the error of the submission. Takes over the reference and returns it,
 * or NULL with an exception set. */
PyObject *sf_py_operation_submitted(sf_py_operation *operation, PyObject *queue, sf_operation *submitted, sf_code code,
                                    const sf_error *error);

/* Adds the types of operations and queues; -1 with an exception set when it can't. */
int sf_py_add_operations(PyObject *module, sf_py_state *state);

#endif
