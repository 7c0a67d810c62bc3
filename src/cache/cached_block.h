/*
 * A block of bytes that is made in memory and kept as a file of a shard's folder, from which it is mapped the next time. Where the
 * cache can't be written to, the block that was made is used: that is no reason for a search to fail. What a block holds, and how it
 * is found to be whole, is its format's own affair.
 */
#ifndef SF_CACHE_CACHED_BLOCK_H
#define SF_CACHE_CACHED_BLOCK_H

#include "cache/cached_file.h"

/* Blocks in memory are aligned as mapped ones are, at least to this. */
#define SF_BLOCK_ALIGNMENT 64

/* Zero-initialised: none. */
typedef struct sf_cached_block {
  void *bytes;
  size_t length;
  bool is_mapped; /* else from the heap */
} sf_cached_block;

/* `length` zeroed bytes to make a block in, for the caller to free(); NULL when memory is out. */
void *sf_block_allocate(size_t length);

typedef struct sf_block_file {
  sf_cache_place place; /* cache_dir NULL: nothing is kept */
  const char *name;     /* in the folder */
  const char *suffix;   /* these two as in an sf_cached_file */
  size_t max_files;
  void *context;
  /* Whether the block, of which no byte is trusted, is whole and the one that is wanted. */
  bool (*read)(void *context, const void *bytes, size_t length);
  /* Makes the block, for the caller to free(). Only for sf_cached_block_open. */
  sf_code (*make)(void *context, const sf_cancellation *cancellation, void **bytes, size_t *length, sf_error *error);
} sf_block_file;

/* Maps the file; the block stays empty where there is none that can be read, or the folder can't be opened. Fails where memory or file
 * descriptors are out, or the folder is one that is refused. */
sf_code sf_cached_block_map(const sf_block_file *file, sf_cached_block *block, sf_error *error);

/* Keeps a block that was made, which is taken over, also on failure: writes and maps the file, or else uses it as it is. Fails only
 * where it was cancelled, memory is out, or the block can't be read. */
sf_code sf_cached_block_keep(const sf_block_file *file, void *bytes, size_t length, const sf_cancellation *cancellation,
                             sf_cached_block *block, sf_error *error);

/* Maps the file, or else makes it under the folder's lock: of several that need it at once, in this process and in others, one makes
 * it and the others wait. Where the cache can't be written to, each makes its own and uses it as it is. */
sf_code sf_cached_block_open(const sf_block_file *file, const sf_cancellation *cancellation, sf_cached_block *block,
                             sf_error *error);

void sf_cached_block_free(sf_cached_block *block);

#endif
