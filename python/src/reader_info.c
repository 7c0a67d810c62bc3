/* What is being served, as tuples that the package makes its own types from. */
#include "reader.h"

static sf_reader *reader_of(PyObject *object) {
  return ((sf_py_reader *)object)->reader;
}

PyObject *sf_py_reader_snapshot_info(PyObject *self, PyObject *unused) {
  (void)unused;
  sf_snapshot_info *info;
  sf_error error;
  if (sf_reader_snapshot_info(reader_of(self), &info, &error) != SF_OK)
    return sf_py_raise(sf_py_state_of(self), &error);
  PyObject *tuple = Py_BuildValue("(sIIsssL)", info->run_id, (unsigned)info->num_dbs, (unsigned)info->dim,
                                  sf_metric_name(info->metric), sf_sharding_strategy_name(info->sharding),
                                  info->manifest_ref, (long long)info->total_vectors);
  sf_free(info);
  return tuple;
}

PyObject *sf_py_reader_manifest_ref(PyObject *self, PyObject *unused) {
  (void)unused;
  sf_snapshot_info *info;
  sf_error error;
  if (sf_reader_snapshot_info(reader_of(self), &info, &error) != SF_OK)
    return sf_py_raise(sf_py_state_of(self), &error);
  PyObject *ref = PyUnicode_FromString(info->manifest_ref);
  sf_free(info);
  return ref;
}

PyObject *sf_py_reader_shard_details(PyObject *self, PyObject *unused) {
  (void)unused;
  sf_shard_detail *details;
  size_t count;
  sf_error error;
  if (sf_reader_shard_details(reader_of(self), &details, &count, &error) != SF_OK)
    return sf_py_raise(sf_py_state_of(self), &error);
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list != NULL && i < count; i++) {
    const sf_shard_detail *shard = sf_shard_detail_at(details, i);
    PyObject *row = Py_BuildValue("(IzLz)", (unsigned)shard->db_id, shard->db_url, (long long)shard->vector_count,
                                  shard->checkpoint_id);
    if (row == NULL)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)i, row);
  }
  sf_free(details);
  return list;
}

PyObject *sf_py_reader_health(PyObject *self, PyObject *threshold) {
  sf_health *health;
  sf_error error;
  double seconds = PyFloat_AsDouble(threshold);
  if (PyErr_Occurred())
    return NULL;
  if (sf_reader_health(reader_of(self), seconds, &health, &error) != SF_OK)
    return sf_py_raise(sf_py_state_of(self), &error);
  PyObject *tuple = Py_BuildValue("(szdIOz)", sf_health_status_name(health->status), health->manifest_ref,
                                  health->manifest_age_seconds, (unsigned)health->num_shards,
                                  health->is_closed ? Py_True : Py_False, health->refresh_error);
  sf_free(health);
  return tuple;
}
