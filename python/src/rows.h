/*
 * Rows from Python objects for a builder: a slice at a time, with references that keep their memory alive.
 *
 * A slice borrows where it can: components from buffers, text from the strings of Python.
 */
#ifndef SF_PYTHON_ROWS_H
#define SF_PYTHON_ROWS_H

#include "state.h"

#include <shardyfusion/build.h>

typedef struct sf_py_text_block sf_py_text_block;

/* Room for `capacity` rows. Zero-initialise; sf_py_rows_release when done. */
typedef struct sf_py_rows {
  const sf_py_state *state;
  sf_row_batch batch; /* for the builder: `count` rows, and those of the arrays below that are set */
  size_t capacity;
  size_t dim;     /* 0: that of the first vector */
  float *vectors; /* capacity × dim, once there is one; NULL: they are in the memory of the caller */
  void *strided;  /* a copied slice of an array whose layout the builder does not take */
  int64_t *integer_ids;
  const char **string_ids;
  size_t *id_lengths;
  const char **payloads;
  size_t *payload_lengths;
  int64_t *shard_ids;
  const char **contexts;
  PyObject *holders; /* a list of the objects that the pointers above point into */
  sf_py_text_block *blocks;
} sf_py_rows;

/* Makes room; -1 with an exception set. */
int sf_py_rows_make(const sf_py_state *state, size_t capacity, size_t dim, sf_py_rows *rows);
void sf_py_rows_release(sf_py_rows *rows);

/* Drops the rows of the previous slice. */
void sf_py_rows_restart(sf_py_rows *rows);

/* Copies text into the slice, with a NUL after it; NULL with an exception set. */
const char *sf_py_rows_keep_text(sf_py_rows *rows, const char *text, size_t length);

/* Each sets one member of the row at a place of the slice; None leaves it out. `name` and the row's `number` are for
 * messages. -1 with an exception set. */
typedef struct sf_py_place {
  size_t row;
  const char *name;
  unsigned long long number;
} sf_py_place;

int sf_py_rows_set_vector(sf_py_rows *rows, const sf_py_place *place, PyObject *vector);
int sf_py_rows_set_id(sf_py_rows *rows, const sf_py_place *place, PyObject *id);
int sf_py_rows_set_payload(sf_py_rows *rows, const sf_py_place *place, PyObject *payload);
int sf_py_rows_set_shard_id(sf_py_rows *rows, const sf_py_place *place, PyObject *shard_id);
int sf_py_rows_set_context(sf_py_rows *rows, const sf_py_place *place, PyObject *context);

/* Raises "name: row 17: message", with the batch's word for a row. Returns -1. */
int sf_py_rows_fail(const sf_py_rows *rows, const sf_py_place *place, const char *format, ...);

#endif
