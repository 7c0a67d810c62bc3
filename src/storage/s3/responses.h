/* The XML documents that S3 and STS answer with. */
#ifndef SF_STORAGE_S3_RESPONSES_H
#define SF_STORAGE_S3_RESPONSES_H

#include "base/memory.h"

/* <Error>. What the store leaves out is "". As shown.h makes it
 * fit to be shown: no control characters, and no secrets that the store repeats. */
typedef struct sf_s3_error_document {
  char code[128];
  char message[512];
  char region[64];    /* where the bucket lives */
  char endpoint[256]; /* where to go instead */
  char request_id[128];
} sf_s3_error_document;

/* Anything that is no such document gives empty fields: proxies answer in HTML. False when memory is out. */
bool sf_s3_parse_error(const void *bytes, size_t length, sf_s3_error_document *document);

/* <ListBucketResult> of ListObjectsV2. */
typedef struct sf_s3_list_page {
  char **keys; /* objects and common prefixes, decoded, in the order of the document */
  size_t num_keys;
  size_t capacity;
  bool is_truncated;
  char *continuation_token; /* NULL: none */
} sf_s3_list_page;

/* False when the document is malformed, is something else, or memory is out (errno is ENOMEM); the page is then empty. */
bool sf_s3_parse_list_page(const void *bytes, size_t length, sf_s3_list_page *page);
void sf_s3_list_page_clear(sf_s3_list_page *page);

/* An <Upload> of <ListMultipartUploadsResult>. */
typedef struct sf_s3_unfinished_upload {
  char *key; /* decoded */
  char *id;
} sf_s3_unfinished_upload;

typedef struct sf_s3_uploads_page {
  sf_s3_unfinished_upload *uploads;
  size_t num_uploads;
  size_t capacity;
  bool is_truncated;
  char *next_key; /* where the next page begins; NULL: not said */
  char *next_id;
} sf_s3_uploads_page;

/* As sf_s3_parse_list_page. An upload without a key or an id makes the document malformed. */
bool sf_s3_parse_uploads_page(const void *bytes, size_t length, sf_s3_uploads_page *page);
void sf_s3_uploads_page_clear(sf_s3_uploads_page *page);

/* <UploadId> of <InitiateMultipartUploadResult>, for the caller to free; NULL when there is none, or memory is out
 * (errno is ENOMEM). */
char *sf_s3_parse_upload_id(const void *bytes, size_t length);

/* <Credentials> in the answers of AssumeRole and AssumeRoleWithWebIdentity. */
typedef struct sf_s3_assumed_role {
  char *access_key_id;
  char *secret_access_key;
  char *session_token;
  char *expiration; /* ISO 8601 */
} sf_s3_assumed_role;

/* False when any of the four is missing, or memory is out (errno is ENOMEM). */
bool sf_s3_parse_assumed_role(const void *bytes, size_t length, sf_s3_assumed_role *role);
void sf_s3_assumed_role_clear(sf_s3_assumed_role *role); /* wipes the secrets */

#endif
