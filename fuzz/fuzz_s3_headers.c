/* What servers say in single lines: dates, waits, ranges, places to go. */
#include "storage/s3/attempt.h"
#include "storage/s3/endpoint.h"
#include "storage/s3/retry.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void follow(const char *location) {
  sf_s3_endpoint endpoint;
  if (sf_s3_endpoint_init(&endpoint, NULL, NULL, NULL) != SF_OK)
    return;
  if (sf_s3_endpoint_redirect(&endpoint, location, "bucket", NULL) == SF_OK && !endpoint.url.is_https)
    abort();
  if (sf_s3_endpoint_set_region(&endpoint, location, NULL) == SF_OK && strchr(endpoint.region, '/') != NULL)
    abort();
  sf_s3_endpoint_clear(&endpoint);
}

static void parse_place(const char *text) {
  sf_s3_url url;
  char *bucket;
  char *prefix;
  if (sf_s3_url_parse(text, "URL", &url, NULL) == SF_OK)
    sf_s3_url_clear(&url);
  if (strncmp(text, "s3://", 5) == 0 && sf_s3_root_parse(text, &bucket, &prefix, NULL) == SF_OK) {
    free(bucket);
    free(prefix);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = sf_memdup_string(data, size);
  if (text == NULL)
    return 0;
  int64_t seconds;
  uint64_t first;
  uint64_t last;
  uint64_t object_size;
  bool has_size;
  sf_buffer decoded = {0};
  if (sf_s3_retry_after_ms(text, 784111777) > SF_S3_RETRY_BUDGET_MS + 1000)
    abort();
  sf_s3_parse_http_date(text, &seconds);
  if (sf_s3_parse_content_range(text, &first, &last, &object_size, &has_size) && first > last)
    abort();
  sf_s3_uri_decode(&decoded, (const char *)data, size, true);
  sf_buffer_free(&decoded);
  follow(text);
  parse_place(text);
  free(text);
  return 0;
}
