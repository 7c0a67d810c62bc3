/*
 * Which pages of a finished database its sidecar describes, found by walking every B-tree of the schema (the file format's description,
 * sections 1.5 and 1.6): the interior pages and all of the schema's, which are in it, and the chains of overflow pages, whose numbers
 * are. Takes three bits a page and, for each level of a tree, one page of memory. No byte of the file is trusted: each page is in
 * one tree, or one chain, at most.
 */
#ifndef SF_FORMATS_SQLITE_VEC_SIDECAR_PAGES_H
#define SF_FORMATS_SQLITE_VEC_SIDECAR_PAGES_H

#include "base/cancellation.h"

/* Pages are numbered from 1. Zeroed: nothing to free. */
typedef struct sf_sidecar_pages {
  const char *path; /* of the database; borrowed */
  int descriptor;
  uint32_t page_size;
  uint32_t num_pages;
  bool
      is_reserving; /* pages end with bytes that are not SQLite's: such a database has no sidecar, and all below is empty */
  /* A bit for each page: */
  uint8_t *seen;
  uint8_t *kept;  /* is in the sidecar */
  uint8_t *heads; /* the first of a chain */
  uint32_t num_kept;
  uint64_t num_kept_bytes; /* without gaps */
  uint32_t num_heads;
  uint32_t num_chain_pages;
} sf_sidecar_pages;

/* Reads a database that nobody changes any more; else, and where it is not sound, SF_ERROR. */
sf_code sf_sidecar_pages_find(const char *path, const sf_cancellation *cancellation, sf_sidecar_pages *pages,
                              sf_error *error);
void sf_sidecar_pages_free(sf_sidecar_pages *pages);

/* Bytes of a page, from its first. */
sf_code sf_sidecar_pages_read(const sf_sidecar_pages *pages, uint32_t number, uint8_t *bytes, uint32_t length,
                              sf_error *error);

/* The bytes at the beginning of a page in which sf_sidecar_page_gap looks. */
#define SF_SIDECAR_PAGE_HEADER 112

/* Bytes [*begin, *end) of a page between its cells' pointers and its cells, which SQLite never reads; none of what is no page of a
 * B-tree. */
sf_code sf_sidecar_page_gap(const sf_sidecar_pages *pages, uint32_t number, const uint8_t *bytes, uint32_t *begin,
                            uint32_t *end, sf_error *error);

static inline bool sf_sidecar_page_is(const uint8_t *bits, uint32_t number) {
  return (bits[number / 8] >> number % 8 & 1) != 0;
}

#endif
