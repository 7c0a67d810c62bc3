/*
 * Builder: rows from Python objects to a snapshot.
 *
 * Rows are added, and centroids trained, by the calling thread, without the GIL. What the library tells meanwhile comes to
 * `tell` on that thread, which takes the GIL back periodically, to look for signals and to call the caller's `progress`. A
 * build is finished by a thread of the library: there `tell` only notes how far it is, for the thread that waits.
 *
 * Whoever adds or finishes claims the builder first: the iterators and sequences that rows come from are the caller's code,
 * which may come back here.
 */
#ifndef SF_PYTHON_BUILDER_H
#define SF_PYTHON_BUILDER_H

#include "rows.h"

#include <pthread.h>

/* The attributes of a record, as VectorRecord has them. */
enum {
  SF_PY_ID,
  SF_PY_VECTOR,
  SF_PY_PAYLOAD,
  SF_PY_SHARD_ID,
  SF_PY_ROUTING_CONTEXT,
  SF_PY_NUM_ATTRIBUTES,
};

extern const char *const sf_py_attribute_names[SF_PY_NUM_ATTRIBUTES];

typedef struct sf_py_builder {
  PyObject_HEAD
  sf_builder *builder; /* NULL: closed */
  PyObject *sink;      /* outlives the library's builder */
  PyObject *progress;  /* NULL: none to call */
  PyObject *attributes[SF_PY_NUM_ATTRIBUTES];
  PyThreadState *thread; /* that called, and released the GIL; NULL: none */
  uint64_t told_at;
  pthread_mutex_t mutex; /* guards `latest` */
  bool has_mutex;
  sf_build_progress latest;
  uint64_t news; /* counts what came to `latest`; guarded, too */
  bool is_busy;  /* claimed */
  long process;
  size_t dim;
  uint32_t wants; /* whether rows have shard ids or routing contexts: the sharding strategy */
  unsigned long long num_rows;
} sf_py_builder;

/* Claims the builder for a call; -1 with an exception set where it is closed, of another process, or claimed. */
int sf_py_builder_claim(sf_py_builder *self);
void sf_py_builder_release(sf_py_builder *self);

/* Before and after a call of the library that this thread makes without the GIL. The second gives NULL with an exception set
 * unless the call succeeded: the exception that stopped it, or the library's error. */
void sf_py_builder_begin_call(sf_py_builder *self);
PyObject *sf_py_builder_end_call(sf_py_builder *self, sf_code code, const sf_error *error);

/* builder_rows.c: the methods that add rows. */
PyObject *sf_py_builder_add_records(PyObject *self, PyObject *args);
PyObject *sf_py_builder_add_stream(PyObject *self, PyObject *args);
PyObject *sf_py_builder_add_array(PyObject *self, PyObject *args);
PyObject *sf_py_builder_train(PyObject *self, PyObject *vectors);

/* builder_options.c: what write_sharded gives, and what keeps it alive. */
typedef struct sf_py_build_options {
  sf_build_options options;
  float *centroids;
  float *hyperplanes;
  PyObject *texts; /* a list: what the options' texts point into */
} sf_py_build_options;

/* Reads the dictionary; -1 with an exception set. Released in either case by the caller. */
int sf_py_build_options_read(const sf_py_state *state, PyObject *given, sf_py_build_options *read);
void sf_py_build_options_release(sf_py_build_options *read);

#endif
