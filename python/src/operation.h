/*
 * Operations of the library, and the queues on which an event loop hears of their end.
 *
 * An operation of a loop belongs to its queue from submission until it is drained: the queue holds it (also where the
 * caller was cancelled and has let go), and it holds the future, the reader and the sink that the library works with.
 *
 * An operation's lock guards `operation` and the flags; its queue's lock guards the list and the links in it.
 */
#ifndef SF_PYTHON_OPERATION_H
#define SF_PYTHON_OPERATION_H

#include "sink.h"

typedef enum sf_py_kind {
  SF_PY_OPEN,
  SF_PY_SEARCH,
  SF_PY_BATCH_SEARCH,
  SF_PY_REFRESH,
  SF_PY_CLOSE,
  SF_PY_HISTORY,
  SF_PY_READ_OBJECT,
} sf_py_kind;

typedef struct sf_py_queue sf_py_queue;

typedef struct sf_py_operation {
  PyObject_HEAD
  sf_operation *operation; /* NULL: not submitted, or done with */
  sf_py_kind kind;
  size_t count;       /* of a batch */
  PyObject *future;   /* NULL: somebody waits with `wait` */
  PyObject *reader;   /* that it works on; NULL when opening */
  PyObject *sink;     /* NULL: none */
  sf_py_queue *queue; /* that holds it, while under way; borrowed */
  struct sf_py_operation *previous;
  struct sf_py_operation *next;
  long process;
  bool is_cancelled; /* by the caller, rather than by the reader's closing */
  bool is_waited;    /* a thread waits for it */
  bool is_early;     /* it finished before the thread that submitted it could link it; guarded by the queue */
} sf_py_operation;

/* An operation that is not submitted yet. `queue` and `future` may both be None: it is then waited for. */
sf_py_operation *sf_py_operation_new(const sf_py_state *state, sf_py_kind kind, PyObject *queue, PyObject *future);

/* The library's queue to submit to; NULL where the operation is waited for. */
sf_completion_queue *sf_py_operation_target(PyObject *queue);

/* After submission: hands it to its queue, or raises what submission failed with. Takes over the reference and returns it
 * to the caller of Python, or NULL. */
PyObject *sf_py_operation_submitted(sf_py_operation *operation, PyObject *queue, sf_operation *submitted, sf_code code,
                                    const sf_error *error);

#endif
