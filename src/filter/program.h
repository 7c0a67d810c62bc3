/* A compiled filter, inside. */
#ifndef SF_FILTER_PROGRAM_H
#define SF_FILTER_PROGRAM_H

#include "cel/cel.h"
#include "filter/filter.h"

#include <stdatomic.h>

struct sf_filter {
  atomic_uint references;
  char *expression;
  uint64_t hash;
  sf_cel_program *program;
  bool reads_id;
  bool reads_payload;
};

#endif
