/* Access to snapshots in object stores (S3 and stores that speak its protocol), and the progress of downloads. */
#ifndef SHARDYFUSION_STORAGE_H
#define SHARDYFUSION_STORAGE_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the bucket's name is part of the host or of the path. */
typedef enum sf_s3_addressing_style {
  /* Host, except for endpoints that are an IP address or have a port, and for buckets with dots: path. */
  SF_S3_ADDRESSING_AUTO = 0,
  SF_S3_ADDRESSING_VIRTUAL = 1,
  SF_S3_ADDRESSING_PATH = 2,
} sf_s3_addressing_style;

/* The request that a credential callback answers. */
typedef struct sf_s3_credential_request sf_s3_credential_request;

/* Finds credentials and passes them to sf_s3_supply_credentials before it returns SF_OK. Called from any thread, one call
 * at a time for one reader: when there are no credentials yet, when they are about to expire, and when the store reports
 * that they have expired. */
typedef sf_code (*sf_s3_credential_callback)(sf_s3_credential_request *request, void *user_data, sf_error *error);

/* For credential callbacks. Copies everything. `session_token` may be NULL. `expires_at` is in seconds since 1970; 0: the
 * credentials don't expire. */
SF_API sf_code sf_s3_supply_credentials(sf_s3_credential_request *request, const char *access_key_id,
                                        const char *secret_access_key, const char *session_token, int64_t expires_at,
                                        sf_error *error);

/* How to access snapshots below s3://bucket/prefix. Members that are NULL or 0 come from the environment, then from the
 * profile in AWS's configuration files, then from the defaults given here. Must be valid only until the call returns. */
typedef struct sf_s3_options {
  size_t size;              /* sizeof(sf_s3_options) */
  const char *endpoint_url; /* NULL: AWS's endpoint for the region */
  const char *region_name;  /* NULL: us-east-1, or the region that the store redirects to */
  sf_s3_addressing_style addressing_style;
  const char *ca_path;            /* file or directory of trusted certificate authorities; NULL: the system's */
  bool no_verify_ssl;             /* accept any certificate: unsafe, allows man-in-the-middle attacks */
  double connect_timeout_seconds; /* 0: 5 */
  double read_timeout_seconds;    /* time without progress; 0: 15 */
  uint32_t max_attempts;          /* including the first; 0: 6 */
  uint32_t max_connections;       /* 0: 16 */
  const char *profile;            /* NULL: AWS_PROFILE, then "default" */
  bool anonymous;                 /* send unsigned requests; can't be combined with keys or callback */
  const char *access_key_id;      /* requires secret_access_key; session_token may be NULL */
  const char *secret_access_key;
  const char *session_token;
  sf_s3_credential_callback credential_callback; /* instead of keys */
  void *credential_user_data;
  bool requester_pays; /* agree to pay for requests and transfer: send x-amz-request-payer with each request */
} sf_s3_options;

#define SF_S3_OPTIONS_INIT SF_INITIALIZER(sf_s3_options)

/* The same as SF_S3_OPTIONS_INIT, for languages without macros. */
SF_API void sf_s3_options_init(sf_s3_options *options);

/* Reports the progress of an object's download, in bytes. Called from the thread that waits for the object, so from several
 * threads at a time for several objects; never with a lock held. `object` is valid until the callback returns. */
typedef void (*sf_download_callback)(const char *object, uint64_t bytes_done, uint64_t bytes_total, void *user_data);

#ifdef __cplusplus
}
#endif

#endif
