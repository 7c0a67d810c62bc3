#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool sf_multiply_size(size_t a, size_t b, size_t *product) {
  return !__builtin_mul_overflow(a, b, product);
}

bool sf_add_size(size_t a, size_t b, size_t *sum) {
  return !__builtin_add_overflow(a, b, sum);
}

void *sf_calloc(size_t count, size_t size) {
  return calloc(count > 0 ? count : 1, size > 0 ? size : 1);
}

void *sf_reallocarray(void *memory, size_t count, size_t size) {
  size_t total;
  if (!sf_multiply_size(count, size, &total))
    return NULL;
  return realloc(memory, total > 0 ? total : 1);
}

char *sf_memdup_string(const void *bytes, size_t length) {
  size_t total;
  if (!sf_add_size(length, 1, &total))
    return NULL;
  char *copy = malloc(total);
  if (copy == NULL)
    return NULL;
  if (length > 0)
    memcpy(copy, bytes, length);
  copy[length] = '\0';
  return copy;
}

char *sf_strdup(const char *text) {
  return text == NULL ? NULL : sf_memdup_string(text, strlen(text));
}

bool sf_buffer_reserve(sf_buffer *buffer, size_t extra) {
  size_t needed;
  if (!sf_add_size(buffer->length, extra, &needed) || !sf_add_size(needed, 1, &needed))
    return false;
  if (needed <= buffer->capacity)
    return true;
  size_t capacity = buffer->capacity > SIZE_MAX / 2 ? needed : buffer->capacity * 2;
  if (capacity < needed)
    capacity = needed;
  if (capacity < 64)
    capacity = 64;
  uint8_t *data = realloc(buffer->data, capacity);
  if (data == NULL)
    return false;
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}

bool sf_buffer_append(sf_buffer *buffer, const void *bytes, size_t length) {
  if (!sf_buffer_reserve(buffer, length))
    return false;
  if (length > 0)
    memcpy(buffer->data + buffer->length, bytes, length);
  buffer->length += length;
  buffer->data[buffer->length] = '\0';
  return true;
}

bool sf_buffer_append_text(sf_buffer *buffer, const char *text) {
  return sf_buffer_append(buffer, text, strlen(text));
}

static bool append_formatted(sf_buffer *buffer, const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (length < 0 || !sf_buffer_reserve(buffer, (size_t)length))
    return false;
  vsnprintf((char *)buffer->data + buffer->length, (size_t)length + 1, format, arguments);
  buffer->length += (size_t)length;
  return true;
}

bool sf_buffer_append_format(sf_buffer *buffer, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  bool appended = append_formatted(buffer, format, arguments);
  va_end(arguments);
  return appended;
}

char *sf_format(const char *format, ...) {
  sf_buffer buffer = {0};
  va_list arguments;
  va_start(arguments, format);
  bool appended = append_formatted(&buffer, format, arguments);
  va_end(arguments);
  if (!appended)
    sf_buffer_free(&buffer);
  return (char *)buffer.data;
}

void sf_buffer_free(sf_buffer *buffer) {
  free(buffer->data);
  *buffer = (sf_buffer){0};
}

enum { FIRST_ARRAY_CAPACITY = 16 };

bool sf_array_make_room(void *array, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity)
    return true;
  size_t larger = FIRST_ARRAY_CAPACITY;
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

void sf_free(void *memory) {
  free(memory);
}
