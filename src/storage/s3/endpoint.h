/* Which host answers for a bucket, and what the URL of one of its objects is there. */
#ifndef SF_STORAGE_S3_ENDPOINT_H
#define SF_STORAGE_S3_ENDPOINT_H

#include "shardyfusion/storage.h"
#include "storage/s3/uri.h"

/* Where requests for one bucket go, and for which region they are signed. */
typedef struct sf_s3_endpoint {
  sf_s3_url url;       /* of the service, without the bucket */
  char *region;        /* "us-east-1" */
  bool follows_region; /* AWS's own: the host is made from the region */
} sf_s3_endpoint;

/* `endpoint_url` NULL: AWS's own for `region`. `region` NULL: us-east-1. */
sf_code sf_s3_endpoint_init(sf_s3_endpoint *endpoint, const char *endpoint_url, const char *region, sf_error *error);
sf_code sf_s3_endpoint_copy(sf_s3_endpoint *copy, const sf_s3_endpoint *endpoint, sf_error *error);
void sf_s3_endpoint_clear(sf_s3_endpoint *endpoint);

/* Goes on to another region, as the service told. The endpoint stays as it was on failure. */
sf_code sf_s3_endpoint_set_region(sf_s3_endpoint *endpoint, const char *region, sf_error *error);

/*
 * Goes on to the host that a redirection names: a URL (its path is ignored) or a bare host, with the bucket in front of it or
 * not. Requests carry a session token, and what they are signed for: they never go to a host that a response chose. From
 * S3's own hosts the way leads to other hosts of S3's only (sf_s3_host_is_aws), from any other endpoint to its own host and
 * port only. Never from https to http.
 */
sf_code sf_s3_endpoint_redirect(sf_s3_endpoint *endpoint, const char *location, const char *bucket, sf_error *error);

/* Whether a host, without a bucket in front of it, is one of S3's own: s3, s3-fips or s3-accelerate, perhaps dualstack, a
 * region, and a domain of AWS's; or of the old form s3-<region>.amazonaws.com. Other names in those domains are given to
 * customers' machines. */
bool sf_s3_host_is_aws(const char *host);

/* Letters, digits and '-', at most 63: what is safe to build a host name and a signature from. */
bool sf_s3_region_is_valid(const char *region);

/* Whether the bucket goes into the host name. Automatic: not where the endpoint is an address or has a port, nor for a
 * bucket that is no DNS label by itself (a certificate's wildcard covers one label). */
bool sf_s3_bucket_in_host(sf_s3_addressing_style style, const sf_s3_endpoint *endpoint, const char *bucket);

/* What a request line and its signature are made of. */
typedef struct sf_s3_target {
  char *origin; /* "https://bucket.s3.eu-central-1.amazonaws.com" */
  char *host;   /* as the Host header has it */
  char *path;   /* encoded, begins with '/' */
} sf_s3_target;

/* `key` NULL: the bucket itself. */
sf_code sf_s3_target_init(sf_s3_target *target, const sf_s3_endpoint *endpoint, sf_s3_addressing_style style,
                          const char *bucket, const char *key, sf_error *error);
void sf_s3_target_clear(sf_s3_target *target);

#endif
