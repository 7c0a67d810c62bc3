#include "distributed.h"

#include "arguments.h"
#include "builder.h"
#include "errors.h"
#include "s3.h"
#include "sink.h"

#include <shardyfusion/distributed.h>

#include <string.h>

/* ---------------------------------------------------------------------------------------------------- Driver and router */

PyObject *sf_py_builder_artifact(PyObject *object, PyObject *unused) {
  (void)unused;
  sf_py_builder *self = (sf_py_builder *)object;
  const float *artifact = NULL;
  size_t num_rows = 0;
  size_t dim = 0;
  sf_error error;
  PyObject *outcome = NULL;
  if (sf_py_builder_claim(self) < 0)
    return NULL;
  if (sf_builder_artifact(self->builder, &artifact, &num_rows, &dim, &error) != SF_OK)
    sf_py_raise(sf_py_state_of(object), &error);
  else
    outcome = Py_BuildValue("(sIy#n)", sf_builder_run_id(self->builder), (unsigned)sf_builder_num_dbs(self->builder),
                            (const char *)artifact, (Py_ssize_t)(artifact != NULL ? num_rows * dim * sizeof(float) : 0),
                            (Py_ssize_t)num_rows);
  sf_py_builder_release(self);
  return outcome;
}

PyObject *sf_py_builder_finish_partition(PyObject *object, PyObject *unused) {
  (void)unused;
  sf_py_builder *self = (sf_py_builder *)object;
  sf_partition *partition = NULL;
  sf_error error;
  sf_code code;
  PyObject *outcome = NULL;
  if (sf_py_builder_claim(self) < 0)
    return NULL;
  Py_BEGIN_ALLOW_THREADS
  code = sf_builder_finish_partition(self->builder, &partition, &error);
  Py_END_ALLOW_THREADS
  if (code == SF_OK)
    outcome = Py_BuildValue("(KKy#)", (unsigned long long)partition->token, (unsigned long long)partition->num_rows,
                            (const char *)partition->extents,
                            (Py_ssize_t)(partition->num_extents * sizeof(*partition->extents)));
  else
    sf_py_raise_failure(sf_py_state_of(object), self->sink, &error);
  sf_free(partition);
  sf_py_builder_release(self);
  return outcome;
}

static int read_shard(PyObject *item, sf_written_shard *shard) {
  unsigned long long rows;
  unsigned long long bytes;
  const char *checkpoint_id;
  if (!PyTuple_Check(item) ||
      !PyArg_ParseTuple(item, "IIKKs:shard", &shard->db_id, &shard->attempt, &rows, &bytes, &checkpoint_id))
    return -1;
  if (strlen(checkpoint_id) >= sizeof(shard->checkpoint_id)) {
    PyErr_SetString(PyExc_ValueError, "expected a checkpoint id of 32 digits");
    return -1;
  }
  shard->num_rows = rows;
  shard->num_bytes = bytes;
  strcpy(shard->checkpoint_id, checkpoint_id);
  return 0;
}

static sf_written_shard *read_shards(PyObject *list, size_t *count) {
  *count = (size_t)PyList_Size(list);
  sf_written_shard *shards = PyErr_Occurred() ? NULL : PyMem_Calloc(*count + 1, sizeof(*shards));
  if (shards == NULL && !PyErr_Occurred())
    PyErr_NoMemory();
  for (size_t i = 0; shards != NULL && i < *count; i++) {
    if (read_shard(PyList_GetItem(list, (Py_ssize_t)i), &shards[i]) == 0)
      continue;
    if (!PyErr_Occurred())
      PyErr_SetString(PyExc_TypeError, "expected tuples, one for each shard");
    PyMem_Free(shards);
    return NULL;
  }
  return shards;
}

static PyObject *publish(sf_py_builder *self, const sf_written_shard *shards, size_t count, const void *shard_rows,
                         const void *samples) {
  sf_build_result *result = NULL;
  sf_error error;
  sf_code code;
  Py_BEGIN_ALLOW_THREADS
  code = sf_builder_publish(self->builder, shards, count, shard_rows, samples, &result, &error);
  Py_END_ALLOW_THREADS
  if (code != SF_OK)
    return sf_py_raise_failure(sf_py_state_of((PyObject *)self), self->sink, &error);
  PyObject *outcome = sf_py_builder_describe(result);
  sf_free(result);
  return outcome;
}

/* (shards, rows of each shard as uint64, a vector of each shard as float32 or None). */
PyObject *sf_py_builder_publish(PyObject *object, PyObject *args) {
  sf_py_builder *self = (sf_py_builder *)object;
  PyObject *list;
  const char *shard_rows;
  Py_ssize_t shard_rows_size;
  const char *samples;
  Py_ssize_t samples_size;
  size_t count;
  if (!PyArg_ParseTuple(args, "O!y#z#:publish", &PyList_Type, &list, &shard_rows, &shard_rows_size, &samples,
                        &samples_size) ||
      sf_py_builder_claim(self) < 0)
    return NULL;
  PyObject *outcome = NULL;
  sf_written_shard *shards = read_shards(list, &count);
  size_t num_dbs = sf_builder_num_dbs(self->builder);
  if (shards == NULL || (size_t)shard_rows_size != num_dbs * sizeof(uint64_t) ||
      (samples != NULL && (size_t)samples_size != count * self->dim * sizeof(float))) {
    if (shards != NULL)
      PyErr_Format(PyExc_ValueError, "expected rows of %zu shards, and a vector of each of %zu", num_dbs, count);
  } else
    outcome = publish(self, shards, count, shard_rows, samples);
  PyMem_Free(shards);
  sf_py_builder_release(self);
  return outcome;
}

/* --------------------------------------------------------------------------------------------------------------- Tasks */

/* A task, and what keeps its pointers valid. */
typedef struct task_arguments {
  sf_shard_task task;
  sf_s3_options s3;
  PyObject *sink;
  Py_buffer pieces;
} task_arguments;

static int read_number(PyObject *given, const char *name, uint32_t *number) {
  PyObject *value = PyDict_GetItemString(given, name);
  unsigned long long read = value == NULL ? 0 : PyLong_AsUnsignedLongLong(value);
  if (PyErr_Occurred())
    return -1;
  *number = (uint32_t)read;
  return 0;
}

static int read_text(const sf_py_state *state, PyObject *given, const char *name, const char **text) {
  PyObject *value = PyDict_GetItemString(given, name);
  return value == NULL || value == Py_None ? 0 : sf_py_text(state, name, value, text);
}

static int read_pieces(PyObject *given, task_arguments *arguments) {
  PyObject *value = PyDict_GetItemString(given, "pieces");
  if (value == NULL || PyObject_GetBuffer(value, &arguments->pieces, PyBUF_SIMPLE) < 0) {
    if (!PyErr_Occurred())
      PyErr_SetString(PyExc_TypeError, "expected pieces");
    return -1;
  }
  if ((size_t)arguments->pieces.len % sizeof(sf_partition_piece) != 0) {
    PyErr_SetString(PyExc_ValueError, "expected whole pieces");
    return -1;
  }
  arguments->task.pieces = arguments->pieces.buf;
  arguments->task.num_pieces = (size_t)arguments->pieces.len / sizeof(sf_partition_piece);
  return 0;
}

/* Reads a dictionary; released in either case by the caller. */
static int read_task(PyObject *module, PyObject *sink, PyObject *given, task_arguments *arguments) {
  const sf_py_state *state = PyModule_GetState(module);
  sf_shard_task *task = &arguments->task;
  uint32_t metric = 0;
  uint32_t emit_sidecar = 0;
  *arguments = (task_arguments){.task = SF_SHARD_TASK_INIT, .s3 = SF_S3_OPTIONS_INIT, .sink = sink};
  if (Py_TYPE(sink) != state->sink_type) {
    PyErr_SetString(PyExc_TypeError, "expected a sink");
    return -1;
  }
  if (read_text(state, given, "root", &task->root) < 0 || read_text(state, given, "run_id", &task->run_id) < 0 ||
      read_text(state, given, "backend", &task->backend) < 0 ||
      read_text(state, given, "staging_dir", &task->staging_dir) < 0 || read_number(given, "dim", &task->dim) < 0 ||
      read_number(given, "metric", &metric) < 0 || read_number(given, "db_id", &task->db_id) < 0 ||
      read_number(given, "attempt", &task->attempt) < 0 || read_number(given, "emit_sidecar", &emit_sidecar) < 0 ||
      read_pieces(given, arguments) < 0)
    return -1;
  task->metric = (sf_metric)metric;
  task->emit_sidecar = emit_sidecar != 0;
  PyObject *s3 = PyDict_GetItemString(given, "s3");
  if (s3 == NULL || s3 == Py_None)
    return 0;
  task->s3 = &arguments->s3;
  return sf_py_sink_attach_s3(sink, s3, &arguments->s3);
}

static void release_task(task_arguments *arguments) {
  if (arguments->pieces.obj != NULL)
    PyBuffer_Release(&arguments->pieces);
}

static PyObject *describe_written(const sf_written_shard *written, const float *sample, size_t dim) {
  return Py_BuildValue("((IIKKs)y#)", (unsigned)written->db_id, (unsigned)written->attempt,
                       (unsigned long long)written->num_rows, (unsigned long long)written->num_bytes,
                       written->checkpoint_id, (const char *)sample, (Py_ssize_t)(dim * sizeof(float)));
}

static PyObject *write_shard(PyObject *module, PyObject *args) {
  PyObject *sink;
  PyObject *given;
  task_arguments arguments;
  if (!PyArg_ParseTuple(args, "OO!:write_shard", &sink, &PyDict_Type, &given))
    return NULL;
  PyObject *outcome = NULL;
  float *sample = NULL;
  if (read_task(module, sink, given, &arguments) == 0) {
    sample = PyMem_Calloc((size_t)arguments.task.dim + 1, sizeof(float));
    if (sample == NULL)
      PyErr_NoMemory();
  }
  if (sample != NULL) {
    sf_written_shard written;
    sf_error error;
    sf_code code;
    Py_BEGIN_ALLOW_THREADS
    code = sf_shard_task_run(&arguments.task, &written, sample, &error);
    Py_END_ALLOW_THREADS
    outcome = code == SF_OK ? describe_written(&written, sample, arguments.task.dim)
                            : sf_py_raise_failure(PyModule_GetState(module), sink, &error);
  }
  PyMem_Free(sample);
  release_task(&arguments);
  return outcome;
}

static PyObject *find_equal_ids(PyObject *module, PyObject *args) {
  PyObject *sink;
  PyObject *given;
  task_arguments arguments;
  if (!PyArg_ParseTuple(args, "OO!:find_equal_ids", &sink, &PyDict_Type, &given))
    return NULL;
  PyObject *outcome = NULL;
  if (read_task(module, sink, given, &arguments) == 0) {
    bool found = false;
    sf_partition_row rows[2];
    sf_error error;
    sf_code code;
    Py_BEGIN_ALLOW_THREADS
    code = sf_partitions_find_equal_ids(&arguments.task, &found, rows, &error);
    Py_END_ALLOW_THREADS
    if (code != SF_OK)
      sf_py_raise_failure(PyModule_GetState(module), sink, &error);
    else if (found)
      outcome = Py_BuildValue("((KK)(KK))", (unsigned long long)rows[0].token, (unsigned long long)rows[0].row,
                              (unsigned long long)rows[1].token, (unsigned long long)rows[1].row);
    else
      outcome = Py_NewRef(Py_None);
  }
  release_task(&arguments);
  return outcome;
}

static PyObject *row_id(PyObject *module, PyObject *args) {
  PyObject *sink;
  PyObject *given;
  unsigned long long row;
  task_arguments arguments;
  if (!PyArg_ParseTuple(args, "OO!K:row_id", &sink, &PyDict_Type, &given, &row))
    return NULL;
  PyObject *outcome = NULL;
  if (read_task(module, sink, given, &arguments) == 0) {
    char *id = NULL;
    bool is_string = false;
    sf_error error;
    sf_code code;
    Py_BEGIN_ALLOW_THREADS
    code = sf_partitions_row_id(&arguments.task, row, &id, &is_string, &error);
    Py_END_ALLOW_THREADS
    if (code != SF_OK)
      sf_py_raise_failure(PyModule_GetState(module), sink, &error);
    else if (id == NULL)
      outcome = Py_NewRef(Py_None);
    else
      outcome = is_string ? PyUnicode_FromString(id) : PyLong_FromString(id, NULL, 10);
    sf_free(id);
  }
  release_task(&arguments);
  return outcome;
}

static PyObject *describe_id(const sf_row_id *id) {
  if (id->type == SF_ID_STRING)
    return PyUnicode_DecodeUTF8(id->string, (Py_ssize_t)id->length, NULL);
  return PyLong_FromLongLong(id->integer);
}

/* (id, vector as float32, payload as JSON or None) of each row. */
static PyObject *describe_rows(const sf_piece_rows *rows, size_t dim) {
  PyObject *list = PyList_New(0);
  for (size_t i = 0; list != NULL && i < rows->num_rows; i++) {
    const sf_piece_row *row = &rows->rows[i];
    PyObject *tuple = Py_BuildValue("(Ny#z#)", describe_id(&row->id), (const char *)row->vector,
                                    (Py_ssize_t)(dim * sizeof(float)), row->payload, (Py_ssize_t)row->payload_length);
    if (tuple == NULL || PyList_Append(list, tuple) < 0)
      Py_CLEAR(list);
    Py_XDECREF(tuple);
  }
  return list;
}

static PyObject *read_piece(PyObject *module, PyObject *args) {
  PyObject *sink;
  PyObject *given;
  task_arguments arguments;
  if (!PyArg_ParseTuple(args, "OO!:read_piece", &sink, &PyDict_Type, &given))
    return NULL;
  PyObject *outcome = NULL;
  if (read_task(module, sink, given, &arguments) == 0) {
    sf_piece_rows *rows = NULL;
    sf_error error;
    sf_code code;
    Py_BEGIN_ALLOW_THREADS
    code = sf_partitions_read_piece(&arguments.task, &rows, &error);
    Py_END_ALLOW_THREADS
    outcome = code == SF_OK ? describe_rows(rows, arguments.task.dim)
                            : sf_py_raise_failure(PyModule_GetState(module), sink, &error);
    sf_free(rows);
  }
  release_task(&arguments);
  return outcome;
}

static PyMethodDef functions[] = {
    {"write_shard", write_shard, METH_VARARGS,
     "Writes a shard of the rows in pieces of partition files; returns what was written, and the vector of a row."},
    {"find_equal_ids", find_equal_ids, METH_VARARGS, "Two rows of one id in lists of ids, or None."},
    {"row_id", row_id, METH_VARARGS, "The id of a row of a partition, or None."},
    {"read_piece", read_piece, METH_VARARGS, "The id, vector and payload of each row of a piece."},
    {NULL, NULL, 0, NULL}};

int sf_py_add_distributed(PyObject *module) {
  return PyModule_AddFunctions(module, functions);
}
