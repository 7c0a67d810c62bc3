/* How object storage is reached: options, and credentials from a Python object. */
#include "sink.h"

#include <string.h>

/* Begins the message of a failure whose exception waits in the sink. */
#define PROVIDER_FAILED "credential_provider: "

/* One member, as text that the dictionary holds; NULL where it is None. */
static int read_text(PyObject *s3, const char *name, const char **text) {
  PyObject *value = PyDict_GetItemString(s3, name);
  *text = value == NULL || value == Py_None ? NULL : PyUnicode_AsUTF8AndSize(value, NULL);
  return *text == NULL && PyErr_Occurred() ? -1 : 0;
}

static double read_number(PyObject *s3, const char *name) {
  PyObject *value = PyDict_GetItemString(s3, name);
  return value == NULL ? 0 : PyFloat_AsDouble(value);
}

/* A text attribute of what the provider gave; *holder keeps it. None is NULL. */
static int read_credential(PyObject *credentials, const char *name, PyObject **holder, const char **text) {
  *holder = PyObject_GetAttrString(credentials, name);
  *text = *holder == NULL || *holder == Py_None ? NULL : PyUnicode_AsUTF8AndSize(*holder, NULL);
  return PyErr_Occurred() ? -1 : 0;
}

/* `expires_at`, a datetime (no zone: UTC) or None, in seconds since 1970; 0: never. */
static int read_expiry(PyObject *credentials, int64_t *expires_at) {
  PyObject *value = PyObject_GetAttrString(credentials, "expires_at");
  PyErr_Clear(); /* the attribute may be absent */
  *expires_at = 0;
  if (value == NULL || value == Py_None) {
    Py_XDECREF(value);
    return 0;
  }
  PyObject *zone = PyObject_GetAttrString(value, "tzinfo");
  PyObject *tuple =
      zone == NULL ? NULL : PyObject_CallMethod(value, zone == Py_None ? "timetuple" : "utctimetuple", NULL);
  PyObject *calendar = tuple == NULL ? NULL : PyImport_ImportModule("calendar");
  PyObject *seconds = calendar == NULL ? NULL : PyObject_CallMethod(calendar, "timegm", "(O)", tuple);
  if (seconds != NULL)
    *expires_at = PyLong_AsLongLong(seconds);
  Py_DECREF(value);
  Py_XDECREF(zone);
  Py_XDECREF(tuple);
  Py_XDECREF(calendar);
  Py_XDECREF(seconds);
  return PyErr_Occurred() ? -1 : 0;
}

/* Asks the provider and hands over what it gives. -1 with an exception set, or the library's error in *code. */
static int supply(PyObject *provider, sf_s3_credential_request *request, sf_code *code, sf_error *error) {
  PyObject *holders[3] = {NULL, NULL, NULL};
  const char *texts[3] = {NULL, NULL, NULL};
  int64_t expires_at = 0;
  PyObject *credentials = PyObject_CallMethod(provider, "resolve", NULL);
  int result = credentials == NULL ? -1 : 0;
  if (result == 0)
    result = read_credential(credentials, "access_key_id", &holders[0], &texts[0]);
  if (result == 0)
    result = read_credential(credentials, "secret_access_key", &holders[1], &texts[1]);
  if (result == 0 && PyObject_HasAttrString(credentials, "session_token"))
    result = read_credential(credentials, "session_token", &holders[2], &texts[2]);
  if (result == 0)
    result = read_expiry(credentials, &expires_at);
  if (result == 0)
    *code = sf_s3_supply_credentials(request, texts[0], texts[1], texts[2], expires_at, error);
  for (size_t i = 0; i < 3; i++)
    Py_XDECREF(holders[i]);
  Py_XDECREF(credentials);
  return result;
}

/* Keeps the exception that is set for whoever waits for the operation. */
static sf_code keep_failure(sf_py_credentials *credentials, sf_error *error) {
  PyObject *type;
  PyObject *value;
  PyObject *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != NULL)
    PyException_SetTraceback(value, traceback);
  PyObject *name = PyType_GetName((PyTypeObject *)type);
  const char *text = name == NULL ? NULL : PyUnicode_AsUTF8AndSize(name, NULL);
  *error = (sf_error){.code = SF_ERROR};
  PyOS_snprintf(error->message, sizeof(error->message), PROVIDER_FAILED "resolve() raised %s",
                text != NULL ? text : "an exception");
  PyErr_Clear();
  Py_XDECREF(name);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  PyObject *earlier = credentials->failure;
  credentials->failure = value;
  Py_XDECREF(earlier);
  return SF_ERROR;
}

/* Called by the library's threads, without the GIL. */
static sf_code provide(sf_s3_credential_request *request, void *user_data, sf_error *error) {
  sf_code code = SF_OK;
  PyGILState_STATE gil = PyGILState_Ensure();
  sf_py_credentials *credentials = sf_py_sink_credentials(user_data);
  PyObject *provider = Py_XNewRef(credentials->provider);
  if (provider == NULL) {
    *error = (sf_error){.code = SF_ERROR, .message = PROVIDER_FAILED "it is gone"};
    code = SF_ERROR;
  } else if (supply(provider, request, &code, error) < 0)
    code = keep_failure(credentials, error);
  Py_XDECREF(provider);
  PyGILState_Release(gil);
  return code;
}

int sf_py_sink_attach_s3(PyObject *sink, PyObject *s3, sf_s3_options *options) {
  if (s3 == NULL || s3 == Py_None)
    return 0;
  if (!PyDict_Check(s3)) {
    PyErr_SetString(PyExc_TypeError, "s3: expected a dictionary or None");
    return -1;
  }
  if (read_text(s3, "endpoint_url", &options->endpoint_url) < 0 ||
      read_text(s3, "region_name", &options->region_name) < 0 || read_text(s3, "ca_path", &options->ca_path) < 0)
    return -1;
  options->addressing_style = (sf_s3_addressing_style)read_number(s3, "addressing_style");
  options->no_verify_ssl = read_number(s3, "no_verify_ssl") != 0;
  options->connect_timeout_seconds = read_number(s3, "connect_timeout");
  options->read_timeout_seconds = read_number(s3, "read_timeout");
  options->max_attempts = (uint32_t)read_number(s3, "max_attempts");
  PyObject *provider = PyDict_GetItemString(s3, "credential_provider");
  if (provider != NULL && provider != Py_None) {
    PyObject *earlier = sf_py_sink_credentials(sink)->provider;
    sf_py_sink_credentials(sink)->provider = Py_NewRef(provider);
    Py_XDECREF(earlier);
    options->credential_callback = provide;
    options->credential_user_data = sink;
  }
  return PyErr_Occurred() ? -1 : 0;
}

PyObject *sf_py_sink_take_failure(PyObject *sink, const sf_error *error) {
  sf_py_credentials *credentials = sf_py_sink_credentials(sink);
  if (credentials->failure == NULL || strstr(error->message, PROVIDER_FAILED) == NULL)
    return NULL;
  PyObject *failure = credentials->failure;
  credentials->failure = NULL;
  return failure;
}
