/* Numbers in foreign memory, whatever their width and byte order: what buffers hold, and how it is read. */
#ifndef SF_PYTHON_NUMBERS_H
#define SF_PYTHON_NUMBERS_H

#include "python.h"

#include <shardyfusion/types.h>

typedef enum sf_py_number_kind { SF_PY_FLOAT, SF_PY_SIGNED, SF_PY_UNSIGNED } sf_py_number_kind;

typedef struct sf_py_number {
  sf_py_number_kind kind;
  size_t width;    /* bytes: 2, 4 or 8 of floats, 1, 2, 4 or 8 of integers */
  bool is_swapped; /* the other byte order */
} sf_py_number;

/* What the elements of a buffer are. False where they are no numbers, or the buffer contradicts itself: its shape, its
 * strides and its length have to fit one another. */
bool sf_py_number_of(const Py_buffer *view, sf_py_number *number);

/* Whether the library takes the numbers where they are, and as which type; if not, *type is the type to convert them to: float32
 * where that holds all of them, else float64. */
bool sf_py_number_is_native(const sf_py_number *number, sf_element_type *type);

/* Bytes of a number of that type. */
size_t sf_py_element_size(sf_element_type type);

/* Converts `count` numbers, `stride` bytes apart, to the type that sf_py_number_is_native says; float16 also to float32. */
void sf_py_numbers_convert(const sf_py_number *number, const char *from, Py_ssize_t stride, size_t count,
                           sf_element_type type, void *to);

/* IEEE 754 binary16, exactly. */
double sf_py_widen_half(uint16_t bits);

#endif
