/* The exception types are made from the library's table of errors, SF_ERROR_TABLE. */
#include "errors.h"

#include "object.h"

#include <stdarg.h>
#include <string.h>

typedef struct error_row {
  sf_code code;
  const char *name;
  const char *base;
  bool retryable;
} error_row;

static const error_row rows[] = {
#define ERROR_ROW(constant, number, name, base, retryable) {constant, name, base, retryable},
    SF_ERROR_TABLE(ERROR_ROW)
#undef ERROR_ROW
};

/* A message has room for what was expected, what was found and why. */
enum { MAX_MESSAGE_LENGTH = 1000 };

#define NUM_ROWS (sizeof(rows) / sizeof(rows[0]))

/* What each exception means, as its docstring. */
static const char *describe(sf_code code) {
  switch (code) {
  case SF_ERROR:
    return "What shardyfusion raises: the base of its exceptions.\n\n"
           "`retryable` says whether the same call may succeed later. Raised itself when storage denies access,\n"
           "credentials are wrong or a bucket does not exist.";
  case SF_READER_STATE_ERROR:
    return "No snapshot, no vector metadata, a routing artifact that is missing, or a reader that is closed or "
           "inherited "
           "by a fork.";
  case SF_MANIFEST_PARSE_ERROR:
    return "A manifest or `_CURRENT` is malformed, and so were the older manifests that were tried instead.";
  case SF_DB_ADAPTER_ERROR:
    return "A shard is missing, damaged, or of an encoding that is not supported.";
  case SF_CONFIG_VALIDATION_ERROR:
    return "An argument is not what it has to be.";
  case SF_UNKNOWN_ROUTING_TOKEN_ERROR:
    return "A routing expression gave a value that the snapshot has no shard for.";
  case SF_S3_TRANSIENT_ERROR:
    return "Storage could not be reached, or refused for now; it was tried several times.";
  case SF_MANIFEST_STORE_ERROR:
    return "A manifest is not where it should be.";
  case SF_POOL_EXHAUSTED_ERROR:
    return "No thread, descriptor or connection was to be had.";
  default:
    return NULL;
  }
}

/* A borrowed exception type that stands outside of our own hierarchy. */
static PyObject *foreign_type(const error_row *row) {
  if (row->code == SF_TIMEOUT_ERROR)
    return PyExc_TimeoutError;
  if (row->code == SF_OUT_OF_MEMORY_ERROR)
    return PyExc_MemoryError;
  return NULL;
}

static PyObject *make_type(const sf_py_state *state, const error_row *row) {
  PyObject *bases = NULL;
  PyObject *members = Py_BuildValue("{s:O}", "retryable", row->retryable ? Py_True : Py_False);
  char qualified[128];
  PyOS_snprintf(qualified, sizeof(qualified), "shardyfusion.errors.%s", row->name);
  if (row->base[0] == '\0')
    bases = Py_NewRef(PyExc_Exception);
  else if (row->code == SF_UNKNOWN_ROUTING_TOKEN_ERROR)
    bases = PyTuple_Pack(2, state->errors[SF_ERROR], PyExc_ValueError);
  else
    bases = Py_NewRef(state->errors[SF_ERROR]);
  PyObject *type = bases == NULL || members == NULL
                       ? NULL
                       : PyErr_NewExceptionWithDoc(qualified, describe(row->code), bases, members);
  Py_XDECREF(bases);
  Py_XDECREF(members);
  return type;
}

int sf_py_add_errors(PyObject *module, sf_py_state *state) {
  for (size_t i = 0; i < NUM_ROWS; i++) {
    const error_row *row = &rows[i];
    PyObject *foreign = foreign_type(row);
    if (row->code == SF_CANCELLED_ERROR)
      continue;
    PyObject *type = foreign != NULL ? Py_NewRef(foreign) : make_type(state, row);
    state->errors[row->code] = type;
    if (type == NULL || (foreign == NULL && PyModule_AddObjectRef(module, row->name, type) < 0))
      return -1;
  }
  return 0;
}

/* A new reference. What is cancelled raises asyncio's own error, because that is what a cancelled task gets; importing
 * asyncio takes longer than all else here, so that it waits until then. */
static PyObject *type_of(const sf_py_state *state, sf_code code) {
  size_t index = (size_t)code;
  if (code == SF_CANCELLED_ERROR)
    return sf_py_import("asyncio.exceptions", "CancelledError");
  return Py_NewRef(index < SF_PY_NUM_CODES && state->errors[index] != NULL ? state->errors[index] : PyExc_RuntimeError);
}

PyObject *sf_py_make_error(const sf_py_state *state, const sf_error *error) {
  size_t index = (size_t)error->code;
  PyObject *type = type_of(state, error->code);
  PyObject *message = PyUnicode_DecodeUTF8(error->message, (Py_ssize_t)strlen(error->message), "replace");
  PyObject *made = type == NULL || message == NULL ? NULL : PyObject_CallFunctionObjArgs(type, message, NULL);
  Py_XDECREF(type);
  Py_XDECREF(message);
  if (made == NULL || index >= SF_PY_NUM_CODES || error->retryable == sf_code_retryable(error->code))
    return made;
  /* An error that knows better than its type whether trying again helps. */
  if (PyObject_SetAttrString(made, "retryable", error->retryable ? Py_True : Py_False) < 0)
    PyErr_Clear();
  return made;
}

PyObject *sf_py_raise(const sf_py_state *state, const sf_error *error) {
  PyObject *made = sf_py_make_error(state, error);
  if (made != NULL) {
    PyErr_SetObject((PyObject *)Py_TYPE(made), made);
    Py_DECREF(made);
  }
  return NULL;
}

/* What calls a function of shardyfusion/_text.py on a value: a new reference. */
static PyObject *call_text(const char *function, PyObject *value) {
  PyObject *callable = sf_py_import("shardyfusion._text", function);
  PyObject *text = callable == NULL ? NULL : PyObject_CallFunctionObjArgs(callable, value, NULL);
  Py_XDECREF(callable);
  return text;
}

PyObject *sf_py_describe(PyObject *value) {
  return call_text("describe", value);
}

/* Raises the message (taken over), shortened where it is long. */
static void raise_message(const sf_py_state *state, sf_code code, PyObject *message) {
  if (message != NULL && PyUnicode_GetLength(message) > MAX_MESSAGE_LENGTH) {
    PyObject *shortened = call_text("shorten_message", message);
    Py_DECREF(message);
    message = shortened;
  }
  if (message != NULL)
    PyErr_SetObject(state->errors[code], message);
  Py_XDECREF(message);
}

PyObject *sf_py_fail(const sf_py_state *state, sf_code code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  raise_message(state, code, PyUnicode_FromFormatV(format, arguments));
  va_end(arguments);
  return NULL;
}

/* What the exception that is set says, which it is no longer: a new reference, or NULL. */
static PyObject *take_text(void) {
  PyObject *type;
  PyObject *value;
  PyObject *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  PyObject *text = value == NULL ? NULL : call_text("reason", value);
  PyErr_Clear();
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  return text;
}

int sf_py_fail_found(const sf_py_state *state, PyObject *value, const char *format, ...) {
  PyObject *reason = PyErr_Occurred() ? take_text() : NULL;
  PyObject *found = sf_py_describe(value);
  va_list arguments;
  va_start(arguments, format);
  PyObject *start = found == NULL ? NULL : PyUnicode_FromFormatV(format, arguments);
  va_end(arguments);
  if (start != NULL)
    raise_message(state, SF_CONFIG_VALIDATION_ERROR,
                  reason != NULL ? PyUnicode_FromFormat("%U, found %S: %S", start, found, reason)
                                 : PyUnicode_FromFormat("%U, found %S", start, found));
  Py_XDECREF(start);
  Py_XDECREF(found);
  Py_XDECREF(reason);
  return -1;
}
