/* A compiled filter, inside. */
#ifndef SF_FILTER_PROGRAM_H
#define SF_FILTER_PROGRAM_H

#include "cel/cel.h"
#include "filter/bulk.h"
#include "filter/filter.h"
#include "filter/paths.h"

#include <stdatomic.h>

struct sf_filter {
  atomic_uint references;
  char *expression;
  uint64_t hash;
  sf_cel_program *program;
  sf_filter_paths paths;    /* of another copy of the program; num_paths is 0 where it can't be evaluated in bulk */
  const sf_bulk_node *bulk; /* NULL: it can't */
  bool reads_id;
  bool reads_payload;
};

#endif
