/* Arrays that grow by doubling. */
#ifndef SF_BASE_ARRAY_H
#define SF_BASE_ARRAY_H

#include "base/memory.h"

/*
 * Makes room for one more item behind `count`. `array` is the address of the pointer to the items, each of `size` bytes;
 * that pointer and *capacity (of items; both zero at first) change where there is none. False when memory is out: the array
 * stays as it was.
 */
bool sf_array_make_room(void *array, size_t count, size_t *capacity, size_t size);

#endif
