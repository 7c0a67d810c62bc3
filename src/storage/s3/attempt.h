/* One transfer of a call: what it was sent with, what it brings, and what that means. */
#ifndef SF_STORAGE_S3_ATTEMPT_H
#define SF_STORAGE_S3_ATTEMPT_H

#include "storage/s3/call.h"

/* Why an answer with a good status is no good. */
typedef enum sf_s3_fault {
  SF_S3_FAULT_NONE,
  SF_S3_FAULT_CHANGED,       /* not the version of the object that was asked for */
  SF_S3_FAULT_WRONG_RANGE,   /* other bytes than were asked for */
  SF_S3_FAULT_RANGE_IGNORED, /* the whole object, where a part was asked for */
  SF_S3_FAULT_TOO_LARGE,
  SF_S3_FAULT_SHORT,    /* fewer bytes than were announced, or an end that can't be told from a break */
  SF_S3_FAULT_CHECKSUM, /* all bytes, but not these */
  SF_S3_FAULT_SINK,
  SF_S3_FAULT_MEMORY,
} sf_s3_fault;

typedef struct sf_s3_attempt {
  sf_http_sink sink;      /* first: the sink is the attempt */
  const sf_s3_call *call; /* its request, etag and received don't change while attempts run */
  sf_http_transfer *transfer;
  sf_s3_signature signature;
  /* Written by the HTTP client's thread until the transfer is done. */
  sf_s3_fault fault;
  uint64_t base;     /* where in what the request wants its bytes begin */
  uint64_t received; /* behind base */
  uint64_t expected; /* as announced, where it was */
  bool has_expected;
  uint64_t object_size;
  bool has_object_size;
  bool has_begun;
  sf_buffer body;
} sf_s3_attempt;

sf_code sf_s3_attempt_start(sf_s3_call *call, bool fresh_connection, uint32_t timeout_ms, sf_s3_attempt **attempt,
                            sf_error *error);
/* Stops it if it runs. NULL is allowed. */
void sf_s3_attempt_free(sf_s3_attempt *attempt);

/* Of one whose transfer is done. `document` gets the error's document. */
sf_s3_verdict sf_s3_attempt_judge(sf_s3_attempt *attempt, sf_s3_error_document *document);

/* A strong ETag of the response, or NULL: weak ones (W/"…") can't hold versions apart. */
const char *sf_s3_strong_etag(const sf_http_response *response);

/* Content-Range: "bytes 0-99/1234". False when it is anything else. */
bool sf_s3_parse_content_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *size, bool *has_size);

/* Fills `error` with what the attempt met. Returns `code`. */
sf_code sf_s3_attempt_fail(const sf_s3_attempt *attempt, const sf_s3_error_document *document, sf_code code,
                           sf_error *error);

#endif
