/* What all requests to one bucket share. */
#ifndef SF_STORAGE_S3_CLIENT_H
#define SF_STORAGE_S3_CLIENT_H

#include "storage/s3/credentials.h"
#include "storage/s3/latency.h"
#include "storage/s3/sigv4.h"

typedef struct sf_s3_client {
  sf_s3_settings settings;
  char *bucket;
  sf_log log;
  sf_http_client *http;
  sf_s3_credential_source *credentials;
  sf_latencies latencies; /* of small requests */
  pthread_mutex_t mutex;
  sf_s3_endpoint endpoint;          /* under the mutex: where the bucket was found to live */
  _Atomic int64_t clock_difference; /* seconds that the store's clock is ahead of ours */
  _Atomic uint64_t num_requests;    /* that were sent, and bytes that came back in answer: sf_storage_traffic */
  _Atomic uint64_t num_bytes;
} sf_s3_client;

/* `options` and `log` may be NULL; both are copied. */
sf_code sf_s3_client_create(const sf_s3_options *options, const char *bucket, const sf_log *log, sf_s3_client **client,
                            sf_error *error);
void sf_s3_client_free(sf_s3_client *client); /* NULL is allowed */

/* A request as callers state it. All borrowed until its call is over. */
typedef struct sf_s3_request {
  const char *method;
  const char *key; /* NULL: the bucket itself */
  const sf_sigv4_pair *parameters;
  size_t num_parameters;
  uint64_t range_first;  /* with range_length: the bytes wanted */
  uint64_t range_length; /* 0: all of them */
  const char *if_match;
  const char *if_none_match;
  const void *body; /* PUT and POST; NULL: none */
  size_t body_length;
  bool wants_checksum;
  size_t max_body;         /* of what comes back, where no sink takes it */
  struct sf_s3_sink *sink; /* see call.h */
  bool is_bulk;
  bool may_hedge;
  bool may_fail_with_success; /* an answer with status 200 can hold an error's document */
} sf_s3_request;

/* What one transfer of a request was signed with. */
typedef struct sf_s3_signature {
  sf_s3_credentials *credentials; /* NULL: anonymous */
  sf_s3_endpoint endpoint;
} sf_s3_signature;
void sf_s3_signature_clear(sf_s3_signature *signature);

/* Signs and submits one transfer of `request`, from byte `resume_at` of what it wants (0: the first) and only if the
 * object still is `etag` (NULL: whichever it is). */
typedef struct sf_s3_attempt_options {
  uint64_t resume_at;
  const char *etag;
  uint32_t timeout_ms; /* bounds both timeouts of the settings */
  bool fresh_connection;
  sf_http_sink *sink;
} sf_s3_attempt_options;

sf_code sf_s3_submit(sf_s3_client *client, const sf_s3_request *request, const sf_s3_attempt_options *options,
                     sf_waiter *waiter, sf_s3_signature *signature, sf_http_transfer **transfer, sf_error *error);

#endif
