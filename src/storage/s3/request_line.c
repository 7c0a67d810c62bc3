#include "storage/s3/request_line.h"

#include <string.h>

/* From the path on. */
static const char *target_of(const char *url) {
  const char *host = strstr(url, "://");
  return host == NULL ? NULL : strchr(host + 3, '/');
}

/* Where " HTTP/…" begins; NULL where the line does not end. */
static const char *end_of_target(const char *line, size_t length) {
  const char *end = memchr(line, '\r', length);
  while (end != NULL && end > line && *end != ' ')
    end--;
  return end == line ? NULL : end;
}

bool sf_http_request_line_fits(const char *url, const char *sent, size_t length) {
  static const char connect[] = "CONNECT ";
  const char *target = target_of(url);
  const char *end = end_of_target(sent, length);
  if (target == NULL || end == NULL ||
      (length >= sizeof(connect) - 1 && memcmp(sent, connect, sizeof(connect) - 1) == 0))
    return true;
  /* Before it may be the method, or the method and where a proxy is to go. */
  size_t wanted = strlen(target);
  return (size_t)(end - sent) > wanted && memcmp(end - wanted, target, wanted) == 0;
}
