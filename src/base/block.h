/* Results that are one block of memory, strings included, so that one free() is all their owner has to do. */
#ifndef SF_BASE_BLOCK_H
#define SF_BASE_BLOCK_H

#include <stddef.h>
#include <string.h>

/* What a string takes in a block. NULL takes nothing. */
static inline size_t sf_block_text_size(const char *text) {
  return text == NULL ? 0 : strlen(text) + 1;
}

/* Copies a string to where *next points, and moves it on. NULL stays NULL. */
static inline const char *sf_block_copy_text(char **next, const char *text) {
  if (text == NULL)
    return NULL;
  size_t size = strlen(text) + 1;
  const char *copy = memcpy(*next, text, size);
  *next += size;
  return copy;
}

#endif
