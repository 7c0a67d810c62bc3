/* Values that come in with a call, and go out with its result. */
#include "base/utf8.h"
#include "cel/evaluator.h"
#include "cel/limits.h"

#include <string.h>

static bool check_value(sf_cel_evaluation *evaluation, const char *name, const sf_cel_value *value, int depth);

static bool fail_variable(sf_cel_evaluation *evaluation, const char *name, const char *problem) {
  char excerpt[SF_CEL_EXCERPT_BYTES];
  sf_cel_limit_error(evaluation, "variable '%s' %s", sf_cel_excerpt((sf_cel_text){name, strlen(name)}, excerpt),
                     problem);
  return false;
}

static bool check_text(sf_cel_evaluation *evaluation, const char *name, const sf_cel_value *value) {
  sf_cel_text text = sf_cel_value_text(value);
  sf_cel_kind ignored;
  if (text.data == NULL && text.length > 0)
    return fail_variable(evaluation, name, "has a length without data");
  if (value->kind == SF_CEL_STRING && !sf_utf8_valid(text.data, text.length, NULL))
    return fail_variable(evaluation, name, "has a string that is not UTF-8");
  if (value->kind == SF_CEL_TYPE && !sf_cel_kind_of_name(text, &ignored))
    return fail_variable(evaluation, name, "has a type of no known name");
  return true;
}

static bool check_items(sf_cel_evaluation *evaluation, const char *name, const sf_cel_value *value, int depth) {
  size_t count = value->as.list.count;
  bool is_map = value->kind == SF_CEL_MAP;
  if (depth >= SF_CEL_MAX_BINDING_DEPTH) {
    sf_cel_limit_error(evaluation, "variable '%.40s' has lists and maps nested deeper than %d levels", name,
                       SF_CEL_MAX_BINDING_DEPTH);
    return false;
  }
  if (value->as.list.items == NULL && count > 0)
    return fail_variable(evaluation, name, "has a count without items");
  if (!sf_cel_spend(&evaluation->budget, count)) {
    sf_cel_steps_error(evaluation);
    return false;
  }
  for (size_t i = 0; i < (is_map ? 2 * count : count); i++) {
    if (is_map && i % 2 == 0 && !sf_cel_is_key(&value->as.list.items[i]))
      return fail_variable(evaluation, name, "has a map with a key that is no int, uint, bool or string");
    if (!check_value(evaluation, name, &value->as.list.items[i], depth + 1))
      return false;
  }
  return true;
}

static bool check_value(sf_cel_evaluation *evaluation, const char *name, const sf_cel_value *value, int depth) {
  switch (value->kind) {
  case SF_CEL_NULL:
  case SF_CEL_BOOL:
  case SF_CEL_INT:
  case SF_CEL_UINT:
  case SF_CEL_DOUBLE:
    return true;
  case SF_CEL_STRING:
  case SF_CEL_BYTES:
  case SF_CEL_TYPE:
    return check_text(evaluation, name, value);
  case SF_CEL_LIST:
  case SF_CEL_MAP:
    return check_items(evaluation, name, value, depth);
  }
  return fail_variable(evaluation, name, "has a value of no known kind");
}

static bool check_binding(sf_cel_evaluation *evaluation, const sf_cel_variable *variable, const sf_cel_value *value) {
  if (!variable->declared || variable->is_dyn || variable->type == value->kind)
    return check_value(evaluation, variable->name, value, 0);
  sf_cel_limit_error(evaluation, "variable '%.40s' of type %s was expected, found %s", variable->name,
                     sf_cel_kind_name(variable->type), sf_cel_kind_name(value->kind));
  return false;
}

bool sf_cel_bind(sf_cel_evaluation *evaluation, const sf_cel_program *program, const sf_cel_binding *bindings,
                 size_t num_bindings) {
  for (uint32_t slot = 0; slot < program->num_variables; slot++) {
    const sf_cel_variable *variable = &program->variables[slot];
    evaluation->variables[slot] = NULL;
    for (size_t i = 0; i < num_bindings && evaluation->variables[slot] == NULL; i++) {
      if (strcmp(bindings[i].name, variable->name) != 0)
        continue;
      if (!check_binding(evaluation, variable, &bindings[i].value))
        return false;
      evaluation->variables[slot] = &bindings[i].value;
    }
  }
  return true;
}

static bool own_text(sf_cel_evaluation *evaluation, sf_cel_value *value) {
  size_t length = value->as.text.length;
  char *copy = sf_cel_allocate(evaluation, length, 1);
  if (copy == NULL)
    return false;
  if (length > 0)
    memcpy(copy, value->as.text.data, length);
  value->as.text.data = copy;
  return true;
}

/* Values may share what they hold, many times over; the copy does not, and so pays for it. */
static bool own_items(sf_cel_evaluation *evaluation, sf_cel_value *value) {
  size_t count = value->kind == SF_CEL_MAP ? 2 * value->as.list.count : value->as.list.count;
  sf_cel_value *copy = sf_cel_allocate(evaluation, count, sizeof(*copy));
  if (copy == NULL)
    return false;
  for (size_t i = 0; i < count; i++) {
    copy[i] = value->as.list.items[i];
    if (!sf_cel_own(evaluation, &copy[i]))
      return false;
  }
  value->as.list.items = copy;
  return true;
}

/* Recursion is bounded: no value is deeper than the bindings may be and the tree is. */
bool sf_cel_own(sf_cel_evaluation *evaluation, sf_cel_value *value) {
  switch (value->kind) {
  case SF_CEL_STRING:
  case SF_CEL_BYTES:
  case SF_CEL_TYPE:
    return own_text(evaluation, value);
  case SF_CEL_LIST:
  case SF_CEL_MAP:
    return own_items(evaluation, value);
  default:
    return true;
  }
}
