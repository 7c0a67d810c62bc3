/*
 * A root with two snapshots of the same shape, the first of them published, and readers of it whose storage is gated.
 */
#ifndef SF_TESTS_READER_FIXTURE_H
#define SF_TESTS_READER_FIXTURE_H

#include "reader/reader.h"
#include "support/built_snapshot.h"
#include "support/gated_storage.h"

enum { FIXTURE_SHARDS = 4, FIXTURE_QUERIES = 16 };

typedef struct reader_fixture {
  char *folder;
  char *root;
  char *cache_dir;
  built_snapshot *snapshots[2];
  int64_t shard_ids[FIXTURE_SHARDS]; /* all of them */
  float *queries;                    /* FIXTURE_QUERIES × dim */
} reader_fixture;

/* FIXTURE_SHARDS shards of so many rows each. */
reader_fixture *fixture_make(uint32_t dim, size_t num_rows);
void fixture_free(reader_fixture *fixture);

/* Opens a reader with the fixture's cache folder; `options` NULL: the defaults. Fails the test if it can't. */
sf_reader *fixture_open(const reader_fixture *fixture, const sf_reader_options *options);

/* The query with that number, over all shards, for the 10 nearest. */
sf_search_request fixture_request(const reader_fixture *fixture, size_t query);

/* Whether it is the answer of one of the two snapshots (0 or 1) to fixture_request. */
bool fixture_answers(const reader_fixture *fixture, int snapshot, size_t query, const sf_search_response *response);

/* Searches, blocking, and checks the answer against that of the snapshot. */
void fixture_check_search(const reader_fixture *fixture, sf_reader *reader, int snapshot, size_t query);

#endif
