/*
 * Searches as the work of a reader: a blocking one is an activity on the calling thread and others; submitted ones, alone or as a
 * batch, are a group: one activity and one operation, which the last search completes. A batch fails with the error of its
 * lowest failed search.
 *
 * Locks: a group's mutex is held only to count and store; nothing is called with it.
 */
#ifndef SF_READER_SEARCH_GROUP_H
#define SF_READER_SEARCH_GROUP_H

#include "reader/reader.h"
#include "shardyfusion/search.h"

/* Runs the search and releases it. */
sf_code sf_search_run_as_activity(sf_reader *reader, sf_search *search, sf_search_response **response, sf_error *error);

/* What the operation of a group results in. */
typedef enum sf_search_group_kind {
  SF_GROUP_SEARCH, /* the response of its one search */
  SF_GROUP_BATCH,  /* those of all */
  SF_GROUP_COUNT,  /* the count of its one search */
} sf_search_group_kind;

/* Submits searches that were created. They are taken over, also on failure; the array is not. */
sf_code sf_search_group_submit(sf_reader *reader, sf_search *const *searches, size_t count, sf_search_group_kind kind,
                               sf_completion_queue *queue, void *user_data, sf_operation **operation, sf_error *error);

#endif
