/* The answer to a search: winners, and the ids and payloads that are fetched for them. */
#ifndef SF_QUERY_RESPONSE_H
#define SF_QUERY_RESPONSE_H

#include "base/memory.h"
#include "formats/shard.h"
#include "shardyfusion/search.h"

/* A response of `count` results whose scores and shard ids are still to be set. */
sf_code sf_search_response_create(size_t count, uint32_t num_shards_queried, sf_search_response **response,
                                  sf_error *error);
/* For whoever fills it: `count` results. */
sf_search_result *sf_search_response_mutable(sf_search_response *response);
/* Puts an id and a payload (copied) to the result at `index`; false when memory is out. */
bool sf_search_response_set_row(sf_search_response *response, size_t index, sf_id_type id_type, int64_t id_integer,
                                const char *id_string, size_t id_length, const char *payload, size_t payload_length);
/* All rows are set: pointers into the response become valid. */
void sf_search_response_seal(sf_search_response *response, double latency_ms);

#endif
