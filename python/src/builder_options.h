/* The options of a build, from the dictionary that write_sharded makes. */
#ifndef SF_PYTHON_BUILDER_OPTIONS_H
#define SF_PYTHON_BUILDER_OPTIONS_H

#include "state.h"

#include <shardyfusion/build.h>

/* The options, and what keeps their pointers valid. */
typedef struct sf_py_build_options {
  sf_build_options options;
  float *centroids;
  float *hyperplanes;
  PyObject *texts; /* a list of the strings that the options point into */
} sf_py_build_options;

/* Reads the dictionary; -1 with an exception set. Released in either case by the caller. */
int sf_py_build_options_read(const sf_py_state *state, PyObject *given, sf_py_build_options *read);
void sf_py_build_options_release(sf_py_build_options *read);

#endif
