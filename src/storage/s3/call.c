#include "storage/s3/call.h"

#include "base/time.h"
#include "storage/s3/attempt.h"

#include <string.h>

#define NANOSECONDS_PER_MS ((uint64_t)1000000)
#define MAX_REDIRECTS 4
/* A transfer that brought this much is no failure to be counted: the next one begins where it ended. */
#define PROGRESS_BYTES ((uint64_t)64 << 10)
/* The last try of a budget gets at least this long. */
#define MIN_TIMEOUT_MS 1000

static void restart_budget(sf_s3_call *call, uint64_t now) {
  call->tries = 0;
  call->budget_end = now + SF_S3_RETRY_BUDGET_MS * NANOSECONDS_PER_MS;
}

void sf_s3_call_init(sf_s3_call *call, sf_s3_client *client, const sf_s3_request *request, sf_waiter *waiter) {
  *call = (sf_s3_call){.client = client, .request = request, .waiter = waiter, .hedge_at = UINT64_MAX};
  restart_budget(call, sf_monotonic_nanoseconds());
}

void sf_s3_call_clear(sf_s3_call *call) {
  for (size_t i = 0; i < SF_S3_MAX_ATTEMPTS_AT_ONCE; i++)
    sf_s3_attempt_free(call->attempts[i]);
  sf_buffer_free(&call->body);
  free(call->etag);
  *call = (sf_s3_call){.is_over = true};
}

/* ------------------------------------------------------------------------------------------------------------ Ending */

static void drop_attempts(sf_s3_call *call) {
  for (size_t i = 0; i < SF_S3_MAX_ATTEMPTS_AT_ONCE; i++) {
    sf_s3_attempt_free(call->attempts[i]);
    call->attempts[i] = NULL;
  }
}

static void end(sf_s3_call *call, sf_s3_verdict verdict, sf_code code) {
  drop_attempts(call);
  call->verdict = verdict;
  call->code = code;
  call->is_over = true;
}

static void end_with_failure(sf_s3_call *call, const sf_s3_attempt *attempt, const sf_s3_error_document *document,
                             sf_s3_verdict verdict, sf_code code) {
  code = sf_s3_attempt_fail(attempt, document, code, &call->error);
  end(call, verdict, code);
}

static bool keep_etag(sf_s3_call *call, const sf_http_response *response) {
  const char *etag = sf_s3_strong_etag(response);
  if (etag == NULL || call->etag != NULL)
    return etag != NULL;
  call->etag = sf_strdup(etag);
  return call->etag != NULL;
}

static void forget_progress(sf_s3_call *call) {
  call->num_restarts++;
  call->body.length = 0;
  call->received = 0;
  free(call->etag);
  call->etag = NULL;
  call->checksum = (sf_expected_checksum){.algorithm = SF_CHECKSUM_NONE};
}

/* Takes over what an attempt brought, whole or in part. False when memory is out. */
static bool take_over(sf_s3_call *call, sf_s3_attempt *attempt) {
  const sf_http_response *response = sf_http_transfer_response(attempt->transfer);
  if (attempt->base == 0)
    call->body.length = 0;
  if (!sf_buffer_append(&call->body, attempt->body.data, attempt->body.length))
    return false;
  call->received = attempt->base + attempt->received;
  call->object_size = attempt->object_size;
  call->has_object_size = attempt->has_object_size;
  if (response->status == 200)
    call->checksum = sf_expected_checksum_of(response);
  keep_etag(call, response);
  return true;
}

static void succeed(sf_s3_call *call, sf_s3_attempt *attempt) {
  if (call->request->may_hedge)
    sf_latencies_record(&call->client->latencies, sf_monotonic_nanoseconds() - call->launched_at);
  bool taken = take_over(call, attempt);
  end(call, SF_S3_SUCCESS, taken ? SF_OK : sf_fail_memory(&call->error, "S3 object"));
}

/* ---------------------------------------------------------------------------------------------------------- Retrying */

/* After an attempt that broke: its bytes are kept when the rest of the same version can be asked for. */
static void keep_progress(sf_s3_call *call, sf_s3_attempt *attempt) {
  const sf_http_response *response = sf_http_transfer_response(attempt->transfer);
  bool is_good = attempt->fault == SF_S3_FAULT_NONE || attempt->fault == SF_S3_FAULT_SHORT;
  bool writes = call->request->body != NULL; /* the answer to what is written is no part of an object */
  if (!is_good || attempt->received == 0 || writes)
    return;
  if (sf_s3_strong_etag(response) == NULL || !take_over(call, attempt)) {
    forget_progress(call);
    return;
  }
  if (attempt->received >= PROGRESS_BYTES)
    restart_budget(call, sf_monotonic_nanoseconds());
}

/* Tries again at once, or after a delay. */
static void schedule(sf_s3_call *call, uint64_t delay_ms) {
  drop_attempts(call);
  call->is_running = false;
  call->start_at = sf_monotonic_nanoseconds() + delay_ms * NANOSECONDS_PER_MS;
}

static uint64_t retry_after(const sf_http_response *response) {
  const char *value = sf_http_header(response, "retry-after");
  return value == NULL ? 0 : sf_s3_retry_after_ms(value, sf_wall_clock_seconds());
}

static void retry(sf_s3_call *call, sf_s3_attempt *attempt, const sf_s3_error_document *document) {
  const sf_http_response *response = sf_http_transfer_response(attempt->transfer);
  uint32_t tries = call->tries;
  /* The wait for a free connection before the first try is no failure of the store. */
  if (tries == 1 && response->started_at > 0)
    call->budget_end = response->started_at + SF_S3_RETRY_BUDGET_MS * NANOSECONDS_PER_MS;
  keep_progress(call, attempt);
  /* A corrupted body is no base to go on from. */
  if (attempt->fault == SF_S3_FAULT_CHECKSUM)
    forget_progress(call);
  uint32_t retried = call->tries == 0 ? 0 : call->tries - 1;
  uint64_t delay = sf_s3_retry_delay_ms(retried, sf_s3_random(), retry_after(response));
  bool budget_is_spent = sf_monotonic_nanoseconds() + delay * NANOSECONDS_PER_MS >= call->budget_end;
  uint32_t max_attempts = call->client->settings.max_attempts;
  if (call->tries < max_attempts && call->num_restarts < max_attempts && !budget_is_spent) {
    sf_error reason;
    sf_s3_attempt_fail(attempt, document, SF_S3_TRANSIENT_ERROR, &reason);
    sf_log_message(&call->client->log, SF_LOG_DEBUG, "%s; trying again in %llu ms", reason.message,
                   (unsigned long long)delay);
    schedule(call, delay);
    return;
  }
  end_with_failure(call, attempt, document, SF_S3_TRANSIENT, SF_S3_TRANSIENT_ERROR);
  sf_error_prefix(&call->error, "after %u %s", tries, tries == 1 ? "try" : "tries");
}

static void renew_credentials(sf_s3_call *call, sf_s3_attempt *attempt, const sf_s3_error_document *document) {
  if (call->renewed_credentials || attempt->signature.credentials == NULL) {
    end_with_failure(call, attempt, document, SF_S3_REFUSED, SF_ERROR);
    return;
  }
  call->renewed_credentials = true;
  sf_s3_credential_source_reject(call->client->credentials, attempt->signature.credentials);
  schedule(call, 0);
}

static void adjust_clock(sf_s3_call *call, sf_s3_attempt *attempt, const sf_s3_error_document *document) {
  const char *date = sf_http_header(sf_http_transfer_response(attempt->transfer), "date");
  int64_t server_time;
  if (call->adjusted_clock || date == NULL || !sf_s3_parse_http_date(date, &server_time)) {
    end_with_failure(call, attempt, document, SF_S3_REFUSED, SF_ERROR);
    return;
  }
  call->adjusted_clock = true;
  atomic_store(&call->client->clock_difference, server_time - (int64_t)sf_wall_clock_seconds());
  schedule(call, 0);
}

/* -------------------------------------------------------------------------------------------------------- Redirection */

static bool is_same_endpoint(const sf_s3_endpoint *a, const sf_s3_endpoint *b) {
  return strcmp(a->region, b->region) == 0 && strcmp(a->url.host, b->url.host) == 0 && a->url.port == b->url.port &&
         a->url.is_https == b->url.is_https;
}

/* Moves `endpoint` to where the store points. Only a change is a success. */
static sf_code follow(sf_s3_endpoint *endpoint, const sf_s3_client *client, const sf_http_response *response,
                      const sf_s3_error_document *document, sf_error *error) {
  const char *region = sf_http_header(response, "x-amz-bucket-region");
  const char *location = sf_http_header(response, "location");
  if (region == NULL || !sf_s3_region_is_valid(region))
    region = document->region;
  if (region[0] != '\0' && strcmp(region, endpoint->region) != 0)
    return sf_s3_endpoint_set_region(endpoint, region, error);
  if (document->endpoint[0] != '\0')
    return sf_s3_endpoint_redirect(endpoint, document->endpoint, client->bucket, error);
  if (location != NULL && strstr(location, "://") != NULL)
    return sf_s3_endpoint_redirect(endpoint, location, client->bucket, error);
  return sf_fail(error, SF_ERROR, "the store redirects without saying where to");
}

/* With the client's mutex held. Another call may have moved the endpoint since the attempt was sent: that will do. */
static sf_code move_endpoint(sf_s3_client *client, const sf_s3_endpoint *sent_to, const sf_http_response *response,
                             const sf_s3_error_document *document, sf_error *error) {
  if (!is_same_endpoint(&client->endpoint, sent_to))
    return SF_OK;
  SF_TRY(follow(&client->endpoint, client, response, document, error));
  if (is_same_endpoint(&client->endpoint, sent_to))
    return sf_fail(error, SF_ERROR, "the store redirects to where it was asked");
  return SF_OK;
}

static void redirect(sf_s3_call *call, sf_s3_attempt *attempt, const sf_s3_error_document *document) {
  sf_s3_client *client = call->client;
  sf_error reason = {0};
  sf_code code = SF_ERROR;
  if (call->num_redirects++ < MAX_REDIRECTS) {
    pthread_mutex_lock(&client->mutex);
    code = move_endpoint(client, &attempt->signature.endpoint, sf_http_transfer_response(attempt->transfer), document,
                         &reason);
    pthread_mutex_unlock(&client->mutex);
  } else {
    sf_fail(&reason, SF_ERROR, "redirected too often");
  }
  if (code == SF_OK) {
    schedule(call, 0);
    return;
  }
  end_with_failure(call, attempt, document, SF_S3_REFUSED, SF_ERROR);
  sf_error_prefix(&call->error, "%s", reason.message);
}

/* ----------------------------------------------------------------------------------------------------------- Stepping */

/* The object is not the version that was asked for. Our own progress can start over; a caller's condition can't. */
static void handle_precondition(sf_s3_call *call, sf_s3_attempt *attempt, const sf_s3_error_document *document) {
  if (call->request->if_match != NULL || call->request->if_none_match != NULL || call->received == 0) {
    end(call, SF_S3_PRECONDITION, SF_OK);
    return;
  }
  attempt->received = 0;
  forget_progress(call);
  retry(call, attempt, document);
}

static void handle(sf_s3_call *call, sf_s3_attempt *attempt, sf_s3_verdict verdict,
                   const sf_s3_error_document *document) {
  switch (verdict) {
  case SF_S3_SUCCESS:
    succeed(call, attempt);
    return;
  case SF_S3_TRANSIENT:
    retry(call, attempt, document);
    return;
  case SF_S3_EXPIRED:
    renew_credentials(call, attempt, document);
    return;
  case SF_S3_SKEWED:
    adjust_clock(call, attempt, document);
    return;
  case SF_S3_REDIRECTED:
    redirect(call, attempt, document);
    return;
  case SF_S3_PRECONDITION:
    handle_precondition(call, attempt, document);
    return;
  case SF_S3_OUT_OF_RANGE:
    if (call->received > 0) /* it has shrunk since */
      handle_precondition(call, attempt, document);
    else
      end(call, SF_S3_OUT_OF_RANGE, SF_OK);
    return;
  case SF_S3_NOT_FOUND:
    if (call->request->key != NULL)
      end(call, SF_S3_NOT_FOUND, SF_OK);
    else
      end_with_failure(call, attempt, document, SF_S3_NOT_FOUND, SF_ERROR);
    return;
  case SF_S3_REFUSED:
    end_with_failure(call, attempt, document, SF_S3_REFUSED, SF_ERROR);
    return;
  }
}

static size_t count_attempts(const sf_s3_call *call) {
  size_t count = 0;
  for (size_t i = 0; i < SF_S3_MAX_ATTEMPTS_AT_ONCE; i++)
    count += call->attempts[i] != NULL;
  return count;
}

/* Looks at attempts that are done. One that failed is dropped while its double still runs. */
static void settle(sf_s3_call *call) {
  for (size_t i = 0; i < SF_S3_MAX_ATTEMPTS_AT_ONCE && call->is_running && !call->is_over; i++) {
    sf_s3_attempt *attempt = call->attempts[i];
    if (attempt == NULL || !sf_http_transfer_is_done(attempt->transfer))
      continue;
    call->times_sent += sf_http_transfer_response(attempt->transfer)->times_sent;
    sf_s3_error_document document;
    sf_s3_verdict verdict = sf_s3_attempt_judge(attempt, &document);
    if (verdict == SF_S3_TRANSIENT && count_attempts(call) > 1) {
      sf_s3_attempt_free(attempt);
      call->attempts[i] = NULL;
    } else {
      handle(call, attempt, verdict, &document);
    }
  }
}

static uint32_t timeout_ms(const sf_s3_call *call, uint64_t now) {
  uint64_t left = call->budget_end > now ? (call->budget_end - now) / NANOSECONDS_PER_MS : 0;
  return left < MIN_TIMEOUT_MS ? MIN_TIMEOUT_MS : left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
}

static void launch(sf_s3_call *call, uint64_t now) {
  sf_code code = sf_s3_attempt_start(call, false, timeout_ms(call, now), &call->attempts[0], &call->error);
  if (code != SF_OK) {
    end(call, SF_S3_REFUSED, code);
    return;
  }
  call->tries++;
  call->is_running = true;
  call->launched_at = sf_monotonic_nanoseconds();
  uint64_t hedge_after = call->request->may_hedge ? sf_latencies_hedge_after(&call->client->latencies) : UINT64_MAX;
  call->hedge_at = hedge_after == UINT64_MAX ? UINT64_MAX : call->launched_at + hedge_after;
}

static void launch_double(sf_s3_call *call, uint64_t now) {
  call->hedge_at = UINT64_MAX;
  size_t free_place = call->attempts[0] == NULL ? 0 : 1;
  /* Without it the first one still runs. */
  (void)sf_s3_attempt_start(call, true, timeout_ms(call, now), &call->attempts[free_place], NULL);
}

bool sf_s3_call_step(sf_s3_call *call, uint64_t *wake_at) {
  uint64_t now = sf_monotonic_nanoseconds();
  if (call->is_running && !call->is_over)
    settle(call);
  if (!call->is_over && !call->is_running && now >= call->start_at)
    launch(call, now);
  if (!call->is_over && call->is_running && now >= call->hedge_at)
    launch_double(call, now);
  if (call->is_over)
    return true;
  uint64_t due = call->is_running ? call->hedge_at : call->start_at;
  if (due < *wake_at)
    *wake_at = due;
  return false;
}

sf_code sf_s3_call_run(sf_s3_call *call, sf_s3_client *client, const sf_s3_request *request,
                       const sf_cancellation *cancellation, sf_error *error) {
  sf_waiter waiter;
  sf_s3_call_init(call, client, request, &waiter);
  SF_TRY(sf_cancellation_check(cancellation, error));
  SF_TRY(sf_http_client_check_process(client->http, error));
  SF_TRY(sf_waiter_init(&waiter, cancellation, error));
  sf_code code = SF_OK;
  uint64_t wake_at = UINT64_MAX;
  while (code == SF_OK && !sf_s3_call_step(call, &wake_at)) {
    sf_waiter_wait_or_cancelled(&waiter, wake_at);
    wake_at = UINT64_MAX;
    code = sf_cancellation_check(cancellation, error);
  }
  drop_attempts(call); /* they know the waiter */
  sf_waiter_destroy(&waiter);
  call->waiter = NULL;
  if (code == SF_OK && call->code != SF_OK)
    code = sf_fail(error, call->code, "%s", call->error.message);
  return code;
}
