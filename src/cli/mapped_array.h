/* A .npy file in memory as it lies on disk: pages come when they are touched, and can go again. */
#ifndef SF_CLI_MAPPED_ARRAY_H
#define SF_CLI_MAPPED_ARRAY_H

#include "snapshot/npy.h"

#include <stdint.h>

typedef struct sf_cli_mapped_array {
  void *bytes; /* NULL: none */
  size_t length;
  size_t released; /* bytes from the front that were let go */
  sf_npy_layout layout;
  const uint8_t *elements;
} sf_cli_mapped_array;

sf_code sf_cli_map_array(const char *path, sf_cli_mapped_array *array, sf_error *error);
/* A zeroed one is allowed. */
void sf_cli_unmap_array(sf_cli_mapped_array *array);

/* Says that elements are wanted soon. */
void sf_cli_mapped_array_fetch(const sf_cli_mapped_array *array, size_t first, size_t count);
/* Says that elements before `end` are not wanted any more. */
void sf_cli_mapped_array_release(sf_cli_mapped_array *array, size_t end);
/* Says that no element is wanted until the next fetch. */
void sf_cli_mapped_array_release_all(sf_cli_mapped_array *array);

/* An element of an array of integers; false where it is none that an int64 can hold. */
bool sf_cli_mapped_integer(const sf_cli_mapped_array *array, size_t index, int64_t *value);

#endif
