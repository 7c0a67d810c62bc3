/*
 * Builder: rows from Python objects to a snapshot.
 *
 * Whatever can take long, or waits for storage, runs on a thread of the library, which records its progress. The calling
 * thread waits for it without the GIL; it checks for signals (Ctrl-C) and calls the caller's `progress` periodically. Either
 * can stop the build.
 *
 * A call that adds or finishes claims the builder first: the iterators and sequences that rows come from are the caller's
 * code, which may call the builder again.
 */
#ifndef SF_PYTHON_BUILDER_H
#define SF_PYTHON_BUILDER_H

#include "python.h"

#include <shardyfusion/build.h>

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
  PyObject *progress;  /* NULL: no callback */
  PyObject *attributes[SF_PY_NUM_ATTRIBUTES];
  sf_executor *executor; /* whose thread does the work */
  pthread_mutex_t mutex; /* guards `latest` */
  bool has_mutex;
  sf_build_progress latest;
  uint64_t news; /* counts the updates of `latest`; guarded, too */
  bool is_busy;  /* claimed */
  long process;
  size_t dim;
  uint32_t wants; /* whether rows have shard ids or routing contexts: the sharding strategy */
  unsigned long long num_rows;
} sf_py_builder;

/* Claims the builder for a call; -1 with an exception set where it is closed, of another process, or claimed. */
int sf_py_builder_claim(sf_py_builder *self);
void sf_py_builder_release(sf_py_builder *self);

/* (run_id, manifest_ref, num_rows, num_dbs, shards that have rows, seconds of the four phases). */
PyObject *sf_py_builder_describe(const sf_build_result *result);

/* Waits for an operation that was submitted with `code`. -1 with an exception set unless it succeeded: the exception that
 * stopped it, or its error. The operation has ended then; it is the caller's to release in either case. */
int sf_py_builder_wait(sf_py_builder *self, sf_code code, sf_operation *operation, sf_error *error);
void sf_py_builder_release_operation(sf_operation *operation); /* without the GIL; NULL is allowed */

#endif
