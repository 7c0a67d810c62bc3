/* Rows from anything that has __arrow_c_stream__: tables of pyarrow, polars, DuckDB. */
#ifndef SF_PYTHON_ARROW_STREAM_H
#define SF_PYTHON_ARROW_STREAM_H

#include "rows.h"

/* Fills a slice with at most `rows->capacity` of the next rows: 1, or 0 where there are no more, or -1 with an exception
 * set. What the slice holds is the stream's until the next call. */
int sf_py_arrow_stream_fill(PyObject *stream, sf_py_rows *rows);

int sf_py_add_arrow_streams(PyObject *module, sf_py_state *state);

#endif
