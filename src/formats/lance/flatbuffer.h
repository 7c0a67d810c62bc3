/*
 * Just enough of FlatBuffers (https://flatbuffers.dev/internals) to read the frame of an Arrow IPC file, with every
 * step checked. A table is known by its position; 0 stands for one that is absent.
 */
#ifndef SF_FORMATS_LANCE_FLATBUFFER_H
#define SF_FORMATS_LANCE_FLATBUFFER_H

#include "formats/lance/bytes.h"

/* The table that the buffer begins with. False when it is outside of the buffer. */
bool sf_lance_flatbuffer_root(sf_lance_bytes buffer, size_t *table);

/* A scalar of `size` bytes in field `index`, or `absent` where the field is not there. */
bool sf_lance_flatbuffer_scalar(sf_lance_bytes buffer, size_t table, unsigned index, size_t size, uint64_t absent,
                                uint64_t *value);

/* The table in field `index`; 0 where the field is not there. */
bool sf_lance_flatbuffer_table(sf_lance_bytes buffer, size_t table, unsigned index, size_t *inner);

/* The vector in field `index`, of elements of `element_size` bytes; an absent one is empty. */
bool sf_lance_flatbuffer_vector(sf_lance_bytes buffer, size_t table, unsigned index, size_t element_size,
                                const uint8_t **elements, size_t *count);

/* Table `element` of a vector of tables. */
bool sf_lance_flatbuffer_vector_table(sf_lance_bytes buffer, const uint8_t *elements, size_t element, size_t *table);

#endif
