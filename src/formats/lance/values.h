/*
 * Values as the pages of file versions 2.1 and 2.2 compress them: a tree of compressive encodings over the buffers of a
 * mini-block chunk, or over a single block (levels, dictionaries).
 */
#ifndef SF_FORMATS_LANCE_VALUES_H
#define SF_FORMATS_LANCE_VALUES_H

#include "base/memory.h"
#include "formats/lance/bytes.h"

#include "lance_page_layout.pb-c.h"

/* More are in no chunk of ours: at most run values, run lengths and two bitmaps. */
#define SF_LANCE_MAX_BUFFERS 8

/* "flat", "run-length" …: the name of an encoding in messages. `encoding` may be NULL. */
const char *sf_lance_encoding_name(const Sf__Lance__CompressiveEncoding *encoding);

/* Bits of one decoded value of fixed width; 0: the encoding makes none, or doesn't say. */
unsigned sf_lance_value_bits(const Sf__Lance__CompressiveEncoding *encoding);

/* Decodes exactly `num_values` values of `value_size` (1, 2, 4 or 8) bytes. A block is one buffer. */
sf_code sf_lance_decode_values(const Sf__Lance__CompressiveEncoding *encoding, const sf_lance_bytes *buffers,
                               size_t num_buffers, size_t num_values, size_t value_size, uint8_t *values,
                               sf_error *error);

/* Consecutive strings, string i in [offset i, offset i + 1) of `bytes`. */
typedef struct sf_lance_strings {
  sf_lance_bytes bytes;
  const uint8_t *offsets; /* num_strings + 1 integers of offset_size bytes; not checked */
  size_t offset_size;     /* 4 or 8 */
  size_t num_strings;
  sf_buffer decompressed; /* owns them, where the block was compressed */
} sf_lance_strings;

/* A block of strings, such as a dictionary: u32 bits of an offset, u32 start of the bytes, offsets, bytes; twice as
 * wide for 64-bit offsets. Borrows `block`. Zero-initialise `strings`; free whatever happened. */
sf_code sf_lance_decode_string_block(const Sf__Lance__CompressiveEncoding *encoding, sf_lance_bytes block,
                                     uint64_t num_strings, sf_lance_strings *strings, sf_error *error);

/* A mini-block chunk of strings: offsets from the chunk's own beginning, then the bytes. Sees through FSST and general
 * compression; the caller decodes FSST. */
sf_code sf_lance_decode_string_chunk(const Sf__Lance__CompressiveEncoding *encoding, sf_lance_bytes buffer,
                                     size_t num_strings, sf_lance_strings *strings, sf_error *error);

/* Checks the offsets of one string. */
sf_code sf_lance_strings_get(const sf_lance_strings *strings, size_t index, sf_lance_bytes *string, sf_error *error);

void sf_lance_strings_free(sf_lance_strings *strings);

#endif
