/* Allocation with checked sizes, and growable byte buffers. */
#ifndef SF_BASE_MEMORY_H
#define SF_BASE_MEMORY_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* count × size zeroed bytes, or NULL when that overflows or memory is out. A count of 0 gives a valid pointer. */
void *sf_calloc(size_t count, size_t size);

/* As realloc for count × size bytes, or NULL (the old block stays) when that overflows or memory is out. */
void *sf_reallocarray(void *memory, size_t count, size_t size);

/* NULL for NULL; otherwise a copy to free(), or NULL when memory is out. */
char *sf_strdup(const char *text);

/* `length` bytes with a NUL added. */
char *sf_memdup_string(const void *bytes, size_t length);

/* printf into a new string to free(), or NULL when memory is out. */
char *sf_format(const char *format, ...) SF_PRINTF(1, 2);

/* Overflow-checked product and sum; false when the result does not fit. */
bool sf_multiply_size(size_t a, size_t b, size_t *product);
bool sf_add_size(size_t a, size_t b, size_t *sum);

/* Bytes that grow. Zero-initialise; `data` always has a NUL behind its `length` bytes once anything was added. */
typedef struct sf_buffer {
  uint8_t *data;
  size_t length;
  size_t capacity;
} sf_buffer;

/* Makes room for `extra` bytes behind `length`. False when memory is out; the contents stay. */
bool sf_buffer_reserve(sf_buffer *buffer, size_t extra);
bool sf_buffer_append(sf_buffer *buffer, const void *bytes, size_t length);
bool sf_buffer_append_text(sf_buffer *buffer, const char *text);
bool sf_buffer_append_format(sf_buffer *buffer, const char *format, ...) SF_PRINTF(2, 3);
void sf_buffer_free(sf_buffer *buffer);

#endif
