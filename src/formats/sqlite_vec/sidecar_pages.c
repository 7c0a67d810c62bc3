#include "formats/sqlite_vec/sidecar_pages.h"

#include "base/files.h"
#include "base/memory.h"
#include "base/sqlite.h"
#include "formats/sqlite_vec/database_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  FILE_HEADER = 100, /* bytes of the first page, before its own header */
  MIN_PAGE = 512,
  MAX_PAGE = 65536,
  MAX_DEPTH = 20, /* of SQLite's cursors */
  INTERIOR_INDEX = 2,
  INTERIOR_TABLE = 5,
  LEAF_INDEX = 10,
  LEAF_TABLE = 13,
  LEAF = 8, /* what the kind of a leaf has, and an interior page's has not */
  LEAF_HEADER = 8,
  INTERIOR_HEADER = 12,
  NEXT_PAGE = 4, /* bytes of the number that an overflow page begins with */
};

static sf_code fail_page(const sf_sidecar_pages *pages, uint32_t number, const char *expected, uint64_t found,
                         sf_error *error) {
  return sf_fail(error, SF_ERROR, "%s: page %" PRIu32 ": expected %s, found %" PRIu64, pages->path, number, expected,
                 found);
}

/* ------------------------------------------------------------------------------------------------------------- Pages */

static sf_code read_at(const sf_sidecar_pages *pages, uint64_t offset, uint8_t *bytes, uint32_t length,
                       sf_error *error) {
  for (uint32_t done = 0; done < length;) {
    ssize_t got = pread(pages->descriptor, bytes + done, length - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return sf_fail_errno(error, "read", pages->path, errno);
    if (got == 0)
      return sf_fail(error, SF_ERROR, "%s: expected %" PRIu32 " bytes at offset %" PRIu64 ", found %" PRIu32,
                     pages->path, length, offset, done);
    done += (uint32_t)got;
  }
  return SF_OK;
}

sf_code sf_sidecar_pages_read(const sf_sidecar_pages *pages, uint32_t number, uint8_t *bytes, uint32_t length,
                              sf_error *error) {
  return read_at(pages, (uint64_t)(number - 1) * pages->page_size, bytes, length, error);
}

static uint32_t header_of(uint32_t number) {
  return number == 1 ? FILE_HEADER : 0;
}

static bool is_tree_page(uint8_t kind) {
  return kind == INTERIOR_INDEX || kind == INTERIOR_TABLE || kind == LEAF_INDEX || kind == LEAF_TABLE;
}

sf_code sf_sidecar_page_gap(const sf_sidecar_pages *pages, uint32_t number, const uint8_t *bytes, uint32_t *begin,
                            uint32_t *end, sf_error *error) {
  const uint8_t *header = bytes + header_of(number);
  *begin = *end = 0;
  if (!is_tree_page(header[0]))
    return SF_OK;
  uint32_t header_size = (header[0] & LEAF) != 0 ? LEAF_HEADER : INTERIOR_HEADER;
  uint32_t cells = sf_load_big_u16(header + 5);
  *begin = header_of(number) + header_size + 2 * sf_load_big_u16(header + 3);
  *end = cells != 0 ? cells : MAX_PAGE;
  if (*end > pages->page_size || *begin > *end)
    return fail_page(pages, number, "cells behind their pointers, and in the page", *end, error);
  return SF_OK;
}

static void set_bit(uint8_t *bits, uint32_t number) {
  bits[number / 8] |= (uint8_t)(1u << number % 8);
}

/* A page has one place in the file's trees and chains: so a walk ends, whatever the file has. */
static sf_code claim(sf_sidecar_pages *pages, uint32_t number, uint32_t from, sf_error *error) {
  if (number < 1 || number > pages->num_pages)
    return fail_page(pages, from, "the number of a page of the file", number, error);
  if (sf_sidecar_page_is(pages->seen, number))
    return fail_page(pages, from, "a page that nothing else refers to", number, error);
  set_bit(pages->seen, number);
  return SF_OK;
}

static void keep(sf_sidecar_pages *pages, uint32_t number, uint32_t gap) {
  set_bit(pages->kept, number);
  pages->num_kept++;
  pages->num_kept_bytes += pages->page_size - gap;
}

/* -------------------------------------------------------------------------------------------------------------- Walk */

/* A page on the way from the root. */
typedef struct level {
  uint8_t *bytes; /* a page; allocated where the walk first comes so deep */
  uint32_t number;
  uint8_t kind;
  uint32_t num_cells;
  uint32_t next_cell; /* of an interior page, the last is its right child */
  uint32_t cells;     /* where they begin */
} level;

typedef struct walk {
  sf_sidecar_pages *pages;
  const sf_cancellation *cancellation;
  bool is_schema;
  uint32_t depth;
  level levels[MAX_DEPTH];
} walk;

static sf_code enter(walk *walking, uint32_t number, sf_error *error) {
  sf_sidecar_pages *pages = walking->pages;
  const level *above = walking->depth > 0 ? &walking->levels[walking->depth - 1] : NULL;
  uint32_t begin;
  uint32_t end;
  SF_TRY(sf_cancellation_check(walking->cancellation, error));
  SF_TRY(claim(pages, number, above != NULL ? above->number : 1, error));
  if (walking->depth == MAX_DEPTH)
    return fail_page(pages, number, "at most 20 pages on the way to it", MAX_DEPTH + 1, error);
  level *entered = &walking->levels[walking->depth];
  if (entered->bytes == NULL && (entered->bytes = sf_calloc(pages->page_size, 1)) == NULL)
    return sf_fail_memory(error, pages->path);
  SF_TRY(sf_sidecar_pages_read(pages, number, entered->bytes, pages->page_size, error));
  const uint8_t *header = entered->bytes + header_of(number);
  if (!is_tree_page(header[0]) || (above != NULL && (header[0] & ~LEAF) != (above->kind & ~LEAF)))
    return fail_page(pages, number, "a page of its tree", header[0], error);
  SF_TRY(sf_sidecar_page_gap(pages, number, entered->bytes, &begin, &end, error));
  entered->number = number;
  entered->kind = header[0];
  entered->num_cells = sf_load_big_u16(header + 3);
  entered->next_cell = 0;
  entered->cells = end;
  walking->depth++;
  if ((entered->kind & LEAF) == 0 || walking->is_schema)
    keep(pages, number, end - begin);
  return SF_OK;
}

/* An overflow page of the schema is in the sidecar as well, unless readers would take it for a page of a tree, and fill a gap. */
static sf_code walk_chain(walk *walking, uint32_t head, uint64_t length, uint32_t from, sf_error *error) {
  sf_sidecar_pages *pages = walking->pages;
  uint32_t next = head;
  if (length > pages->num_pages)
    return fail_page(pages, from, "a cell that is no longer than the file", length, error);
  for (uint64_t i = 0; i < length; i++) {
    uint8_t bytes[NEXT_PAGE];
    SF_TRY(claim(pages, next, from, error));
    SF_TRY(sf_sidecar_pages_read(pages, next, bytes, sizeof(bytes), error));
    if (walking->is_schema && !is_tree_page(bytes[0]))
      keep(pages, next, 0);
    from = next;
    next = sf_load_big_u32(bytes);
  }
  if (next != 0)
    return fail_page(pages, from, "the end of its chain", next, error);
  set_bit(pages->heads, head);
  pages->num_heads++;
  pages->num_chain_pages += (uint32_t)length;
  return SF_OK;
}

/* Bytes of a cell's content that are in its page (section 1.6). */
static uint32_t local_size(const sf_sidecar_pages *pages, uint8_t kind, uint64_t size) {
  uint32_t usable = pages->page_size;
  uint32_t most = kind == LEAF_TABLE ? usable - 35 : (usable - 12) * 64 / 255 - 23;
  uint32_t least = (usable - 12) * 32 / 255 - 23;
  if (size <= most)
    return (uint32_t)size;
  uint32_t fitting = least + (uint32_t)((size - least) % (usable - NEXT_PAGE));
  return fitting <= most ? fitting : least;
}

/* Follows the chain of a cell, if it has one. `child` is that of an interior page. */
static sf_code visit_cell(walk *walking, const level *of, uint32_t *child, sf_error *error) {
  const sf_sidecar_pages *pages = walking->pages;
  uint32_t first_pointer = header_of(of->number) + ((of->kind & LEAF) != 0 ? LEAF_HEADER : INTERIOR_HEADER);
  uint32_t offset = sf_load_big_u16(of->bytes + first_pointer + 2 * of->next_cell);
  const uint8_t *end = of->bytes + pages->page_size;
  uint64_t size;
  uint64_t row_id;
  if (offset < of->cells || offset + NEXT_PAGE > pages->page_size)
    return fail_page(pages, of->number, "cells among its cells", offset, error);
  const uint8_t *next = of->bytes + offset;
  if ((of->kind & LEAF) == 0) {
    *child = sf_load_big_u32(next);
    next += NEXT_PAGE;
  }
  if (of->kind == INTERIOR_TABLE)
    return SF_OK;
  if (!sf_read_database_varint(&next, end, &size) ||
      (of->kind == LEAF_TABLE && !sf_read_database_varint(&next, end, &row_id)))
    return fail_page(pages, of->number, "whole cells in it", offset, error);
  uint32_t local = local_size(pages, of->kind, size);
  bool goes_on = local < size;
  if (local + (goes_on ? NEXT_PAGE : 0) > (uint64_t)(end - next))
    return fail_page(pages, of->number, "whole cells in it", offset, error);
  if (!goes_on)
    return SF_OK;
  uint32_t page_content = pages->page_size - NEXT_PAGE;
  uint64_t rest = size - local;
  return walk_chain(walking, sf_load_big_u32(next + local), rest / page_content + (rest % page_content != 0),
                    of->number, error);
}

static sf_code walk_tree(walk *walking, uint32_t root, sf_error *error) {
  walking->depth = 0;
  SF_TRY(enter(walking, root, error));
  while (walking->depth > 0) {
    level *top = &walking->levels[walking->depth - 1];
    uint32_t child = 0;
    bool is_interior = (top->kind & LEAF) == 0;
    if (top->next_cell < top->num_cells) {
      SF_TRY(visit_cell(walking, top, &child, error));
      top->next_cell++;
    } else if (is_interior && top->next_cell == top->num_cells) {
      child = sf_load_big_u32(top->bytes + header_of(top->number) + LEAF_HEADER);
      top->next_cell++;
    } else {
      walking->depth--;
      continue;
    }
    if (is_interior)
      SF_TRY(enter(walking, child, error));
  }
  return SF_OK;
}

/* The roots are read by SQLite, which can read the schema that it wrote. */
static sf_code walk_roots(walk *walking, sf_error *error) {
  const sf_sidecar_pages *pages = walking->pages;
  sqlite3 *database = NULL;
  sqlite3_stmt *roots = NULL;
  SF_TRY(sf_sqlite_open_immutable(pages->path, pages->path, SF_ERROR, &database, error));
  sf_code code = sf_sqlite_prepare(database, "SELECT rootpage FROM sqlite_master WHERE rootpage <> 0", pages->path,
                                   SF_ERROR, &roots, error);
  int status = SQLITE_DONE;
  while (code == SF_OK && (status = sqlite3_step(roots)) == SQLITE_ROW) {
    int64_t root = sqlite3_column_int64(roots, 0);
    code = root > 0 && root <= UINT32_MAX
               ? walk_tree(walking, (uint32_t)root, error)
               : fail_page(pages, 1, "the number of a page of the file", (uint64_t)root, error);
  }
  if (code == SF_OK && status != SQLITE_DONE)
    code = sf_sqlite_fail(database, status, pages->path, "can't read the schema", SF_ERROR, error);
  sqlite3_finalize(roots);
  sqlite3_close(database);
  return code;
}

static sf_code walk_all(sf_sidecar_pages *pages, const sf_cancellation *cancellation, sf_error *error) {
  walk walking = {.pages = pages, .cancellation = cancellation, .is_schema = true};
  sf_code code = walk_tree(&walking, 1, error);
  walking.is_schema = false;
  if (code == SF_OK)
    code = walk_roots(&walking, error);
  for (size_t i = 0; i < MAX_DEPTH; i++)
    free(walking.levels[i].bytes);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ Header */

/* Section 1.3: page size at 16 (1 stands for 65536), the journal's versions at 18 and 19 (2: a WAL, which has pages that the file lacks),
 * reserved bytes at 20, the number of pages at 28. */
static sf_code read_header(sf_sidecar_pages *pages, sf_error *error) {
  static const char magic[16] = "SQLite format 3";
  uint8_t header[FILE_HEADER];
  struct stat status;
  if (fstat(pages->descriptor, &status) != 0)
    return sf_fail_errno(error, "look at", pages->path, errno);
  SF_TRY(read_at(pages, 0, header, sizeof(header), error));
  uint32_t page_size = sf_load_big_u16(header + 16);
  pages->page_size = page_size == 1 ? MAX_PAGE : page_size;
  pages->num_pages = sf_load_big_u32(header + 28);
  pages->is_reserving = header[20] != 0;
  if (memcmp(header, magic, sizeof(magic)) != 0 || pages->page_size < MIN_PAGE ||
      (pages->page_size & (pages->page_size - 1)) != 0 || header[18] != 1 || header[19] != 1)
    return sf_fail(error, SF_ERROR, "%s: expected a SQLite database without a WAL, found something else", pages->path);
  uint64_t expected = (uint64_t)pages->page_size * pages->num_pages;
  if ((uint64_t)status.st_size != expected || pages->num_pages == 0 || pages->num_pages == UINT32_MAX)
    return sf_fail(error, SF_ERROR, "%s: expected %" PRIu64 " bytes, found %" PRIu64, pages->path, expected,
                   (uint64_t)status.st_size);
  return SF_OK;
}

static sf_code find(sf_sidecar_pages *pages, const sf_cancellation *cancellation, sf_error *error) {
  pages->descriptor = open(pages->path, O_RDONLY | O_CLOEXEC);
  if (pages->descriptor < 0)
    return sf_fail_errno(error, "open", pages->path, errno);
  SF_TRY(read_header(pages, error));
  if (pages->is_reserving)
    return SF_OK;
  size_t num_bytes = (size_t)pages->num_pages / 8 + 1;
  pages->seen = sf_calloc(num_bytes, 1);
  pages->kept = sf_calloc(num_bytes, 1);
  pages->heads = sf_calloc(num_bytes, 1);
  if (pages->seen == NULL || pages->kept == NULL || pages->heads == NULL)
    return sf_fail_memory(error, pages->path);
  return walk_all(pages, cancellation, error);
}

sf_code sf_sidecar_pages_find(const char *path, const sf_cancellation *cancellation, sf_sidecar_pages *pages,
                              sf_error *error) {
  *pages = (sf_sidecar_pages){.path = path, .descriptor = -1};
  sf_code code = find(pages, cancellation, error);
  if (code != SF_OK)
    sf_sidecar_pages_free(pages);
  return code;
}

void sf_sidecar_pages_free(sf_sidecar_pages *pages) {
  if (pages->path != NULL && pages->descriptor >= 0)
    close(pages->descriptor);
  free(pages->seen);
  free(pages->kept);
  free(pages->heads);
  *pages = (sf_sidecar_pages){.descriptor = -1};
}
