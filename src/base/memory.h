/*
 * Memory: allocation with checked sizes, buffers and arrays that grow, and results in one block. All of it is from the
 * heap and released with free(); an allocation that fails is NULL or false, and the caller reports it (sf_fail_memory).
 */
#ifndef SF_BASE_MEMORY_H
#define SF_BASE_MEMORY_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* count × size zeroed bytes, or NULL when that overflows or memory is out. A valid pointer also for a count of 0. */
void *sf_calloc(size_t count, size_t size);

/* As realloc for count × size bytes, or NULL (the old block stays) when that overflows or memory is out. */
void *sf_reallocarray(void *memory, size_t count, size_t size);

/* NULL for NULL; otherwise a copy to free(), or NULL when memory is out. */
char *sf_strdup(const char *text);

/* A copy of `length` bytes with a NUL added, to free(), or NULL when memory is out. */
char *sf_memdup_string(const void *bytes, size_t length);

/* printf into a new string to free(), or NULL when memory is out. */
char *sf_format(const char *format, ...) SF_PRINTF(1, 2);

/* Overflow-checked product and sum; false when the result does not fit. */
bool sf_multiply_size(size_t a, size_t b, size_t *product);
bool sf_add_size(size_t a, size_t b, size_t *sum);

/* A buffer of bytes that grows. Zero-initialise. Once anything was appended, a NUL follows the `length` bytes. */
typedef struct sf_buffer {
  uint8_t *data;
  size_t length;
  size_t capacity;
} sf_buffer;

/* Makes room for `extra` more bytes. False when memory is out; the contents stay. */
bool sf_buffer_reserve(sf_buffer *buffer, size_t extra);
bool sf_buffer_append(sf_buffer *buffer, const void *bytes, size_t length);
bool sf_buffer_append_text(sf_buffer *buffer, const char *text);
bool sf_buffer_append_format(sf_buffer *buffer, const char *format, ...) SF_PRINTF(2, 3);
void sf_buffer_free(sf_buffer *buffer);

/* ---- Arrays that grow by doubling. ---- */

/*
 * Makes room for one more item after `count`. `array` is the address of the pointer to the items, each of `size` bytes; that
 * pointer and *capacity (in items; both zero at first) change where there is none. False when memory is out: the array stays
 * as it was.
 */
bool sf_array_make_room(void *array, size_t count, size_t *capacity, size_t size);

/* ---- Results that are one block of memory, strings included, so that one free() releases them. ---- */

/* The bytes of a string in a block. 0 for NULL. */
static inline size_t sf_block_text_size(const char *text) {
  return text == NULL ? 0 : strlen(text) + 1;
}

/* Copies a string to *next, which it moves to the end of the copy. NULL stays NULL. */
static inline const char *sf_block_copy_text(char **next, const char *text) {
  if (text == NULL)
    return NULL;
  size_t size = strlen(text) + 1;
  const char *copy = memcpy(*next, text, size);
  *next += size;
  return copy;
}

#endif
