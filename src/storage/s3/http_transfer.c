/* A transfer by itself: its libcurl handle, and what libcurl's callbacks make of the response. */
#include "base/time.h"
#include "shardyfusion.h"
#include "storage/s3/http_internal.h"
#include "storage/s3/request_line.h"

#include <stdio.h>
#include <string.h>

#define MAX_HEADER_BYTES ((size_t)64 << 10)
#define SMALL_RECEIVE_BUFFER (32L << 10)
#define BULK_RECEIVE_BUFFER (256L << 10)

/* ------------------------------------------------------------------------------------------------ Response headers */

const char *sf_http_header(const sf_http_response *response, const char *name) {
  if (response->headers.length == 0)
    return NULL;
  const char *next = (const char *)response->headers.data;
  const char *end = next + response->headers.length;
  while (next < end) {
    const char *value = next + strlen(next) + 1;
    if (strcmp(next, name) == 0)
      return value;
    next = value + strlen(value) + 1;
  }
  return NULL;
}

static bool append_header(sf_buffer *headers, const char *line, size_t length) {
  const char *colon = memchr(line, ':', length);
  if (colon == NULL || memchr(line, '\0', length) != NULL)
    return true;
  size_t name_length = (size_t)(colon - line);
  const char *value = colon + 1;
  const char *end = line + length;
  while (value < end && (*value == ' ' || *value == '\t'))
    value++;
  while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
    end--;
  size_t start = headers->length;
  if (!sf_buffer_append(headers, line, name_length) || !sf_buffer_append(headers, "", 1) ||
      !sf_buffer_append(headers, value, (size_t)(end - value)) || !sf_buffer_append(headers, "", 1))
    return false;
  for (size_t i = start; i < start + name_length; i++)
    if (headers->data[i] >= 'A' && headers->data[i] <= 'Z')
      headers->data[i] = (uint8_t)(headers->data[i] - 'A' + 'a');
  return true;
}

void sf_http_end_with(sf_http_transfer *transfer, sf_http_result result, const char *message) {
  transfer->response.result = result;
  transfer->result_is_set = true;
  snprintf(transfer->response.message, sizeof(transfer->response.message), "%s", message);
}

static size_t on_header(char *line, size_t size, size_t count, void *user_data) {
  sf_http_transfer *transfer = user_data;
  size_t length = size * count;
  if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) /* a response after 100 Continue begins anew */
    transfer->response.headers.length = 0;
  if (transfer->response.headers.length + length > MAX_HEADER_BYTES) {
    sf_http_end_with(transfer, SF_HTTP_CONNECTION, "the response's headers are too long");
    return 0;
  }
  if (!append_header(&transfer->response.headers, line, length)) {
    sf_http_end_with(transfer, SF_HTTP_NO_MEMORY, "out of memory");
    return 0;
  }
  return length;
}

/* --------------------------------------------------------------------------------------------------------- Bodies */

void sf_http_read_status(sf_http_transfer *transfer) {
  sf_http_response *response = &transfer->response;
  long status = 0;
  long version = 0;
  curl_off_t length = -1;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
  curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  response->status = (int)status;
  response->ends_clearly =
      length >= 0 || version >= CURL_HTTP_VERSION_2_0 || sf_http_header(response, "transfer-encoding") != NULL;
}

static bool is_success(int status) {
  return status >= 200 && status < 300;
}

static bool write_to_sink(sf_http_transfer *transfer, const char *bytes, size_t length) {
  sf_http_sink *sink = transfer->sink;
  bool begun = transfer->sink_begun || sink->begin(sink, &transfer->response);
  transfer->sink_begun = true;
  if (begun && sink->write(sink, (const uint8_t *)bytes, length))
    return true;
  sf_http_end_with(transfer, SF_HTTP_SINK, "the body was refused");
  return false;
}

static bool write_to_response(sf_http_transfer *transfer, const char *bytes, size_t length) {
  sf_buffer *body = &transfer->response.body;
  size_t room = transfer->max_body - body->length;
  if (length > room && is_success(transfer->response.status)) {
    sf_http_end_with(transfer, SF_HTTP_TOO_LARGE, "the body is too large");
    return false;
  }
  if (!sf_buffer_append(body, bytes, length < room ? length : room)) {
    sf_http_end_with(transfer, SF_HTTP_NO_MEMORY, "out of memory");
    return false;
  }
  return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user_data) {
  sf_http_transfer *transfer = user_data;
  size_t length = size * count;
  if (transfer->result_is_set)
    return 0;
  if (transfer->response.status == 0)
    sf_http_read_status(transfer);
  bool to_sink = transfer->sink != NULL && is_success(transfer->response.status);
  bool taken = to_sink ? write_to_sink(transfer, bytes, length) : write_to_response(transfer, bytes, length);
  return taken ? length : 0;
}

/* The connection stands and the request is about to go out: from here on there must be progress. */
// NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type
static int on_request(void *user_data, char *address, char *local_address, int port, int local_port) {
  (void)address, (void)local_address, (void)port, (void)local_port;
  sf_http_transfer *transfer = user_data;
  transfer->watched_since = sf_monotonic_nanoseconds();
  transfer->response.times_sent++;
  transfer->is_beginning = true;
  return CURL_PREREQFUNC_OK;
}

/* libcurl (before 8) leaves the query out when it has no memory for it, and asks for something else. */
// NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type
static int on_debug(CURL *easy, curl_infotype type, char *bytes, size_t length, void *user_data) {
  sf_http_transfer *transfer = user_data;
  char *url = NULL;
  if (type != CURLINFO_HEADER_OUT || !transfer->is_beginning)
    return 0;
  transfer->is_beginning = false;
  if (curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK && url != NULL &&
      !sf_http_request_line_fits(url, bytes, length))
    sf_http_end_with(transfer, SF_HTTP_NO_MEMORY, "out of memory");
  return 0;
}

/* --------------------------------------------------------------------------------------------------------- Set-up */

/* Options with text fail when memory is out: then the transfer does not begin: without them, libcurl would do something else. */
static bool set_text(CURL *easy, CURLoption option, const char *text) {
  return curl_easy_setopt(easy, option, text) == CURLE_OK;
}

static bool set_trust(const sf_http_client *client, CURL *easy) {
  if (client->no_verify_ssl) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  return client->ca_path == NULL ||
         set_text(easy, client->ca_is_directory ? CURLOPT_CAPATH : CURLOPT_CAINFO, client->ca_path);
}

static bool set_protocol(CURL *easy) {
#if LIBCURL_VERSION_NUM >= 0x075500
  if (!set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https"))
    return false;
#else
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* keys may hold "..", and the path is signed as it is */
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT,
                   1L); /* a transfer that is given up does not wait for its name's resolution */
#endif
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  return set_text(easy, CURLOPT_USERAGENT, "shardyfusion/" SF_VERSION_STRING);
}

static void set_callbacks(sf_http_transfer *transfer) {
  CURL *easy = transfer->easy;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_message);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
  curl_easy_setopt(easy, CURLOPT_DEBUGDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
}

static bool set_method(const sf_http_request *request, CURL *easy) {
  if (strcmp(request->method, "HEAD") == 0)
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  else if (!set_text(easy, CURLOPT_CUSTOMREQUEST, request->method))
    return false;
  if (request->body != NULL) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
  }
  return true;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value) {
  /* "Name;" is curl's way to say a header without a value. */
  char *line = value[0] == '\0' ? sf_format("%s;", name) : sf_format("%s: %s", name, value);
  struct curl_slist *longer = line == NULL ? NULL : curl_slist_append(*list, line);
  free(line);
  if (longer != NULL)
    *list = longer;
  return longer != NULL;
}

static bool set_headers(sf_http_transfer *transfer, const sf_http_request *request) {
  for (size_t i = 0; i < request->num_headers; i++)
    if (!add_header(&transfer->headers, request->headers[i].name, request->headers[i].value))
      return false;
  /* Without a colon's value, curl leaves these of its own out. */
  struct curl_slist *longer = curl_slist_append(transfer->headers, "Expect:");
  if (longer == NULL)
    return false;
  transfer->headers = longer;
  return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, longer) == CURLE_OK;
}

static bool set_request(sf_http_transfer *transfer, const sf_http_request *request) {
  CURL *easy = transfer->easy;
  if (!set_protocol(easy) || !set_trust(transfer->client, easy) || !set_method(request, easy))
    return false;
  set_callbacks(transfer);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_timeout_ms);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->total_timeout_ms);
  curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh_connection ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, request->is_bulk ? BULK_RECEIVE_BUFFER : SMALL_RECEIVE_BUFFER);
  return (!request->no_proxy || set_text(easy, CURLOPT_NOPROXY, "*")) && set_headers(transfer, request) &&
         set_text(easy, CURLOPT_URL, request->url);
}

void sf_http_transfer_release(sf_http_transfer *transfer) {
  if (transfer->easy != NULL)
    curl_easy_cleanup(transfer->easy);
  curl_slist_free_all(transfer->headers);
  sf_buffer_free(&transfer->response.headers);
  sf_buffer_free(&transfer->response.body);
  free(transfer);
}

sf_http_transfer *sf_http_transfer_create(sf_http_client *client, const sf_http_request *request, sf_waiter *waiter) {
  sf_http_transfer *transfer = sf_calloc(1, sizeof(*transfer));
  if (transfer == NULL)
    return NULL;
  transfer->client = client;
  transfer->waiter = waiter;
  transfer->sink = request->sink;
  transfer->max_body = request->max_body;
  transfer->is_bulk = request->is_bulk;
  transfer->stall_timeout = (uint64_t)request->stall_timeout_ms * 1000000;
  transfer->easy = curl_easy_init();
  if (transfer->easy != NULL && set_request(transfer, request))
    return transfer;
  sf_http_transfer_release(transfer);
  return NULL;
}
