/*
 * The bitmaps of row filters: which rows of a shard match an expression. Each is made once, on lane LOAD, however many searches
 * want it, and kept for later searches as long as there is room: the least recently used are freed first. One that a search
 * has acquired is never freed. Any thread.
 */
#ifndef SF_QUERY_FILTER_BITMAPS_H
#define SF_QUERY_FILTER_BITMAPS_H

#include "filter/filter.h"
#include "query/served_snapshot.h"

/* The memory that bitmaps may take where the reader's options don't say. */
#define SF_DEFAULT_FILTER_BYTES ((uint64_t)64 << 20)

/* A bitmap that was made. Its fields are constant while it is acquired. */
typedef struct sf_shard_bitmap {
  sf_row_bitmap *rows;
  sf_filter_account account; /* of making it */
} sf_shard_bitmap;

/* A search that waits for a bitmap. */
typedef struct sf_bitmap_waiter {
  struct sf_bitmap_waiter *next;
  /* Called once, by a loading thread with no lock held. With SF_OK the waiter has acquired the bitmap; else it is NULL. */
  void (*ready)(struct sf_bitmap_waiter *waiter, const sf_shard_bitmap *bitmap, sf_code code, const sf_error *error);
} sf_bitmap_waiter;

/* What is to be evaluated for which shard. The caller has acquired the shard from the served snapshot. */
typedef struct sf_bitmap_request {
  sf_served_snapshot *served;
  sf_executor *executor;
  sf_filter *filter;
  uint32_t db_id;
} sf_bitmap_request;

/* `max_bytes` 0: the default. Borrowed by the served snapshot, which outlives every use. */
sf_code sf_filter_bitmaps_create(uint64_t max_bytes, sf_filter_bitmaps **bitmaps, sf_error *error);
/* No bitmap is acquired or being made. NULL is allowed. */
void sf_filter_bitmaps_free(sf_filter_bitmaps *bitmaps);

/* Acquires the bitmap if it is there. Otherwise *bitmap is NULL, and the waiter will be called. */
sf_code sf_filter_bitmaps_acquire(const sf_bitmap_request *request, sf_bitmap_waiter *waiter,
                                  const sf_shard_bitmap **bitmap, sf_error *error);
void sf_filter_bitmaps_return(sf_filter_bitmaps *bitmaps, const sf_shard_bitmap *bitmap);
/* True when the waiter will not be called; false when it was, or is about to be. An evaluation without a waiter is
 * cancelled. */
bool sf_filter_bitmaps_stop_waiting(const sf_bitmap_request *request, sf_bitmap_waiter *waiter);

#endif
