/* One evaluation as its functions see it: memory, budget, and the error that stopped it. */
#ifndef SF_CEL_EVALUATION_H
#define SF_CEL_EVALUATION_H

#include "cel/arena.h"
#include "cel/position.h"
#include "cel/regex.h"
#include "cel/value.h"

typedef struct sf_cel_evaluation {
  sf_cel_arena *arena;
  sf_cel_budget budget;
  sf_cel_position position;         /* of the call under way */
  const sf_cel_regex *regex;        /* of its constant pattern, or NULL */
  sf_cel_match_memory match_memory; /* kept from one match to the next */
  const sf_cel_value **variables;   /* by slot; NULL: not bound */
  sf_cel_value *locals;             /* by slot */
  bool fatal;                       /* a limit was reached: neither && nor || may hide the error */
  sf_error error;
} sf_cel_evaluation;

/* What a function comes to. */
typedef enum sf_cel_outcome {
  SF_CEL_DONE,
  SF_CEL_NO_OVERLOAD, /* it does not take arguments of these types */
  SF_CEL_FAILED,      /* the evaluation's error is set */
} sf_cel_outcome;

/* These return SF_CEL_FAILED. An error of the language can be hidden by && and ||, one of a limit can't. */
sf_cel_outcome sf_cel_error(sf_cel_evaluation *evaluation, const char *format, ...) SF_PRINTF(2, 3);
sf_cel_outcome sf_cel_limit_error(sf_cel_evaluation *evaluation, const char *format, ...) SF_PRINTF(2, 3);
sf_cel_outcome sf_cel_steps_error(sf_cel_evaluation *evaluation);

/* A map has nothing under `key`. */
sf_cel_outcome sf_cel_no_such_key(sf_cel_evaluation *evaluation, const sf_cel_value *key);

/* As sf_cel_arena_allocate; NULL with the error set. */
void *sf_cel_allocate(sf_cel_evaluation *evaluation, size_t count, size_t size);

/* Pays for looking at `bytes` bytes. False with the error set. */
bool sf_cel_spend_bytes(sf_cel_evaluation *evaluation, size_t bytes);

#endif
