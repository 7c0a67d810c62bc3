#include "storage/s3/uri.h"

#include "storage/s3/shown.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_unreserved(unsigned char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

bool sf_s3_uri_encode(sf_buffer *encoded, const char *text, size_t length, bool keep_slashes) {
  static const char digits[] = "0123456789ABCDEF";
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
    bool plain = is_unreserved(c) || (keep_slashes && c == '/');
    if (!sf_buffer_append(encoded, plain ? text + i : escape, plain ? 1 : 3))
      return false;
  }
  return true;
}

static int digit_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool sf_s3_uri_decode(sf_buffer *decoded, const char *text, size_t length, bool plus_is_space) {
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    if (c == '%') {
      int high = length - i > 2 ? digit_value(text[i + 1]) : -1;
      int low = length - i > 2 ? digit_value(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return false;
      c = (char)(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (!sf_buffer_append(decoded, &c, 1))
      return false;
  }
  return true;
}

static bool is_host_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* The length of the host that `text` begins with, brackets included; 0 when it is none. */
static size_t host_length(const char *text) {
  size_t length = 0;
  if (text[0] == '[') {
    length = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
    return text[length] == ']' ? length + 1 : 0;
  }
  while (is_host_character(text[length]))
    length++;
  return length;
}

/* ":8080" at *next, which is moved behind it. */
static bool parse_port(const char **next, uint16_t *port) {
  uint32_t value = 0;
  const char *digit = *next + 1;
  for (; *digit >= '0' && *digit <= '9' && value <= UINT16_MAX; digit++)
    value = value * 10 + (uint32_t)(*digit - '0');
  if (digit == *next + 1 || value == 0 || value > UINT16_MAX)
    return false;
  *next = digit;
  *port = (uint16_t)value;
  return true;
}

static void lower_case(char *text) {
  for (; *text != '\0'; text++)
    if (*text >= 'A' && *text <= 'Z')
      *text = (char)(*text - 'A' + 'a');
}

static bool path_is_plain(const char *path) {
  for (const unsigned char *c = (const unsigned char *)path; *c != '\0'; c++)
    if (*c <= ' ' || *c >= 0x7f || *c == '?' || *c == '#' || *c == '%')
      return false;
  return true;
}

static bool parse_url(const char *text, sf_s3_url *url) {
  url->is_https = strncmp(text, "https://", 8) == 0;
  if (!url->is_https && strncmp(text, "http://", 7) != 0)
    return false;
  const char *host = text + (url->is_https ? 8 : 7);
  size_t length = host_length(host);
  const char *next = host + length;
  if (length == 0 || length > 253 || (*next == ':' && !parse_port(&next, &url->port)))
    return false;
  if ((*next != '\0' && *next != '/') || !path_is_plain(next))
    return false;
  if (url->port == (url->is_https ? 443 : 80))
    url->port = 0;
  size_t path_length = strlen(next);
  while (path_length > 0 && next[path_length - 1] == '/')
    path_length--;
  url->host = sf_memdup_string(host, length);
  url->path = sf_memdup_string(next, path_length);
  if (url->host != NULL)
    lower_case(url->host);
  return true;
}

sf_code sf_s3_url_parse(const char *text, const char *what, sf_s3_url *url, sf_error *error) {
  *url = (sf_s3_url){0};
  /* What was found is not repeated: a URL can carry a password. */
  if (!parse_url(text, url))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "%s: expected http:// or https://, a host, and perhaps a port and a path", what);
  if (url->host == NULL || url->path == NULL) {
    sf_s3_url_clear(url);
    return sf_fail_memory(error, what);
  }
  return SF_OK;
}

void sf_s3_url_clear(sf_s3_url *url) {
  free(url->host);
  free(url->path);
  *url = (sf_s3_url){0};
}

char *sf_s3_url_authority(const sf_s3_url *url) {
  return url->port == 0 ? sf_strdup(url->host) : sf_format("%s:%u", url->host, (unsigned)url->port);
}

bool sf_s3_host_is_address(const char *host) {
  struct in_addr address;
  return host[0] == '[' || inet_pton(AF_INET, host, &address) == 1;
}

/* Wider than AWS's own rule: other stores allow capitals and underscores, Ceph "tenant:bucket". */
static bool bucket_is_valid(const char *bucket, size_t length) {
  if (length == 0 || length > 255 || bucket[0] == '.' || bucket[0] == '-')
    return false;
  for (size_t i = 0; i < length; i++)
    if (!is_host_character(bucket[i]) && bucket[i] != ':')
      return false;
  return true;
}

/* What was found is shown without what may be secret: keys have been seen in the place of a user. */
static sf_code fail_root(const char *root, sf_error *error) {
  char shown[256];
  sf_s3_show(shown, sizeof(shown), root, strlen(root));
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "snapshot root %s: expected s3://bucket/prefix", shown);
}

sf_code sf_s3_root_parse(const char *root, char **bucket, char **prefix, sf_error *error) {
  const char *start = root + strlen("s3://");
  size_t bucket_length = strcspn(start, "/");
  if (strncmp(root, "s3://", 5) != 0 || !bucket_is_valid(start, bucket_length))
    return fail_root(root, error);
  const char *rest = start + bucket_length;
  if (*rest == '/')
    rest++;
  size_t length = strlen(rest);
  while (length > 0 && rest[length - 1] == '/')
    length--;
  char *bucket_copy = sf_memdup_string(start, bucket_length);
  char *prefix_copy = sf_memdup_string(rest, length);
  if (bucket_copy == NULL || prefix_copy == NULL) {
    free(bucket_copy);
    free(prefix_copy);
    return sf_fail_memory(error, root);
  }
  *bucket = bucket_copy;
  *prefix = prefix_copy;
  return SF_OK;
}
