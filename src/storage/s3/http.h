/*
 * HTTP transfers by libcurl's multi interface, all in one thread, which the clients of a process share: it starts with the
 * first of them and ends with the last. A caller submits a transfer and sleeps on a waiter until it is done.
 * Connections are kept and reused, by clients with the same settings for certificates too; certificates are verified.
 */
#ifndef SF_STORAGE_S3_HTTP_H
#define SF_STORAGE_S3_HTTP_H

#include "base/memory.h"
#include "storage/waiter.h"

typedef struct sf_http_client sf_http_client;
typedef struct sf_http_transfer sf_http_transfer;

typedef struct sf_http_client_options {
  const char *ca_path; /* NULL: the system's authorities */
  bool no_verify_ssl;
  uint32_t max_connections; /* transfers that run at once; others queue up */
} sf_http_client_options;

sf_code sf_http_client_create(const sf_http_client_options *options, sf_http_client **client, sf_error *error);
/* All of its transfers must have been freed. NULL is allowed. */
void sf_http_client_free(sf_http_client *client);

/* A client belongs to the process that made it: SF_READER_STATE_ERROR in the child of a fork. */
sf_code sf_http_client_check_process(const sf_http_client *client, sf_error *error);

/* How a transfer ended. */
typedef enum sf_http_result {
  SF_HTTP_COMPLETE,    /* a whole response, whatever its status */
  SF_HTTP_CONNECTION,  /* the connection was not made, was lost, or ended before the response did */
  SF_HTTP_TIMEOUT,     /* connecting took too long, or there was no progress, or it took too long in all */
  SF_HTTP_CERTIFICATE, /* the server's certificate does not verify */
  SF_HTTP_INVALID,     /* it can't be done: a broken URL, an unreadable file of authorities */
  SF_HTTP_TOO_LARGE,   /* the body exceeds max_body */
  SF_HTTP_SINK,        /* the sink refused */
  SF_HTTP_NO_MEMORY,
  SF_HTTP_CANCELLED,
} sf_http_result;

typedef struct sf_http_response {
  sf_http_result result;
  int status;          /* 0: there was none */
  uint64_t started_at; /* monotonic nanoseconds, behind the wait for a free place; 0: it never began */
  uint32_t times_sent; /* libcurl repeats a request by itself when a connection that was kept proves dead */
  bool ends_clearly;   /* a length, chunks or frames say where the body ends: one cut short is noticed */
  sf_buffer headers;   /* lower-case name, NUL, value, NUL; and so on */
  sf_buffer body;      /* where no sink took it */
  char message[256];   /* why it is not complete */
} sf_http_response;

/* The value of a header, by its lower-case name; NULL when there is none. */
const char *sf_http_header(const sf_http_response *response, const char *name);

/* Takes the body of a response with status 2xx. Called by the clients' thread. False ends the transfer. */
typedef struct sf_http_sink {
  bool (*begin)(struct sf_http_sink *sink, const sf_http_response *response); /* before the first bytes */
  bool (*write)(struct sf_http_sink *sink, const uint8_t *bytes, size_t length);
} sf_http_sink;

typedef struct sf_http_header_line {
  const char *name;
  const char *value;
} sf_http_header_line;

typedef struct sf_http_request {
  const char *method;
  const char *url;
  const sf_http_header_line *headers;
  size_t num_headers;
  const void *body; /* NULL: none. Must live until the transfer is done; all else is copied */
  size_t body_length;
  sf_http_sink *sink; /* NULL: the body goes into the response */
  size_t max_body;    /* of what goes into the response; the bodies of errors are cut there instead of refused */
  uint32_t connect_timeout_ms;
  uint32_t stall_timeout_ms; /* a transfer that moves less than a KiB in this time has stalled */
  uint32_t total_timeout_ms; /* 0: none */
  bool is_bulk;              /* a part of something large: leaves a place free for what is small */
  bool fresh_connection;
  bool no_proxy; /* for addresses of this machine and its link */
} sf_http_request;

/* Starts a transfer; `waiter` is signalled when it is done. */
sf_code sf_http_submit(sf_http_client *client, const sf_http_request *request, sf_waiter *waiter,
                       sf_http_transfer **transfer, sf_error *error);
bool sf_http_transfer_is_done(const sf_http_transfer *transfer);
/* Of a transfer that is done; lives as long as it. */
sf_http_response *sf_http_transfer_response(sf_http_transfer *transfer);
/* Stops the transfer if it still runs: its sink is never called after this. NULL is allowed. */
void sf_http_transfer_free(sf_http_transfer *transfer);

/* Submits, waits, and hands over the done transfer for the caller to free. Fails only when cancelled or out of memory. */
sf_code sf_http_perform(sf_http_client *client, const sf_http_request *request, const sf_cancellation *cancellation,
                        sf_http_transfer **transfer, sf_error *error);

#endif
