/* The memory of a JSON document: blocks that are freed together. */
#ifndef SF_BASE_JSON_MEMORY_H
#define SF_BASE_JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct sf_json_block sf_json_block;

/* Zero-initialise. */
typedef struct sf_json_memory {
  sf_json_block *blocks; /* the newest first */
} sf_json_memory;

/* json_loadb with all of its allocations in `memory`, in the C locale. NULL on failure: *is_out where an allocation failed, else
 * `failure` describes it. */
const json_t *sf_json_memory_load(sf_json_memory *memory, const char *text, size_t length, json_error_t *failure,
                                  bool *is_out);

void sf_json_memory_free(sf_json_memory *memory);

#endif
