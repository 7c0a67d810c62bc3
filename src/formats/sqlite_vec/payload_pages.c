#include "formats/sqlite_vec/payload_pages.h"

#include "formats/sqlite_vec/database_bytes.h"

#include <string.h>

enum {
  FILE_HEADER = 100, /* bytes of the first page */
  MIN_PAGE = 512,
  MAX_PAGE = 65536,
  MIN_USABLE = 480,
  MAX_DEPTH = 20, /* of SQLite's cursors */
  LEAF_HEADER = 8,
  INTERIOR_HEADER = 12,
  INTERIOR_TABLE = 5, /* the kinds of pages that a table by row id consists of */
  LEAF_TABLE = 13,
  UTF8 = 1,
  FIRST_TEXT = 13, /* odd serial types from here on are texts */
};

static const char what[] = "shard.db";

/* ------------------------------------------------------------------------------------------------------------- Pages */

typedef struct page {
  const uint8_t *bytes;
  const uint8_t *end;
  const uint8_t *pointers; /* to the cells, u16 each */
  uint32_t num_cells;
  uint32_t num_pointer_bytes; /* and those before them: no cell lies there */
  bool is_leaf;
} page;

/* The first page has the file's header before its own: no payload is there, since it belongs to the schema. */
static bool read_page(const sf_payload_pages *pages, uint32_t number, page *read) {
  if (number < 2 || number > pages->length / pages->page_size)
    return false;
  read->bytes = pages->bytes + (size_t)(number - 1) * pages->page_size;
  read->end = read->bytes + pages->usable_size;
  read->is_leaf = read->bytes[0] == LEAF_TABLE;
  if (!read->is_leaf && read->bytes[0] != INTERIOR_TABLE)
    return false;
  uint32_t header = read->is_leaf ? LEAF_HEADER : INTERIOR_HEADER;
  read->num_cells = sf_load_big_u16(read->bytes + 3);
  read->pointers = read->bytes + header;
  read->num_pointer_bytes = header + 2 * read->num_cells;
  return read->num_pointer_bytes <= pages->usable_size;
}

/* A cell's bytes as far as its key, which is its row id. */
typedef struct cell {
  int64_t row_id;
  uint64_t size;         /* of a leaf's: bytes of the record */
  uint32_t child;        /* of an interior page's */
  const uint8_t *record; /* of a leaf's */
} cell;

static bool read_cell(const page *of, uint32_t index, cell *read) {
  uint32_t offset = sf_load_big_u16(of->pointers + (size_t)index * 2);
  uint64_t row_id;
  if (offset < of->num_pointer_bytes || offset + sizeof(uint32_t) > (size_t)(of->end - of->bytes))
    return false;
  const uint8_t *next = of->bytes + offset;
  *read = (cell){0};
  if (of->is_leaf) {
    if (!sf_read_database_varint(&next, of->end, &read->size))
      return false;
  } else {
    read->child = sf_load_big_u32(next);
    next += sizeof(uint32_t);
  }
  if (!sf_read_database_varint(&next, of->end, &row_id))
    return false;
  read->row_id = (int64_t)row_id;
  read->record = next;
  return true;
}

/* The first cell whose row id is `row_id` or more; *index is the number of cells where none is. *distance is that of `row_id` from the
 * last row id before the page's (0: unknown), and becomes that from the last before the cell. Row ids of a leaf are most often
 * consecutive: then it says which cell to look at, and no other comes from memory. */
static bool find_cell(const page *of, int64_t row_id, uint64_t *distance, uint32_t *index, cell *found) {
  uint32_t low = 0;
  uint32_t high = of->num_cells;
  *found = (cell){0};
  for (int probe = 0; low < high; probe++) {
    uint32_t middle = low + (high - low) / 2;
    cell read;
    if (of->is_leaf && probe == 0 && *distance > 0)
      middle = *distance <= high ? (uint32_t)(*distance - 1) : high - 1;
    if (!read_cell(of, middle, &read))
      return false;
    if (read.row_id >= row_id) {
      high = read.row_id == row_id ? low : middle;
      *index = middle;
      *found = read;
    } else {
      low = middle + 1;
      *distance = (uint64_t)row_id - (uint64_t)read.row_id;
    }
  }
  if (found->record == NULL)
    *index = of->num_cells;
  return true;
}

/* The leaf's cell of a row; *has_row is false where there is none. */
static bool find_row(const sf_payload_pages *pages, int64_t row_id, page *leaf, cell *found, bool *has_row) {
  uint32_t number = pages->root;
  uint64_t distance = 0;
  for (int depth = 0; depth < MAX_DEPTH; depth++) {
    uint32_t index;
    if (!read_page(pages, number, leaf) || !find_cell(leaf, row_id, &distance, &index, found))
      return false;
    if (leaf->is_leaf) {
      *has_row = index < leaf->num_cells && found->row_id == row_id;
      return true;
    }
    number = index < leaf->num_cells ? found->child : sf_load_big_u32(leaf->bytes + LEAF_HEADER);
  }
  return false;
}

/* ----------------------------------------------------------------------------------------------------------- Records */

/* Bytes of a value by its serial type. False for those that are reserved. */
static bool size_of_value(uint64_t serial_type, uint64_t *size) {
  static const uint8_t sizes[10] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
  if (serial_type < 10)
    *size = sizes[serial_type];
  else
    *size = serial_type >= 12 ? (serial_type - 12) / 2 : 0;
  return serial_type < 10 || serial_type >= 12;
}

/* The column of a record that is text or NULL. A record says its header's length, the type of each value, and then the values. */
static bool read_record(const uint8_t *record, const uint8_t *end, uint32_t column, const char **text, size_t *length) {
  const uint8_t *next = record;
  uint64_t header_length;
  uint64_t serial_type = 0;
  uint64_t size = 0;
  if (!sf_read_database_varint(&next, end, &header_length) || header_length > (uint64_t)(end - record))
    return false;
  const uint8_t *header_end = record + header_length;
  const uint8_t *value = header_end;
  for (uint32_t i = 0; i <= column; i++) {
    if (size > (uint64_t)(end - value))
      return false;
    value += size; /* of the one before */
    if (!sf_read_database_varint(&next, header_end, &serial_type) || !size_of_value(serial_type, &size))
      return false;
  }
  if (size > (uint64_t)(end - value))
    return false;
  *text = serial_type == 0 ? NULL : (const char *)value;
  *length = (size_t)size;
  return serial_type == 0 || (serial_type >= FIRST_TEXT && serial_type % 2 == 1);
}

bool sf_payload_pages_get(const sf_payload_pages *pages, int64_t row_id, const char **text, size_t *length) {
  page leaf;
  cell found;
  bool has_row;
  *text = NULL;
  *length = 0;
  if (!find_row(pages, row_id, &leaf, &found, &has_row))
    return false;
  if (!has_row)
    return true;
  if (found.size > pages->usable_size - 35 || /* what is longer goes on in other pages */
      found.size > (uint64_t)(leaf.end - found.record))
    return false;
  return read_record(found.record, found.record + found.size, pages->column, text, length);
}

/* ----------------------------------------------------------------------------------------------------------- Finding */

/* The first integer of a query's first row; *found is false where it has no row. */
static sf_code ask(sqlite3 *database, const char *sql, bool *found, int64_t *value, sf_error *error) {
  sqlite3_stmt *row;
  SF_TRY(sf_sqlite_prepare(database, sql, what, SF_DB_ADAPTER_ERROR, &row, error));
  int status = sqlite3_step(row);
  *found = status == SQLITE_ROW;
  if (*found)
    *value = sqlite3_column_int64(row, 0);
  sf_code code = status == SQLITE_ROW || status == SQLITE_DONE
                     ? SF_OK
                     : sf_sqlite_fail(database, status, what, "can't read the schema", SF_DB_ADAPTER_ERROR, error);
  sqlite3_finalize(row);
  return code;
}

/* Whether SQLite would look a row up by the key of the table's own pages, and not by a column of that name or an index. */
static sf_code is_by_key(sqlite3 *database, bool *by_key, sf_error *error) {
  sqlite3_stmt *row;
  const char *sql = "EXPLAIN QUERY PLAN SELECT payload FROM vec_payloads WHERE rowid=?1";
  SF_TRY(sf_sqlite_prepare(database, sql, what, SF_DB_ADAPTER_ERROR, &row, error));
  sf_code code = SF_OK;
  *by_key = false;
  if (sqlite3_step(row) == SQLITE_ROW) {
    const char *plan = NULL;
    size_t length;
    code = sf_sqlite_text(row, 3, what, &plan, &length, error);
    *by_key = code == SF_OK && strstr(plan, "vec_payloads USING INTEGER PRIMARY KEY (rowid=?)") != NULL;
  }
  sqlite3_finalize(row);
  return code;
}

/* The table's root and the number of the column, which is not the key itself. */
static sf_code read_schema(sqlite3 *database, sf_payload_pages *pages, bool *usable, sf_error *error) {
  int64_t root = 0;
  int64_t column = 0;
  *usable = false;
  SF_TRY(sf_sqlite_require_table(database, "vec_payloads", what, SF_DB_ADAPTER_ERROR, error));
  bool found;
  SF_TRY(is_by_key(database, &found, error));
  if (found)
    SF_TRY(ask(database, "SELECT rootpage FROM sqlite_master WHERE type='table' AND name='vec_payloads'", &found, &root,
               error));
  if (found)
    SF_TRY(ask(database, "SELECT cid FROM pragma_table_info('vec_payloads') WHERE name='payload' AND pk=0", &found,
               &column, error));
  *usable = found && root > 1 && root <= UINT32_MAX && column >= 0 && column <= INT16_MAX;
  pages->root = (uint32_t)root;
  pages->column = (uint32_t)column;
  return SF_OK;
}

static bool read_header(const uint8_t *bytes, size_t length, sf_payload_pages *pages) {
  if (length < FILE_HEADER || memcmp(bytes, "SQLite format 3", 16) != 0)
    return false;
  uint32_t size = sf_load_big_u16(bytes + 16);
  pages->page_size = size == 1 ? MAX_PAGE : size;
  pages->usable_size = pages->page_size - bytes[20];
  pages->bytes = bytes;
  pages->length = length;
  return pages->page_size >= MIN_PAGE && (pages->page_size & (pages->page_size - 1)) == 0 &&
         pages->usable_size >= MIN_USABLE && sf_load_big_u32(bytes + 56) == UTF8;
}

sf_code sf_payload_pages_find(sqlite3 *database, const void *bytes, size_t length, sf_payload_pages *pages,
                              bool *usable, sf_error *error) {
  *pages = (sf_payload_pages){0};
  *usable = false;
  if (!read_header(bytes, length, pages))
    return SF_OK;
  sf_error failure;
  sf_code code = read_schema(database, pages, usable, &failure);
  if (code != SF_OUT_OF_MEMORY_ERROR)
    return SF_OK;
  if (error != NULL)
    *error = failure;
  return code;
}
