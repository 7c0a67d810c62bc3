/*
 * The credentials that requests are signed with: found by a chain of providers, shared by all requests, renewed in the background before they
 * expire. A provider is one file and one line in the table of credentials.c.
 */
#ifndef SF_STORAGE_S3_CREDENTIALS_H
#define SF_STORAGE_S3_CREDENTIALS_H

#include "base/report.h"
#include "storage/s3/http.h"
#include "storage/s3/settings.h"

#include <stdatomic.h>

/* Immutable and counted. */
typedef struct sf_s3_credentials {
  atomic_uint references;
  char *access_key_id;
  char *secret_access_key;
  char *session_token; /* NULL: none */
  int64_t expires_at;  /* seconds since 1970; 0: never */
} sf_s3_credentials;

/* Copies everything; refuses what can't stand in a header. `what` names where they come from. */
sf_code sf_s3_credentials_create(const char *access_key_id, const char *secret_access_key, const char *session_token,
                                 int64_t expires_at, const char *what, sf_s3_credentials **credentials,
                                 sf_error *error);
void sf_s3_credentials_release(sf_s3_credentials *credentials); /* NULL is allowed; the last one wipes */

/* Replaces what is secret in a text that a server sent by as many '*'. */
void sf_s3_credentials_redact(const sf_s3_credentials *credentials, char *text);

typedef struct sf_s3_credential_source sf_s3_credential_source;

/* All are borrowed until the source is freed; renewals that fail are logged. */
sf_code sf_s3_credential_source_create(const sf_s3_settings *settings, sf_http_client *http, const sf_log *log,
                                       sf_s3_credential_source **source, sf_error *error);
void sf_s3_credential_source_free(sf_s3_credential_source *source); /* NULL is allowed */

/* Credentials to release, found or renewed first where that is needed; NULL when requests are to be anonymous. */
sf_code sf_s3_credential_source_acquire(sf_s3_credential_source *source, const sf_cancellation *cancellation,
                                        sf_s3_credentials **credentials, sf_error *error);

/* The store says that these have expired: the next acquire renews, unless others are already in use. */
void sf_s3_credential_source_reject(sf_s3_credential_source *source, const sf_s3_credentials *credentials);

/* ---------------------------------------------------------------------------------------------------------- Providers */

typedef struct sf_s3_provider_context {
  const sf_s3_settings *settings;
  sf_http_client *http;
  const sf_cancellation *cancellation;
} sf_s3_provider_context;

typedef struct sf_s3_provider {
  const char *name;
  /* `*credentials` stays NULL when there is nothing for this provider to work with. Something that should have worked and
   * did not is an error, and ends the search: another identity would be the wrong one. */
  sf_code (*load)(const sf_s3_provider_context *context, sf_s3_credentials **credentials, sf_error *error);
  bool remembers_no; /* not asked again once it had nothing */
} sf_s3_provider;

extern const sf_s3_provider sf_s3_provider_given;       /* the options: keys, or a callback */
extern const sf_s3_provider sf_s3_provider_environment; /* S3_… and AWS_… */
extern const sf_s3_provider sf_s3_provider_profile;     /* shared files: keys, credential_process, roles */
extern const sf_s3_provider sf_s3_provider_web_identity;
extern const sf_s3_provider sf_s3_provider_container;
extern const sf_s3_provider sf_s3_provider_imds;

/* The JSON that credential processes, container endpoints and IMDS give: AccessKeyId, SecretAccessKey, Token or
 * SessionToken, Expiration. text[length] must be readable and NUL. */
sf_code sf_s3_parse_credential_document(const char *text, size_t length, const char *what,
                                        sf_s3_credentials **credentials, sf_error *error);

/* Asks a server for a document, with a few tries where that may help. `what` begins the messages. */
sf_code sf_s3_fetch_document(const sf_s3_provider_context *context, const sf_http_request *request, const char *what,
                             sf_buffer *document, sf_error *error);

/* Runs a credential_process and reads what it prints. */
sf_code sf_s3_run_credential_process(const char *command, const sf_cancellation *cancellation,
                                     sf_s3_credentials **credentials, sf_error *error);

/* A role to take on by STS. */
typedef struct sf_s3_role {
  const char *arn;
  const char *session_name; /* NULL: one is made */
  const char *external_id;  /* NULL: none */
  const char *token_file;   /* of a web identity; NULL: `base` signs */
  const sf_s3_credentials *base;
} sf_s3_role;

sf_code sf_s3_assume_role(const sf_s3_provider_context *context, const sf_s3_role *role,
                          sf_s3_credentials **credentials, sf_error *error);

#endif
