#include "s3.h"

#include "arguments.h"
#include "errors.h"
#include "object.h"
#include "sink.h"

#include <string.h>

/* Begins the message of a failure whose exception waits in the sink. */
#define PROVIDER_FAILED "credential_provider: "

/* One member, as text that the dictionary holds; NULL where it is None. */
static int read_text(const sf_py_state *state, PyObject *s3, const char *name, const char **text) {
  char full_name[96];
  PyOS_snprintf(full_name, sizeof(full_name), "s3_connection_options: %s", name);
  PyObject *value = PyDict_GetItemString(s3, name);
  *text = NULL;
  return value == NULL || value == Py_None ? 0 : sf_py_text(state, full_name, value, text);
}

static double read_number(PyObject *s3, const char *name) {
  PyObject *value = PyDict_GetItemString(s3, name);
  return value == NULL ? 0 : PyFloat_AsDouble(value);
}

/* The object that a provider returned, and the provider. */
typedef struct given_credentials {
  const sf_py_state *state;
  PyObject *provider;
  PyObject *given;
} given_credentials;

/* An attribute, or of a mapping an item: a new reference, NULL where there is none or with an exception set. */
static PyObject *credential_member(const given_credentials *from, const char *name) {
  PyObject *value = PyObject_GetAttrString(from->given, name);
  if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError))
    return value;
  PyErr_Clear();
  if (!PyMapping_Check(from->given))
    return NULL;
  value = PyMapping_GetItemString(from->given, name);
  if (value == NULL && (PyErr_ExceptionMatches(PyExc_KeyError) || PyErr_ExceptionMatches(PyExc_TypeError)))
    PyErr_Clear();
  return value;
}

/* Raises an error that names the provider and the type that it returned, but never its contents. Returns -1. */
static int fail_provider(const given_credentials *from, const char *expected) {
  PyObject *provider = PyType_GetName(Py_TYPE(from->provider));
  PyObject *given = provider == NULL ? NULL : PyType_GetName(Py_TYPE(from->given));
  if (given != NULL)
    sf_py_fail(from->state, SF_CONFIG_VALIDATION_ERROR,
               "credential_provider: expected resolve() of %.100U to give %s, found an object of the type %.100U",
               provider, expected, given);
  Py_XDECREF(provider);
  Py_XDECREF(given);
  return -1;
}

/* A string among the credentials, kept alive by *holder; NULL for None. */
static int read_credential(const given_credentials *from, const char *name, bool is_required, PyObject **holder,
                           const char **text) {
  *holder = credential_member(from, name);
  if (*holder == NULL && PyErr_Occurred())
    return -1;
  if (*holder == NULL || *holder == Py_None)
    return is_required ? fail_provider(from, "access_key_id and secret_access_key, as attributes or items") : 0;
  if (!PyUnicode_Check(*holder))
    return fail_provider(from, "keys that are strings");
  return sf_py_text(from->state, "credential_provider", *holder, text);
}

static PyObject *timestamp_of(PyObject *moment) {
  PyObject *zone = PyObject_GetAttrString(moment, "tzinfo");
  PyObject *tuple =
      zone == NULL ? NULL : PyObject_CallMethod(moment, zone == Py_None ? "timetuple" : "utctimetuple", NULL);
  PyObject *timegm = tuple == NULL ? NULL : sf_py_import("calendar", "timegm");
  PyObject *seconds = timegm == NULL ? NULL : PyObject_CallFunctionObjArgs(timegm, tuple, NULL);
  Py_XDECREF(zone);
  Py_XDECREF(tuple);
  Py_XDECREF(timegm);
  return seconds;
}

/* `expires_at`, a datetime (no zone: UTC) or None, in seconds since 1970; 0: never. */
static int read_expiry(const given_credentials *from, int64_t *expires_at) {
  *expires_at = 0;
  PyObject *value = credential_member(from, "expires_at");
  if (value == NULL || value == Py_None) {
    Py_XDECREF(value);
    return PyErr_Occurred() ? -1 : 0;
  }
  PyObject *seconds = timestamp_of(value);
  Py_DECREF(value);
  if (seconds != NULL)
    *expires_at = PyLong_AsLongLong(seconds);
  Py_XDECREF(seconds);
  if (!PyErr_Occurred())
    return 0;
  if (!PyErr_ExceptionMatches(PyExc_AttributeError) && !PyErr_ExceptionMatches(PyExc_TypeError))
    return -1;
  PyErr_Clear();
  return fail_provider(from, "an expires_at that is a datetime or None");
}

/* Passes the credentials to the library. -1 with an exception set, or the library's error in *code. */
static int supply(const given_credentials *from, sf_s3_credential_request *request, sf_code *code, sf_error *error) {
  PyObject *holders[3] = {NULL, NULL, NULL};
  const char *texts[3] = {NULL, NULL, NULL};
  int64_t expires_at = 0;
  int result = read_credential(from, "access_key_id", true, &holders[0], &texts[0]);
  if (result == 0)
    result = read_credential(from, "secret_access_key", true, &holders[1], &texts[1]);
  if (result == 0)
    result = read_credential(from, "session_token", false, &holders[2], &texts[2]);
  if (result == 0)
    result = read_expiry(from, &expires_at);
  if (result == 0)
    *code = sf_s3_supply_credentials(request, texts[0], texts[1], texts[2], expires_at, error);
  for (size_t i = 0; i < 3; i++)
    Py_XDECREF(holders[i]);
  return result;
}

/* A coroutine would have to be run by a loop, which may be the one that waits for this thread. */
static int refuse_awaitable(const given_credentials *from) {
  PyObject *closed =
      PyObject_HasAttrString(from->given, "close") ? PyObject_CallMethod(from->given, "close", NULL) : NULL;
  Py_XDECREF(closed);
  PyErr_Clear();
  return fail_provider(from, "credentials without being awaited: make it a plain method");
}

/* Calls the provider and passes its credentials on; returns as supply does. */
static int ask(const sf_py_state *state, PyObject *provider, sf_s3_credential_request *request, sf_code *code,
               sf_error *error) {
  given_credentials from = {.state = state, .provider = provider};
  from.given = PyObject_CallMethod(provider, "resolve", NULL);
  if (from.given == NULL)
    return -1;
  int result = PyObject_HasAttrString((PyObject *)Py_TYPE(from.given), "__await__")
                   ? refuse_awaitable(&from)
                   : supply(&from, request, code, error);
  Py_DECREF(from.given);
  return result;
}

/* Puts an object (taken over) into a member of the sink; what was there before, as the caller's reference. */
static PyObject *exchange(PyObject *sink, PyObject **member, PyObject *object) {
  PyObject *earlier;
  SF_PY_BEGIN_LOCK(sink);
  earlier = *member;
  *member = object;
  SF_PY_END_LOCK;
  return earlier;
}

static PyObject *provider_of(PyObject *sink) {
  PyObject *provider;
  SF_PY_BEGIN_LOCK(sink);
  provider = Py_XNewRef(sf_py_sink_credentials(sink)->provider);
  SF_PY_END_LOCK;
  return provider;
}

/* Moves the exception that is set into the sink, from which the failing operation raises it. */
static sf_code keep_failure(PyObject *sink, sf_error *error) {
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
  Py_XDECREF(exchange(sink, &sf_py_sink_credentials(sink)->failure, value));
  return SF_ERROR;
}

static _Thread_local bool is_providing;

bool sf_py_is_providing(void) {
  return is_providing;
}

/* Called by the library's threads, without the GIL. */
static sf_code provide(sf_s3_credential_request *request, void *user_data, sf_error *error) {
  sf_code code = SF_OK;
  PyGILState_STATE gil = PyGILState_Ensure();
  is_providing = true;
  PyObject *provider = provider_of(user_data);
  if (provider == NULL) {
    *error = (sf_error){.code = SF_ERROR, .message = PROVIDER_FAILED "it is gone"};
    code = SF_ERROR;
  } else if (ask(sf_py_state_of(user_data), provider, request, &code, error) < 0)
    code = keep_failure(user_data, error);
  Py_XDECREF(provider);
  is_providing = false;
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
  if (read_text(sf_py_state_of(sink), s3, "endpoint_url", &options->endpoint_url) < 0 ||
      read_text(sf_py_state_of(sink), s3, "region_name", &options->region_name) < 0 ||
      read_text(sf_py_state_of(sink), s3, "ca_path", &options->ca_path) < 0)
    return -1;
  options->addressing_style = (sf_s3_addressing_style)read_number(s3, "addressing_style");
  options->no_verify_ssl = read_number(s3, "no_verify_ssl") != 0;
  options->anonymous = read_number(s3, "anonymous") != 0;
  options->requester_pays = read_number(s3, "requester_pays") != 0;
  options->connect_timeout_seconds = read_number(s3, "connect_timeout");
  options->read_timeout_seconds = read_number(s3, "read_timeout");
  options->max_attempts = (uint32_t)read_number(s3, "max_attempts");
  PyObject *provider = PyDict_GetItemString(s3, "credential_provider");
  if (provider != NULL && provider != Py_None) {
    Py_XDECREF(exchange(sink, &sf_py_sink_credentials(sink)->provider, Py_NewRef(provider)));
    options->credential_callback = provide;
    options->credential_user_data = sink;
  }
  return PyErr_Occurred() ? -1 : 0;
}

PyObject *sf_py_sink_take_failure(PyObject *sink, const sf_error *error) {
  if (strstr(error->message, PROVIDER_FAILED) == NULL)
    return NULL;
  return exchange(sink, &sf_py_sink_credentials(sink)->failure, NULL);
}

PyObject *sf_py_raise_failure(const sf_py_state *state, PyObject *sink, const sf_error *error) {
  PyObject *failure = sf_py_sink_take_failure(sink, error);
  if (failure == NULL)
    return sf_py_raise(state, error);
  PyErr_SetObject((PyObject *)Py_TYPE(failure), failure);
  Py_DECREF(failure);
  return NULL;
}
