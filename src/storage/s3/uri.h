/* Percent-encoding as Signature Version 4 wants it, and the URLs that endpoints and roots are given as. */
#ifndef SF_STORAGE_S3_URI_H
#define SF_STORAGE_S3_URI_H

#include "base/memory.h"

/* Appends `text` with every byte encoded as %XX but A-Z a-z 0-9 - . _ ~ and, where `keep_slashes`, '/'. False when memory
 * is out. This is "UriEncode" of AWS's "Create a signed AWS API request"; keys are encoded once, never twice, for S3. */
bool sf_s3_uri_encode(sf_buffer *encoded, const char *text, size_t length, bool keep_slashes);

/* Decodes %XX and, where `plus_is_space`, '+', appending. False when an escape is broken or memory is out. */
bool sf_s3_uri_decode(sf_buffer *decoded, const char *text, size_t length, bool plus_is_space);

/* An http or https URL without user, query or fragment. */
typedef struct sf_s3_url {
  bool is_https;
  char *host;    /* lower case; IPv6 addresses in brackets */
  uint16_t port; /* 0: the scheme's own */
  char *path;    /* begins with '/' unless empty; no slash at its end */
} sf_s3_url;

/* Fails with SF_CONFIG_VALIDATION_ERROR and a message that begins with `what`. */
sf_code sf_s3_url_parse(const char *text, const char *what, sf_s3_url *url, sf_error *error);
void sf_s3_url_clear(sf_s3_url *url);

/* "host" or "host:port" as a Host header has it. NULL when memory is out. */
char *sf_s3_url_authority(const sf_s3_url *url);

/* Whether a host (as in sf_s3_url) is a numeric address. */
bool sf_s3_host_is_address(const char *host);

/* Splits s3://bucket/prefix. The prefix has no slash at its end and may be empty. */
sf_code sf_s3_root_parse(const char *root, char **bucket, char **prefix, sf_error *error);

#endif
