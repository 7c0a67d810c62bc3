/*
 * Ids in the one spelling that the writer has for most of them (Python's json.dumps): {"v": 7, "t": "int"}, and
 * {"v": "a", "t": "str"} of printable ASCII with nothing to unescape. Half the time of a small search went into a JSON
 * parser for them; every other spelling is left to it.
 */
#ifndef SF_FORMATS_SQLITE_VEC_WRITTEN_ID_H
#define SF_FORMATS_SQLITE_VEC_WRITTEN_ID_H

#include "base/memory.h"
#include "shardyfusion/types.h"

typedef struct sf_written_id {
  sf_id_type type;
  int64_t integer;    /* SF_ID_INTEGER */
  const char *string; /* SF_ID_STRING: borrowed from the text, `length` bytes, without a NUL */
  size_t length;
} sf_written_id;

/* False, and nothing is written, unless the whole text is of that spelling. The result is the one of a JSON parser. */
bool sf_written_id_read(const char *text, size_t length, sf_written_id *id);

/* Appends an id in that spelling; what is not printable ASCII stays UTF-8, and is escaped where JSON asks for it. False
 * when memory is out. */
bool sf_written_id_append(const sf_written_id *id, sf_buffer *text);

#endif
