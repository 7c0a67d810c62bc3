#include "storage/s3/http_internal.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------------ Submission */

static void enqueue(sf_http_client *client, sf_http_transfer *transfer) {
  pthread_mutex_lock(&client->mutex);
  sf_http_transfer **end = &client->queue;
  while (*end != NULL)
    end = &(*end)->next;
  *end = transfer;
  pthread_mutex_unlock(&client->mutex);
  curl_multi_wakeup(client->multi);
}

sf_code sf_http_client_check_process(const sf_http_client *client, sf_error *error) {
  if (client->process != getpid())
    return sf_fail(error, SF_READER_STATE_ERROR, "the storage was opened before a fork, and is used in the child");
  return SF_OK;
}

sf_code sf_http_submit(sf_http_client *client, const sf_http_request *request, sf_waiter *waiter,
                       sf_http_transfer **submitted, sf_error *error) {
  SF_TRY(sf_http_client_check_process(client, error));
  sf_http_transfer *transfer = sf_http_transfer_create(client, request, waiter);
  if (transfer == NULL)
    return sf_fail_memory(error, "HTTP transfer");
  enqueue(client, transfer);
  *submitted = transfer;
  return SF_OK;
}

bool sf_http_transfer_is_done(const sf_http_transfer *transfer) {
  /* Without a waiter it was handed over when it was done. */
  return transfer->waiter == NULL || sf_waiter_flag_is_set(transfer->waiter, &transfer->done);
}

sf_http_response *sf_http_transfer_response(sf_http_transfer *transfer) {
  return &transfer->response;
}

/* True when the transfer had not begun: it then is off the queue. */
static bool withdraw(sf_http_transfer *transfer) {
  sf_http_client *client = transfer->client;
  pthread_mutex_lock(&client->mutex);
  bool was_queued = transfer->state == SF_HTTP_QUEUED;
  if (was_queued) {
    sf_http_transfer **link = &client->queue;
    while (*link != transfer)
      link = &(*link)->next;
    *link = transfer->next;
  } else {
    transfer->cancelled = true;
    client->has_cancelled = true;
  }
  pthread_mutex_unlock(&client->mutex);
  return was_queued;
}

void sf_http_transfer_free(sf_http_transfer *transfer) {
  if (transfer == NULL)
    return;
  if (!sf_http_transfer_is_done(transfer) && !withdraw(transfer)) {
    curl_multi_wakeup(transfer->client->multi);
    while (!sf_http_transfer_is_done(transfer))
      sf_waiter_wait(transfer->waiter, UINT64_MAX);
    /* Signals of others may have been among those: none must be missed. */
    sf_waiter_signal(transfer->waiter);
  }
  sf_http_transfer_release(transfer);
}

sf_code sf_http_perform(sf_http_client *client, const sf_http_request *request, const sf_cancellation *cancellation,
                        sf_http_transfer **performed, sf_error *error) {
  SF_TRY(sf_cancellation_check(cancellation, error));
  sf_waiter waiter;
  SF_TRY(sf_waiter_init(&waiter, cancellation, error));
  sf_http_transfer *transfer = NULL;
  sf_code code = sf_http_submit(client, request, &waiter, &transfer, error);
  if (code == SF_OK) {
    while (!sf_http_transfer_is_done(transfer) && !sf_cancellation_requested(cancellation))
      sf_waiter_wait_or_cancelled(&waiter, UINT64_MAX);
    if (!sf_http_transfer_is_done(transfer)) {
      sf_http_transfer_free(transfer);
      code = sf_fail(error, SF_CANCELLED_ERROR, "the operation was cancelled");
    }
  }
  if (code == SF_OK) {
    transfer->waiter = NULL; /* it is destroyed below; the transfer is done */
    *performed = transfer;
  }
  sf_waiter_destroy(&waiter);
  return code;
}

/* ------------------------------------------------------------------------------------------------------ The client */

static void release_client(sf_http_client *client) {
  if (client->share != NULL)
    curl_share_cleanup(client->share);
  pthread_mutex_destroy(&client->mutex);
  free(client->ca_path);
  free(client);
}

static sf_code set_ca_path(sf_http_client *client, const char *ca_path, sf_error *error) {
  struct stat status;
  if (ca_path == NULL)
    return SF_OK;
  if (stat(ca_path, &status) != 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "certificate authorities %s: no such file or directory", ca_path);
  client->ca_is_directory = S_ISDIR(status.st_mode);
  client->ca_path = sf_strdup(ca_path);
  return client->ca_path != NULL ? SF_OK : sf_fail_memory(error, "path of certificate authorities");
}

static sf_code start_client(sf_http_client *client, sf_error *error) {
  sf_http_start_curl();
  client->share = curl_share_init();
  if (client->share == NULL)
    return sf_fail_memory(error, "HTTP client");
  curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  return sf_http_thread_enter(client, error);
}

sf_code sf_http_client_create(const sf_http_client_options *options, sf_http_client **created, sf_error *error) {
  sf_http_client *client = sf_calloc(1, sizeof(*client));
  if (client == NULL)
    return sf_fail_memory(error, "HTTP client");
  pthread_mutex_init(&client->mutex, NULL);
  client->process = getpid();
  client->no_verify_ssl = options->no_verify_ssl;
  client->max_active = options->max_connections > 0 ? options->max_connections : 1;
  client->max_bulk = client->max_active > 1 ? client->max_active - 1 : 1;
  sf_code code = set_ca_path(client, options->ca_path, error);
  if (code == SF_OK)
    code = start_client(client, error);
  if (code != SF_OK) {
    release_client(client);
    return code;
  }
  *created = client;
  return SF_OK;
}

void sf_http_client_free(sf_http_client *client) {
  if (client == NULL)
    return;
  /* In the child of a fork there is no thread to join, and libcurl's state is the parent's, sockets included. */
  if (client->process != getpid())
    return;
  sf_http_thread_leave(client);
  release_client(client);
}
