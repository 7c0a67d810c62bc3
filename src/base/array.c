#include "base/array.h"

#include <string.h>

enum { FIRST_CAPACITY = 16 };

bool sf_array_make_room(void *array, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity)
    return true;
  size_t larger = FIRST_CAPACITY;
  void *items;
  memcpy(&items, array, sizeof(items)); /* a pointer of any type has this representation */
  if (*capacity > 0 && !sf_multiply_size(*capacity, 2, &larger))
    return false;
  items = sf_reallocarray(items, larger, size);
  if (items == NULL)
    return false;
  memcpy(array, &items, sizeof(items));
  *capacity = larger;
  return true;
}
