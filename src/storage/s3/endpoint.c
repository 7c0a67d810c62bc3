#include "storage/s3/endpoint.h"

#include <string.h>

bool sf_s3_region_is_valid(const char *region) {
  size_t length = strlen(region);
  for (size_t i = 0; i < length; i++) {
    char c = region[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
      return false;
  }
  return length > 0 && length <= 63;
}

/* https://docs.aws.amazon.com/general/latest/gr/s3.html; China is a partition of its own. */
static char *aws_host(const char *region) {
  return sf_format("s3.%s.amazonaws.com%s", region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

sf_code sf_s3_endpoint_init(sf_s3_endpoint *endpoint, const char *endpoint_url, const char *region, sf_error *error) {
  *endpoint = (sf_s3_endpoint){0};
  if (region == NULL)
    region = "us-east-1";
  if (!sf_s3_region_is_valid(region))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "S3 region: expected a name like us-east-1, found '%.80s'",
                   region);
  if (endpoint_url != NULL) {
    SF_TRY(sf_s3_url_parse(endpoint_url, "S3 endpoint URL", &endpoint->url, error));
  } else {
    endpoint->follows_region = true;
    endpoint->url = (sf_s3_url){.is_https = true, .host = aws_host(region), .path = sf_strdup("")};
  }
  endpoint->region = sf_strdup(region);
  if (endpoint->url.host == NULL || endpoint->url.path == NULL || endpoint->region == NULL) {
    sf_s3_endpoint_clear(endpoint);
    return sf_fail_memory(error, "S3 endpoint");
  }
  return SF_OK;
}

sf_code sf_s3_endpoint_copy(sf_s3_endpoint *copy, const sf_s3_endpoint *endpoint, sf_error *error) {
  *copy = (sf_s3_endpoint){.url = endpoint->url, .follows_region = endpoint->follows_region};
  copy->url.host = sf_strdup(endpoint->url.host);
  copy->url.path = sf_strdup(endpoint->url.path);
  copy->region = sf_strdup(endpoint->region);
  if (copy->url.host == NULL || copy->url.path == NULL || copy->region == NULL) {
    sf_s3_endpoint_clear(copy);
    return sf_fail_memory(error, "S3 endpoint");
  }
  return SF_OK;
}

void sf_s3_endpoint_clear(sf_s3_endpoint *endpoint) {
  sf_s3_url_clear(&endpoint->url);
  free(endpoint->region);
  *endpoint = (sf_s3_endpoint){0};
}

sf_code sf_s3_endpoint_set_region(sf_s3_endpoint *endpoint, const char *region, sf_error *error) {
  if (!sf_s3_region_is_valid(region))
    return sf_fail(error, SF_ERROR, "redirection to a region of an impossible name: '%.80s'", region);
  char *region_copy = sf_strdup(region);
  char *host = endpoint->follows_region ? aws_host(region) : NULL;
  if (region_copy == NULL || (endpoint->follows_region && host == NULL)) {
    free(region_copy);
    free(host);
    return sf_fail_memory(error, "S3 region");
  }
  free(endpoint->region);
  endpoint->region = region_copy;
  if (host != NULL) {
    free(endpoint->url.host);
    endpoint->url.host = host;
  }
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------------- Redirection */

/* https://docs.aws.amazon.com/general/latest/gr/s3.html, and the domains of AWS's other partitions. */
static const char *const aws_domains[] = {
    ".amazonaws.com", ".amazonaws.com.cn", ".api.aws",      ".api.amazonwebservices.com.cn",
    ".c2s.ic.gov",    ".sc2s.sgov.gov",    ".amazonaws.eu", ".api.amazonwebservices.eu",
};

/* "eu-west-1": small letters, digits and at least two '-', with a digit at its end. */
static bool is_region_label(const char *label, size_t length) {
  unsigned num_dashes = 0;
  for (size_t i = 0; i < length; i++) {
    char c = label[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
      return false;
    num_dashes += c == '-';
  }
  return length > 0 && num_dashes >= 2 && label[length - 1] >= '0' && label[length - 1] <= '9';
}

static bool label_is(const char *label, size_t length, const char *text) {
  return strlen(text) == length && strncmp(label, text, length) == 0;
}

/* The labels before the domain: "s3", "s3.eu-west-1", "s3.dualstack.eu-west-1", "s3-eu-west-1", … */
static bool is_service(const char *labels, size_t length) {
  const char *end = labels + length;
  size_t first = strcspn(labels, ".");
  first = first < length ? first : length;
  if (first == length && first > 3 && strncmp(labels, "s3-", 3) == 0 && is_region_label(labels + 3, first - 3))
    return true;
  if (!label_is(labels, first, "s3") && !label_is(labels, first, "s3-fips") &&
      !label_is(labels, first, "s3-accelerate"))
    return false;
  const char *at = labels + first;
  bool may_be_dualstack = true;
  while (at < end) {
    at++; /* the dot */
    size_t label = strcspn(at, ".");
    label = label < (size_t)(end - at) ? label : (size_t)(end - at);
    bool is_last = at + label == end;
    bool is_dualstack = may_be_dualstack && label_is(at, label, "dualstack");
    if (!is_dualstack && !(is_last && is_region_label(at, label)))
      return false;
    may_be_dualstack = false;
    at += label;
  }
  return true;
}

bool sf_s3_host_is_aws(const char *host) {
  size_t length = strlen(host);
  for (size_t i = 0; i < sizeof(aws_domains) / sizeof(aws_domains[0]); i++) {
    size_t domain = strlen(aws_domains[i]);
    if (length > domain && strcmp(host + length - domain, aws_domains[i]) == 0 && is_service(host, length - domain))
      return true;
  }
  return false;
}

static bool may_go_to(const sf_s3_endpoint *endpoint, const sf_s3_url *url) {
  if (sf_s3_host_is_aws(endpoint->url.host))
    return sf_s3_host_is_aws(url->host) && url->port == endpoint->url.port;
  bool is_upgrade = url->is_https && !endpoint->url.is_https;
  bool is_same_port = url->port == endpoint->url.port && (!is_upgrade || url->port == 0);
  return strcmp(url->host, endpoint->url.host) == 0 && is_same_port;
}

/* Takes "bucket." from the front of a host. */
static void strip_bucket(char *host, const char *bucket) {
  size_t length = strlen(bucket);
  if (strncmp(host, bucket, length) == 0 && host[length] == '.' && host[length + 1] != '\0')
    memmove(host, host + length + 1, strlen(host + length + 1) + 1);
}

sf_code sf_s3_endpoint_redirect(sf_s3_endpoint *endpoint, const char *location, const char *bucket, sf_error *error) {
  bool has_scheme = strstr(location, "://") != NULL;
  size_t scheme_length = has_scheme ? (size_t)(strstr(location, "://") - location) + 3 : 0;
  size_t host_length = strcspn(location + scheme_length, "/?#");
  char *origin = sf_format("%s%.*s",
                           has_scheme               ? ""
                           : endpoint->url.is_https ? "https://"
                                                    : "http://",
                           (int)(scheme_length + host_length), location);
  if (origin == NULL)
    return sf_fail_memory(error, "redirection");
  sf_s3_url url;
  sf_code code = sf_s3_url_parse(origin, "redirection", &url, error);
  free(origin);
  if (code != SF_OK)
    return sf_error_recode(error, SF_ERROR);
  if (endpoint->url.is_https && !url.is_https) {
    sf_s3_url_clear(&url);
    return sf_fail(error, SF_ERROR, "redirection from https to http is not followed");
  }
  strip_bucket(url.host, bucket);
  if (!may_go_to(endpoint, &url)) {
    char *authority = sf_s3_url_authority(&url);
    sf_code refused =
        sf_fail(error, SF_ERROR,
                "the store redirects from %s to another host, %.200s, which is not followed: requests carry "
                "credentials",
                endpoint->url.host, authority != NULL ? authority : "");
    free(authority);
    sf_s3_url_clear(&url);
    return refused;
  }
  free(url.path);
  url.path = endpoint->url.path;
  free(endpoint->url.host);
  endpoint->url = url;
  endpoint->follows_region = false;
  return SF_OK;
}

/* One DNS label, lower case, as virtual hosting and a wildcard certificate need. */
static bool bucket_is_label(const char *bucket) {
  size_t length = strlen(bucket);
  for (size_t i = 0; i < length; i++) {
    char c = bucket[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
      return false;
  }
  return length > 0 && length <= 63;
}

bool sf_s3_bucket_in_host(sf_s3_addressing_style style, const sf_s3_endpoint *endpoint, const char *bucket) {
  if (style != SF_S3_ADDRESSING_AUTO)
    return style == SF_S3_ADDRESSING_VIRTUAL;
  return bucket_is_label(bucket) && endpoint->url.port == 0 && !sf_s3_host_is_address(endpoint->url.host) &&
         strcmp(endpoint->url.host, "localhost") != 0;
}

static bool build_path(sf_buffer *path, const sf_s3_endpoint *endpoint, const char *bucket, const char *key) {
  bool built = sf_buffer_append_text(path, endpoint->url.path) && sf_buffer_append_text(path, "/");
  if (bucket != NULL)
    built = built && sf_s3_uri_encode(path, bucket, strlen(bucket), false);
  if (bucket != NULL && key != NULL)
    built = built && sf_buffer_append_text(path, "/");
  return built && (key == NULL || sf_s3_uri_encode(path, key, strlen(key), true));
}

sf_code sf_s3_target_init(sf_s3_target *target, const sf_s3_endpoint *endpoint, sf_s3_addressing_style style,
                          const char *bucket, const char *key, sf_error *error) {
  *target = (sf_s3_target){0};
  sf_buffer path = {0};
  bool in_host = sf_s3_bucket_in_host(style, endpoint, bucket);
  char *authority = sf_s3_url_authority(&endpoint->url);
  bool built = build_path(&path, endpoint, in_host ? NULL : bucket, key);
  if (authority != NULL && built) {
    target->host = in_host ? sf_format("%s.%s", bucket, authority) : sf_strdup(authority);
    target->origin = sf_format("%s://%s%s%s", endpoint->url.is_https ? "https" : "http", in_host ? bucket : "",
                               in_host ? "." : "", authority);
    target->path = sf_memdup_string(path.data, path.length);
  }
  free(authority);
  sf_buffer_free(&path);
  if (target->host == NULL || target->origin == NULL || target->path == NULL) {
    sf_s3_target_clear(target);
    return sf_fail_memory(error, "S3 URL");
  }
  return SF_OK;
}

void sf_s3_target_clear(sf_s3_target *target) {
  free(target->origin);
  free(target->host);
  free(target->path);
  *target = (sf_s3_target){0};
}
