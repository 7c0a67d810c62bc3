#include "cel/evaluation.h"

#include "cel/limits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static sf_cel_outcome fail_formatted(sf_cel_evaluation *evaluation, const char *format, va_list arguments) {
  char text[512];
  vsnprintf(text, sizeof(text), format, arguments);
  sf_cel_fail(&evaluation->error, evaluation->position, "%s", text);
  return SF_CEL_FAILED;
}

sf_cel_outcome sf_cel_error(sf_cel_evaluation *evaluation, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fail_formatted(evaluation, format, arguments);
  va_end(arguments);
  return SF_CEL_FAILED;
}

sf_cel_outcome sf_cel_limit_error(sf_cel_evaluation *evaluation, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fail_formatted(evaluation, format, arguments);
  va_end(arguments);
  evaluation->fatal = true;
  return SF_CEL_FAILED;
}

sf_cel_outcome sf_cel_steps_error(sf_cel_evaluation *evaluation) {
  return sf_cel_limit_error(evaluation, "the evaluation takes more than %d steps", SF_CEL_MAX_STEPS);
}

sf_cel_outcome sf_cel_no_such_key(sf_cel_evaluation *evaluation, const sf_cel_value *key) {
  char excerpt[SF_CEL_EXCERPT_BYTES];
  switch (key->kind) {
  case SF_CEL_STRING:
    return sf_cel_error(evaluation, "no such key: \"%s\"", sf_cel_excerpt(sf_cel_value_text(key), excerpt));
  case SF_CEL_INT:
    return sf_cel_error(evaluation, "no such key: %" PRId64, key->as.integer);
  case SF_CEL_UINT:
    return sf_cel_error(evaluation, "no such key: %" PRIu64 "u", key->as.unsigned_integer);
  default:
    return sf_cel_error(evaluation, "no such key (of type %s)", sf_cel_kind_name(key->kind));
  }
}

void *sf_cel_allocate(sf_cel_evaluation *evaluation, size_t count, size_t size) {
  void *memory = sf_cel_arena_allocate(evaluation->arena, count, size);
  if (memory != NULL)
    return memory;
  if (evaluation->arena->limit_reached) {
    sf_cel_limit_error(evaluation, "the evaluation needs more than %d bytes of memory", SF_CEL_MAX_MEMORY_BYTES);
  } else {
    sf_fail_memory(&evaluation->error, "a CEL evaluation");
    evaluation->fatal = true;
  }
  return NULL;
}

bool sf_cel_spend_bytes(sf_cel_evaluation *evaluation, size_t bytes) {
  if (sf_cel_spend(&evaluation->budget, bytes / SF_CEL_BYTES_PER_STEP))
    return true;
  sf_cel_steps_error(evaluation);
  return false;
}
