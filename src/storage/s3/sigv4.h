/*
 * AWS Signature Version 4, in the Authorization header.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
#ifndef SF_STORAGE_S3_SIGV4_H
#define SF_STORAGE_S3_SIGV4_H

#include "base/memory.h"

typedef struct sf_sigv4_pair {
  const char *name;
  const char *value;
} sf_sigv4_pair;

typedef struct sf_sigv4_request {
  const char *method;
  const char *path;  /* encoded, as it is sent */
  const char *query; /* as sf_sigv4_query makes it, as it is sent */
  /* The headers that are signed: names in lower case and ascending, values without space around them. */
  const sf_sigv4_pair *headers;
  size_t num_headers;
  const char *payload_hash; /* SHA-256 of the body in hexadecimal, or UNSIGNED-PAYLOAD */
  const char *timestamp;    /* "20150830T123600Z", also the header x-amz-date */
  const char *region;
  const char *service; /* "s3" */
} sf_sigv4_request;

#define SF_SIGV4_TIMESTAMP_SIZE 17
#define SF_SHA256_HEX_SIZE 65
#define SF_SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Encodes parameters and orders them by name, then value, as both the URL and the canonical request have them. */
bool sf_sigv4_query(const sf_sigv4_pair *parameters, size_t count, sf_buffer *query);

/* The three steps; false when memory is out or libcrypto fails. All append. */
bool sf_sigv4_canonical_request(const sf_sigv4_request *request, sf_buffer *canonical);
bool sf_sigv4_string_to_sign(const sf_sigv4_request *request, const sf_buffer *canonical, sf_buffer *string_to_sign);
/* "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…" */
bool sf_sigv4_authorization(const sf_sigv4_request *request, const char *access_key_id, const char *secret_access_key,
                            sf_buffer *authorization);

/* Seconds since 1970 as a timestamp of signatures. */
void sf_sigv4_timestamp(int64_t seconds, char timestamp[SF_SIGV4_TIMESTAMP_SIZE]);

bool sf_sha256_hex(const void *bytes, size_t length, char hex[SF_SHA256_HEX_SIZE]);

#endif
