/*
 * The response to a search: the merged rows with the ids and payloads that are fetched for them, a shard at a time. Texts
 * go into one buffer, which moves while it grows: until it is sealed the response keeps offsets instead of pointers.
 */
#ifndef SF_QUERY_RESPONSE_H
#define SF_QUERY_RESPONSE_H

#include "async/operation.h"
#include "base/cancellation.h"
#include "formats/shard.h"
#include "query/merge.h"
#include "query/search_account.h"
#include "shardyfusion/search.h"

/* All borrowed for the call. */
typedef struct sf_response_params {
  const sf_merge *merged;
  sf_shard *const *shards; /* by shard_index; those of merged rows are open */
  uint32_t num_shards;     /* that were searched */
  size_t offset;           /* merged rows to leave out, the nearest */
  bool omits_payloads;
  uint32_t dim;                        /* of vectors to copy; 0: none are wanted */
  bool has_integer_ids;                /* an id that is stored as the text of an integer is one */
  const sf_cancellation *cancellation; /* NULL: never cancelled */
} sf_response_params;

/* A response without results, to a search that only counts: how many rows match. */
sf_code sf_search_response_create_count(uint64_t num_matching, uint32_t num_shards_queried,
                                        sf_search_response **response, sf_error *error);
uint64_t sf_search_response_num_matching(const sf_search_response *response);

/* Fetches the merged rows into a new response, which the caller seals or frees. May wait for the shards' files. */
sf_code sf_search_response_fetch(const sf_response_params *params, sf_search_response **response, sf_error *error);

/* The parts of it. A response of `count` results whose scores and shard ids are still to be set. */
sf_code sf_search_response_create(size_t count, uint32_t num_shards_queried, sf_search_response **response,
                                  sf_error *error);
/* The `count` results, to be filled. */
sf_search_result *sf_search_response_mutable(sf_search_response *response);
/* Makes room for a vector of `dim` components for each result; false when memory is out. */
bool sf_search_response_add_vectors(sf_search_response *response, uint32_t dim);
/* Where the vector of the result at `index` goes; NULL where none are wanted. */
float *sf_search_response_vector(sf_search_response *response, size_t index);
/* Copies the vector of a row of an open shard to the result at `index`; a row without one is left as it is. */
void sf_search_response_set_vector(sf_search_response *response, size_t index, const sf_shard *shard, uint64_t row);
/* Copies an id and a payload (NULL: none) to the result at `index`; false when memory is out. */
bool sf_search_response_set_row(sf_search_response *response, size_t index, sf_id_type id_type, int64_t id_integer,
                                const char *id_string, size_t id_length, const char *payload, size_t payload_length);
/* What explains the response, which frees it. */
void sf_search_response_set_account(sf_search_response *response, sf_search_account *account);
/* All rows are set: pointers into the response become valid. */
void sf_search_response_seal(sf_search_response *response, double latency_ms);

/* What an operation is completed with; the response is the operation's from then on. */
sf_outcome sf_search_response_outcome(sf_search_response *response);
/* The same for a batch of `count` responses; the array, which is from the heap, is owned too. */
sf_outcome sf_search_responses_outcome(sf_search_response **responses, size_t count);
/* A number of rows. */
sf_outcome sf_row_count_outcome(uint64_t num_rows);

#endif
