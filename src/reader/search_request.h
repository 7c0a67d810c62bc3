/* A request for a search: checked, its query converted to float32 and routed to shards, and a search of these created. */
#ifndef SF_READER_SEARCH_REQUEST_H
#define SF_READER_SEARCH_REQUEST_H

#include "reader/reader.h"
#include "shardyfusion/search.h"

/* Reads a caller's request, which may be of an older version. */
sf_code sf_search_request_read(const sf_search_request *given, sf_search_request *request, sf_error *error);
/* Reads an element of a caller's array. */
sf_code sf_search_request_read_at(const sf_search_request *requests, size_t index, sf_search_request *request,
                                  sf_error *error);

/* The query as `dim` finite float32, and the shards that it is routed to, each once; the caller frees both. `why` may be NULL. */
sf_code sf_search_request_route(const sf_served_snapshot *served, const sf_search_request *request, float **query,
                                uint32_t **shard_ids, size_t *count, sf_route_account *why, sf_error *error);

/* Creates the search, on a snapshot of the reader's. */
sf_code sf_search_request_start(sf_reader *reader, sf_served_snapshot *served, const sf_search_request *request,
                                sf_search **search, sf_error *error);

#endif
