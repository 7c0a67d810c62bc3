/*
 * Payloads straight from the pages of a mapped shard.db: the descent of SQLite's B-tree by row id (the file format's
 * description, sections 1.6 and 2.1), for values of text that lie in one page. It takes a tenth of the time of a statement. No byte of the
 * file is trusted; whatever is not as simple as that, and every inconsistency, is left to SQLite.
 */
#ifndef SF_FORMATS_SQLITE_VEC_PAYLOAD_PAGES_H
#define SF_FORMATS_SQLITE_VEC_PAYLOAD_PAGES_H

#include "base/sqlite.h"

/* Where the payloads are. Immutable: any thread. */
typedef struct sf_payload_pages {
  const uint8_t *bytes; /* of the file, which is borrowed */
  size_t length;
  uint32_t page_size;
  uint32_t usable_size; /* of a page, without the bytes that are reserved at its end */
  uint32_t root;        /* the page that the table begins with, counted from 1 */
  uint32_t column;      /* of the payloads, counted from 0 */
} sf_payload_pages;

/* Whether the payloads of the database, whose file is `bytes`, can be read so. Fails only where memory is out. */
sf_code sf_payload_pages_find(sqlite3 *database, const void *bytes, size_t length, sf_payload_pages *pages,
                              bool *usable, sf_error *error);

/* The payload of a row, borrowed from the file; false where SQLite has to be asked. *text is NULL where the row has none. */
bool sf_payload_pages_get(const sf_payload_pages *pages, int64_t row_id, const char **text, size_t *length);

#endif
