/* What libcurl sends, held against what it was given. */
#ifndef SF_STORAGE_S3_REQUEST_LINE_H
#define SF_STORAGE_S3_REQUEST_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether bytes that are sent, which begin with a request line ("GET /key?list-type=2 HTTP/1.1"), ask for what `url` names. True for
 * what is no whole request line, and for a CONNECT to a proxy. */
bool sf_http_request_line_fits(const char *url, const char *sent, size_t length);

#endif
