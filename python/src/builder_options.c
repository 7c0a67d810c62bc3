#include "builder_options.h"

#include "arguments.h"
#include "errors.h"
#include "vector.h"

#include <string.h>

/* A member's value, held: NULL where there is none, or with an exception set. */
static PyObject *member(PyObject *given, const char *name) {
  PyObject *key = PyUnicode_FromString(name);
  PyObject *value = key == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(given, key));
  Py_XDECREF(key);
  return value;
}

static int read_number(PyObject *given, const char *name, unsigned long long *number) {
  PyObject *value = member(given, name);
  if (value != NULL)
    *number = PyLong_AsUnsignedLongLong(value);
  Py_XDECREF(value);
  return PyErr_Occurred() ? -1 : 0;
}

/* A text, which the list keeps; None leaves it NULL. */
static int read_text(const sf_py_state *state, PyObject *given, const char *name, PyObject *texts, const char **text) {
  PyObject *value = member(given, name);
  int result = PyErr_Occurred() ? -1 : 0;
  if (value != NULL && value != Py_None)
    result = PyList_Append(texts, value) < 0 ? -1 : sf_py_text(state, name, value, text);
  Py_XDECREF(value);
  return result;
}

/* Vectors as `count` rows of `dim` contiguous float32, in memory to free; *matrix stays NULL for None. */
static int read_matrix(const sf_py_state *state, PyObject *given, const char *name, size_t dim, float **matrix,
                       size_t *count) {
  PyObject *value = member(given, name);
  sf_py_vectors vectors = {0};
  int result = PyErr_Occurred() ? -1 : 0;
  if (result == 0 && value != NULL && value != Py_None)
    result = sf_py_vectors_read(state, name, value, &vectors);
  Py_XDECREF(value);
  *count = vectors.count;
  if (result == 0 && vectors.count > 0 && dim > 0) {
    *matrix =
        vectors.count > PY_SSIZE_T_MAX / sizeof(float) / dim ? NULL : PyMem_Malloc(vectors.count * dim * sizeof(float));
    result = *matrix == NULL ? -1 : 0;
    if (result < 0)
      PyErr_NoMemory();
  }
  for (size_t row = 0; row < vectors.count && *matrix != NULL && result == 0; row++) {
    sf_search_request request;
    sf_py_vectors_request(&vectors, row, &request);
    float *to = *matrix + row * dim;
    if (request.dim != dim) {
      sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "%s: row %zu: expected %zu components, found %zu", name, row, dim,
                 request.dim);
      result = -1;
    } else if (request.query_type == SF_FLOAT32)
      memcpy(to, request.query, dim * sizeof(float));
    else
      for (size_t i = 0; i < dim; i++)
        to[i] = (float)((const double *)request.query)[i];
  }
  sf_py_vectors_release(&vectors);
  return result;
}

static int check_count(const sf_py_state *state, const char *name, const float *matrix, size_t count,
                       unsigned expected) {
  if (matrix == NULL || count == expected)
    return 0;
  sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "%s: expected %u, found %zu", name, expected, count);
  return -1;
}

static int read_numbers(PyObject *given, sf_build_options *options) {
  static const char *const names[] = {"metric",
                                      "strategy",
                                      "dim",
                                      "num_dbs",
                                      "num_probes",
                                      "training_rows",
                                      "training_iterations",
                                      "num_hash_bits",
                                      "seed",
                                      "max_memory_bytes",
                                      "num_threads",
                                      "role",
                                      "allow_no_rows",
                                      "leave_unpublished",
                                      "page_size",
                                      "emit_sidecar"};
  enum { METRIC, STRATEGY, DIM, NUM_DBS, NUM_PROBES, ROWS, ITERATIONS, HASH_BITS, SEED, MEMORY, THREADS };
  enum { ROLE = THREADS + 1, NO_ROWS, LEAVE, PAGE, SIDECAR, COUNT };
  unsigned long long numbers[COUNT] = {0};
  for (size_t i = 0; i < COUNT; i++) {
    if (read_number(given, names[i], &numbers[i]) < 0)
      return -1;
  }
  options->metric = (sf_metric)numbers[METRIC];
  options->strategy = (sf_sharding_strategy)numbers[STRATEGY];
  options->dim = (uint32_t)numbers[DIM];
  options->num_dbs = (uint32_t)numbers[NUM_DBS];
  options->num_probes = (uint32_t)numbers[NUM_PROBES];
  options->training_rows = numbers[ROWS];
  options->training_iterations = (uint32_t)numbers[ITERATIONS];
  options->num_hash_bits = (uint32_t)numbers[HASH_BITS];
  options->seed = numbers[SEED];
  options->max_memory_bytes = numbers[MEMORY];
  options->num_threads = (uint32_t)numbers[THREADS];
  options->role = (sf_build_role)numbers[ROLE];
  options->allow_no_rows = numbers[NO_ROWS] != 0;
  options->leave_unpublished = numbers[LEAVE] != 0;
  options->page_size = (uint32_t)numbers[PAGE];
  options->emit_sidecar = numbers[SIDECAR] != 0;
  return 0;
}

static int read_texts(const sf_py_state *state, PyObject *given, PyObject *texts, sf_build_options *options) {
  return read_text(state, given, "backend", texts, &options->backend) < 0 ||
                 read_text(state, given, "cel_expr", texts, &options->cel_expr) < 0 ||
                 read_text(state, given, "cel_columns", texts, &options->cel_columns) < 0 ||
                 read_text(state, given, "routing_values", texts, &options->routing_values) < 0 ||
                 read_text(state, given, "run_id", texts, &options->run_id) < 0 ||
                 read_text(state, given, "staging_dir", texts, &options->staging_dir) < 0
             ? -1
             : 0;
}

int sf_py_build_options_read(const sf_py_state *state, PyObject *given, sf_py_build_options *read) {
  sf_build_options *options = &read->options;
  size_t num_centroids = 0;
  size_t num_hyperplanes = 0;
  read->texts = PyList_New(0);
  if (read->texts == NULL || read_numbers(given, options) < 0 || read_texts(state, given, read->texts, options) < 0 ||
      read_matrix(state, given, "centroids", options->dim, &read->centroids, &num_centroids) < 0 ||
      read_matrix(state, given, "hyperplanes", options->dim, &read->hyperplanes, &num_hyperplanes) < 0)
    return -1;
  options->centroids = read->centroids;
  options->hyperplanes = read->hyperplanes;
  if (options->num_dbs == 0 && read->centroids != NULL)
    options->num_dbs = (uint32_t)num_centroids;
  if (check_count(state, "centroids", read->centroids, num_centroids, options->num_dbs) < 0)
    return -1;
  return check_count(state, "hyperplanes", read->hyperplanes, num_hyperplanes, options->num_hash_bits);
}

void sf_py_build_options_release(sf_py_build_options *read) {
  PyMem_Free(read->centroids);
  PyMem_Free(read->hyperplanes);
  Py_CLEAR(read->texts);
  read->centroids = read->hyperplanes = NULL;
}
