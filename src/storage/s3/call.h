/*
 * A request as stubborn as the storage is unreliable: retried with growing delays, resumed where its body broke, sent
 * elsewhere when the store says so, signed anew when credentials expire, and doubled when it is slow.
 *
 * A call is a state machine that its owner's thread steps whenever the waiter is signalled or the time that the last step
 * named has come; so one thread can drive one call or many.
 */
#ifndef SF_STORAGE_S3_CALL_H
#define SF_STORAGE_S3_CALL_H

#include "storage/s3/checksum.h"
#include "storage/s3/client.h"
#include "storage/s3/responses.h"
#include "storage/s3/retry.h"

/* Takes a call's bytes as they come in, by the HTTP client's thread: `length` bytes at `offset` of what the request
 * wants. Offsets ascend, but can start over. False fails the call with the error that the sink keeps. */
typedef struct sf_s3_sink {
  bool (*write)(struct sf_s3_sink *sink, uint64_t offset, const uint8_t *bytes, size_t length);
  sf_error error;
} sf_s3_sink;

/* How many transfers can run for one call: the first, and its double. */
#define SF_S3_MAX_ATTEMPTS_AT_ONCE 2

struct sf_s3_attempt;

typedef struct sf_s3_call {
  /* The outcome, once step has returned true. */
  sf_code code;
  sf_error error;
  sf_s3_verdict verdict; /* SUCCESS, NOT_FOUND, OUT_OF_RANGE, PRECONDITION come with SF_OK; others with a failure */
  uint32_t times_sent;   /* when more than once, an earlier time may have been carried out unheard */
  sf_buffer body;        /* where the request has no sink */
  uint64_t received;     /* bytes of what the request wants that are there */
  uint64_t object_size;  /* of the whole object, where the store said */
  bool has_object_size;
  char *etag; /* strong, quotes included; NULL: none was sent */
  sf_expected_checksum checksum;

  /* Inside. */
  sf_s3_client *client;
  const sf_s3_request *request;
  sf_waiter *waiter;
  struct sf_s3_attempt *attempts[SF_S3_MAX_ATTEMPTS_AT_ONCE];
  bool is_over;
  bool is_running;
  uint32_t tries; /* since the last progress */
  uint32_t num_redirects;
  uint32_t num_restarts; /* how often progress was thrown away: bounded, so that a call ends */
  bool renewed_credentials;
  bool adjusted_clock;
  uint64_t start_at;   /* when the next try begins */
  uint64_t budget_end; /* no try begins after it */
  uint64_t launched_at;
  uint64_t hedge_at; /* UINT64_MAX: not any more */
} sf_s3_call;

/* Nothing is sent before the first step. The call may not move. */
void sf_s3_call_init(sf_s3_call *call, sf_s3_client *client, const sf_s3_request *request, sf_waiter *waiter);
/* Goes on; true when the call is over. Otherwise *wake_at (monotonic nanoseconds) is lowered to when to step again. */
bool sf_s3_call_step(sf_s3_call *call, uint64_t *wake_at);
/* Stops what still runs, and frees what the outcome holds. */
void sf_s3_call_clear(sf_s3_call *call);

/* Drives a call to its end. The outcome is returned; the caller clears. */
sf_code sf_s3_call_run(sf_s3_call *call, sf_s3_client *client, const sf_s3_request *request,
                       const sf_cancellation *cancellation, sf_error *error);

#endif
