/* Searching a snapshot that a reader has opened. */
#ifndef SHARDYFUSION_SEARCH_H
#define SHARDYFUSION_SEARCH_H

#include "reader.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sf_search_request {
  size_t size; /* sizeof(sf_search_request) */
  /* `dim` finite components. float64 is rounded to float32, the precision of the stored vectors. */
  const void *query;
  size_t dim;
  sf_element_type query_type;
  int64_t top_k; /* at least 1 */
  /* Replaces routing when has_shard_ids is set; ids that the manifest doesn't have are dropped. */
  bool has_shard_ids;
  const int64_t *shard_ids;
  size_t num_shard_ids;
  /* Replaces the manifest's number of probes when has_num_probes is set; at least 1. */
  bool has_num_probes;
  int64_t num_probes;
  /* A JSON object with the variables of the CEL routing expression, or NULL. Where vectors are stored with key-value data,
   * this is the expression that shards the keys; keys that are sharded by hash have none. Bytes are
   * {"__bytes_hex__": "00ff"}. */
  const char *routing_context;
  /* Only rows that score at most max_score, which is not NaN; has_max_score says that it is set. */
  bool has_max_score;
  /* All rows that max_score admits are results, and top_k is ignored. The search fails with SF_CONFIG_VALIDATION_ERROR, which
   * says how many there are, if they are more than max_results, not counting those that `offset` leaves out. */
  bool all_in_range;
  bool include_vectors; /* results have the stored vector */
  bool omit_payloads;   /* results have no payload, and none is read */
  double max_score;
  int64_t max_results; /* for all_in_range; 0: 10,000 */
  /* Leaves out so many of the nearest rows. The order of results is total, so that the pages of a query join: the next top_k
   * begin where these end. At least 0; offset + top_k rows are kept in memory. */
  int64_t offset;
  /* Only rows that match: an expression of CEL over `id` and `payload`, NUL-terminated UTF-8 (docs/python/filter.md). A row for which it
   * fails does not match. NULL: every row matches. */
  const char *filter;
  bool explain; /* sf_search_response_explain_json and _text have a line for each shard */
  /* The share of the true top_k that is to be found, on average over queries: above 0 and up to 1; has_recall says that it is
   * set. Without num_probes, shard_ids and routing_context it is a share of the results of the whole snapshot, whose shards
   * are all searched, and the search may read some lists of each (docs/python/recall.md); else, and with 1, the search is exact in the
   * shards that it is routed to. */
  bool has_recall;
  double recall;
} sf_search_request;

#define SF_SEARCH_REQUEST_INIT SF_INITIALIZER_WITH(sf_search_request, top_k, 10)

SF_API void sf_search_request_init(sf_search_request *request);

typedef struct sf_search_result {
  sf_id_type id_type;
  int64_t id_integer;    /* SF_ID_INTEGER */
  const char *id_string; /* SF_ID_STRING: UTF-8, id_length bytes (which may include NULs) and a terminating NUL */
  size_t id_length;
  double score; /* lower is closer; never NaN */
  /* The text as stored, or NULL for none. Writers store a JSON object, but the text is not checked: it may contain NaN,
   * Infinity and -Infinity, which Python's json.dumps writes. NUL-terminated. */
  const char *payload;
  size_t payload_length;
  uint32_t shard_id;
  /* With include_vectors: `dim` components as they are stored, bit for bit; else NULL and 0. */
  uint32_t dim;
  const float *vector;
  bool is_missing; /* of a fetch: no row has this id; all else is 0 or NULL */
} sf_search_result;

/* The neighbours of one query. Immutable; owned by the caller that received it. */
typedef struct sf_search_response sf_search_response;

SF_API size_t sf_search_response_count(const sf_search_response *response);
/* The result at `index`, of which 0 is the nearest; valid as long as the response. NULL if there is none. */
SF_API const sf_search_result *sf_search_response_result(const sf_search_response *response, size_t index);
/* All results as an array, for programs compiled against the version of the library that they run with: the elements have
 * the size that sf_search_result has there. */
SF_API const sf_search_result *sf_search_response_results(const sf_search_response *response);
SF_API uint32_t sf_search_response_num_shards_queried(const sf_search_response *response);
SF_API double sf_search_response_latency_ms(const sf_search_response *response);
/* Whether the results are known to be the nearest in the shards that were searched: false where lists were read. */
SF_API bool sf_search_response_is_exact(const sf_search_response *response);
/* What the search did: to which shards the request was routed and why, how many rows were compared at each stage, what was loaded
 * and fetched, and how long each phase took; as JSON (docs/c-api.md has the members), and as lines to read. Made when they are first
 * asked for; valid as long as the response. NULL when memory is out. */
SF_API const char *sf_search_response_explain_json(const sf_search_response *response);
SF_API const char *sf_search_response_explain_text(const sf_search_response *response);
SF_API void sf_search_response_free(sf_search_response *response);

/* Finds the top_k nearest neighbours that match, exact within the shards that are searched unless `recall` asks for less. The request and everything that it points
 * to must be valid only until the call returns, also for submit. */
SF_API sf_code sf_reader_search(sf_reader *reader, const sf_search_request *request, sf_search_response **response,
                                sf_error *error);
SF_API sf_code sf_reader_search_submit(sf_reader *reader, const sf_search_request *request, sf_completion_queue *queue,
                                       void *user_data, sf_operation **operation, sf_error *error);
/* Takes the response from a finished search, once; NULL if it failed or was already taken. The caller frees it. */
SF_API sf_search_response *sf_operation_take_response(sf_operation *operation);

/* Runs `count` searches together. All or none: the first failure (in request order) fails the batch. Stores `count`
 * pointers in `responses`; the caller frees each. The requests are an array of the caller's, all with the same `size`. */
SF_API sf_code sf_reader_batch_search(sf_reader *reader, const sf_search_request *requests, size_t count,
                                      sf_search_response **responses, sf_error *error);
SF_API sf_code sf_reader_batch_search_submit(sf_reader *reader, const sf_search_request *requests, size_t count,
                                             sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                             sf_error *error);
/* Takes the `count` responses from a finished batch, as sf_reader_batch_search stores them; false if it failed or they
 * were already taken. */
SF_API bool sf_operation_take_responses(sf_operation *operation, sf_search_response **responses, size_t count);

/* The shards that a query is routed to, in order; the caller frees `*shard_ids` with sf_free. Reads only `query`,
 * `shard_ids`, `num_probes` and `routing_context` of the request. Never blocks on storage. */
SF_API sf_code sf_reader_route(sf_reader *reader, const sf_search_request *request, uint32_t **shard_ids, size_t *count,
                               sf_error *error);

/* ------------------------------------------------------------------------------------------------------- Rows by id */

typedef struct sf_fetch_request {
  size_t size; /* sizeof(sf_fetch_request) */
  /* In a snapshot of Lance datasets, whose ids are text, an integer is the same id as its decimal text. */
  const sf_row_id *ids;
  size_t num_ids;
  /* The shards to look in, when has_shard_ids is set; ids that the manifest doesn't have are dropped. Else all. */
  bool has_shard_ids;
  const int64_t *shard_ids;
  size_t num_shard_ids;
  bool include_vectors; /* as in sf_search_request */
  bool omit_payloads;
} sf_fetch_request;

#define SF_FETCH_REQUEST_INIT SF_INITIALIZER(sf_fetch_request)

SF_API void sf_fetch_request_init(sf_fetch_request *request);

/* Finds rows by their ids, also those whose vector is not finite, which no search returns. The response has num_ids results in the
 * order of `ids`, with score 0; those that no row has are is_missing. Where several rows have an id, the one in the shard with
 * the lowest number is the result, and there the first. The request and everything that it points to must be valid only until
 * the call returns, also for submit. */
SF_API sf_code sf_reader_fetch(sf_reader *reader, const sf_fetch_request *request, sf_search_response **response,
                               sf_error *error);
/* The response is taken with sf_operation_take_response. */
SF_API sf_code sf_reader_fetch_submit(sf_reader *reader, const sf_fetch_request *request, sf_completion_queue *queue,
                                      void *user_data, sf_operation **operation, sf_error *error);

/* ------------------------------------------------------------------------------------------------------------- Count */

typedef struct sf_count_request {
  size_t size;        /* sizeof(sf_count_request) */
  const char *filter; /* as in sf_search_request; NULL: every row */
  /* The shards to count in, when has_shard_ids is set; ids that the manifest doesn't have are dropped. Else all. */
  bool has_shard_ids;
  const int64_t *shard_ids;
  size_t num_shard_ids;
} sf_count_request;

#define SF_COUNT_REQUEST_INIT SF_INITIALIZER(sf_count_request)

SF_API void sf_count_request_init(sf_count_request *request);

/* Counts the rows that match, also those whose vector is not finite, which no search returns. Reads no vectors. The request
 * must be valid only until the call returns, also for submit. */
SF_API sf_code sf_reader_count(sf_reader *reader, const sf_count_request *request, uint64_t *count, sf_error *error);
SF_API sf_code sf_reader_count_submit(sf_reader *reader, const sf_count_request *request, sf_completion_queue *queue,
                                      void *user_data, sf_operation **operation, sf_error *error);
/* The count of a finished operation; 0 if it failed. */
SF_API uint64_t sf_operation_row_count(const sf_operation *operation);

#ifdef __cplusplus
}
#endif

#endif
