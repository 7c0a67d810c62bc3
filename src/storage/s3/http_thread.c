/*
 * The thread that runs the transfers of all clients of a process, by libcurl's multi interface. A turn: start what is queued,
 * stop what was cancelled, let libcurl move bytes, finish what ended or stands still, sleep until something is due.
 *
 * A name that ends in _locked needs the registry's lock, which guards every client from being freed meanwhile.
 */
#include "base/assert.h"
#include "base/thread.h"
#include "base/time.h"
#include "storage/s3/http_internal.h"

/* Less than this within the stall timeout is a stall: a server that drips must not hold a transfer for hours. */
#define MIN_PROGRESS_BYTES 1024

/* All that is global. The lock is taken before a client's mutex and before a waiter's, and around a fork, whose child has
 * no thread. */
static struct {
  pthread_mutex_t mutex;
  sf_http_thread *current; /* NULL: there are no clients */
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static sf_http_result result_of(CURLcode code) {
  switch (code) {
  case CURLE_OK:
    return SF_HTTP_COMPLETE;
  case CURLE_OPERATION_TIMEDOUT:
    return SF_HTTP_TIMEOUT;
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_CERTPROBLEM:
    return SF_HTTP_CERTIFICATE;
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_URL_MALFORMAT:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_BAD_FUNCTION_ARGUMENT:
    return SF_HTTP_INVALID;
  case CURLE_OUT_OF_MEMORY:
    return SF_HTTP_NO_MEMORY;
  default:
    return SF_HTTP_CONNECTION;
  }
}

static void unlink_active_locked(sf_http_client *client, const sf_http_transfer *transfer) {
  SF_ASSERT_LOCKED(&registry.mutex);
  sf_http_transfer **link = &client->active;
  while (*link != transfer)
    link = &(*link)->next;
  *link = transfer->next;
  client->num_active--;
  client->num_bulk -= transfer->is_bulk;
}

/* The transfer belongs to its submitter from here on. */
static void finish_locked(sf_http_client *client, sf_http_transfer *transfer, sf_http_result result,
                          const char *message) {
  SF_ASSERT_LOCKED(&registry.mutex);
  if (transfer->response.status == 0)
    sf_http_read_status(transfer);
  if (!transfer->result_is_set)
    sf_http_end_with(transfer, result, message);
  curl_multi_remove_handle(client->multi, transfer->easy);
  curl_easy_cleanup(transfer->easy);
  transfer->easy = NULL;
  unlink_active_locked(client, transfer);
  sf_waiter_set_flag(transfer->waiter, &transfer->done);
}

static bool may_start(const sf_http_client *client, const sf_http_transfer *transfer) {
  return !transfer->is_bulk || client->num_bulk < client->max_bulk;
}

/* Takes the first transfer off the queue that may start, or NULL. */
static sf_http_transfer *take_queued_locked(sf_http_client *client) {
  SF_ASSERT_LOCKED(&registry.mutex);
  if (client->num_active >= client->max_active)
    return NULL;
  pthread_mutex_lock(&client->mutex);
  sf_http_transfer **link = &client->queue;
  while (*link != NULL && !may_start(client, *link))
    link = &(*link)->next;
  sf_http_transfer *transfer = *link;
  if (transfer != NULL) {
    *link = transfer->next;
    transfer->state = SF_HTTP_ACTIVE;
  }
  pthread_mutex_unlock(&client->mutex);
  return transfer;
}

static void start_queued_locked(sf_http_client *client) {
  SF_ASSERT_LOCKED(&registry.mutex);
  for (sf_http_transfer *transfer; (transfer = take_queued_locked(client)) != NULL;) {
    transfer->response.started_at = sf_monotonic_nanoseconds();
    transfer->next = client->active;
    client->active = transfer;
    client->num_active++;
    client->num_bulk += transfer->is_bulk;
    curl_easy_setopt(transfer->easy, CURLOPT_SHARE, client->share);
    CURLMcode added = curl_multi_add_handle(client->multi, transfer->easy);
    if (added != CURLM_OK)
      finish_locked(client, transfer, SF_HTTP_NO_MEMORY, curl_multi_strerror(added));
  }
}

static void stop_cancelled_locked(sf_http_client *client) {
  SF_ASSERT_LOCKED(&registry.mutex);
  pthread_mutex_lock(&client->mutex);
  bool has_cancelled = client->has_cancelled;
  client->has_cancelled = false;
  pthread_mutex_unlock(&client->mutex);
  sf_http_transfer *next;
  for (sf_http_transfer *transfer = has_cancelled ? client->active : NULL; transfer != NULL; transfer = next) {
    next = transfer->next;
    pthread_mutex_lock(&client->mutex);
    bool cancelled = transfer->cancelled;
    pthread_mutex_unlock(&client->mutex);
    if (cancelled)
      finish_locked(client, transfer, SF_HTTP_CANCELLED, "cancelled");
  }
}

static void finish_completed_locked(CURLM *multi) {
  SF_ASSERT_LOCKED(&registry.mutex);
  int left;
  for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;) {
    if (message->msg != CURLMSG_DONE)
      continue;
    sf_http_transfer *transfer;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    const char *detail = transfer->curl_message;
    finish_locked(transfer->client, transfer, result_of(code), detail[0] != '\0' ? detail : curl_easy_strerror(code));
  }
}

static uint64_t moved_bytes(const sf_http_transfer *transfer) {
  curl_off_t down = 0;
  curl_off_t up = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
  curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &up);
  return (uint64_t)down + (uint64_t)up;
}

/* Ends transfers that stand still. Returns when to look again. */
static uint64_t finish_stalled_locked(sf_http_client *client) {
  SF_ASSERT_LOCKED(&registry.mutex);
  uint64_t now = sf_monotonic_nanoseconds();
  uint64_t look_again = UINT64_MAX;
  sf_http_transfer *next;
  for (sf_http_transfer *transfer = client->active; transfer != NULL; transfer = next) {
    next = transfer->next;
    if (transfer->watched_since == 0 || transfer->stall_timeout == 0)
      continue;
    if (now - transfer->watched_since >= transfer->stall_timeout) {
      uint64_t moved = moved_bytes(transfer);
      if (moved - transfer->watched_bytes < MIN_PROGRESS_BYTES) {
        finish_locked(client, transfer, SF_HTTP_TIMEOUT, "the server stopped sending");
        continue;
      }
      transfer->watched_since = now;
      transfer->watched_bytes = moved;
    }
    uint64_t due = transfer->watched_since + transfer->stall_timeout;
    look_again = due < look_again ? due : look_again;
  }
  return look_again;
}

static int poll_timeout_ms(uint64_t look_again) {
  const uint64_t longest = 60000; /* nothing is due: libcurl has its own timers, and wake-ups come at once */
  uint64_t now = sf_monotonic_nanoseconds();
  uint64_t left = look_again <= now ? 0 : (look_again - now) / 1000000 + 1;
  return (int)(left < longest ? left : longest);
}

static void lock_registry(void) {
  pthread_mutex_lock(&registry.mutex);
}

static void unlock_registry(void) {
  pthread_mutex_unlock(&registry.mutex);
}

/* As many connections are kept as all clients may use, within reason. */
static void set_max_connections_locked(sf_http_thread *of) {
  SF_ASSERT_LOCKED(&registry.mutex);
  const uint32_t most = 512;
  uint32_t wanted = 0;
  for (const sf_http_client *client = of->clients; client != NULL; client = client->next)
    wanted += client->max_active * 2 < most ? client->max_active * 2 : most;
  curl_multi_setopt(of->multi, CURLMOPT_MAXCONNECTS, (long)(wanted < most ? wanted : most));
  of->has_changed = false;
}

/* What clients asked for. False when the thread has to stop. */
static bool begin_turn(sf_http_thread *of) {
  lock_registry();
  if (of->has_changed)
    set_max_connections_locked(of);
  for (sf_http_client *client = of->clients; client != NULL; client = client->next) {
    stop_cancelled_locked(client);
    start_queued_locked(client);
  }
  bool goes_on = !of->stopping;
  unlock_registry();
  return goes_on;
}

/* What ended, and what may begin in its place. Returns when to look again. */
static uint64_t end_turn(sf_http_thread *of) {
  uint64_t look_again = UINT64_MAX;
  lock_registry();
  finish_completed_locked(of->multi);
  for (sf_http_client *client = of->clients; client != NULL; client = client->next) {
    uint64_t due = finish_stalled_locked(client);
    look_again = due < look_again ? due : look_again;
    start_queued_locked(client);
  }
  unlock_registry();
  return look_again;
}

static void *run(void *argument) {
  sf_http_thread *self = argument;
  while (begin_turn(self)) {
    int running;
    curl_multi_perform(self->multi, &running);
    uint64_t look_again = end_turn(self);
    curl_multi_poll(self->multi, NULL, 0, poll_timeout_ms(look_again), NULL);
  }
  return NULL;
}

static void free_thread(sf_http_thread *freed) {
  if (freed->multi != NULL)
    curl_multi_cleanup(freed->multi);
  free(freed);
}

/* The process's thread, started where there is none. */
static sf_code find_thread_locked(sf_http_thread **found, sf_error *error) {
  SF_ASSERT_LOCKED(&registry.mutex);
  *found = registry.current;
  if (registry.current != NULL)
    return SF_OK;
  sf_http_thread *started = sf_calloc(1, sizeof(*started));
  if (started == NULL || (started->multi = curl_multi_init()) == NULL) {
    free(started);
    return sf_fail_memory(error, "HTTP client");
  }
  int failure = sf_thread_start(&started->thread, run, started);
  if (failure != 0) {
    free_thread(started);
    return sf_fail_thread(error, failure, "for the HTTP client");
  }
  registry.current = *found = started;
  return SF_OK;
}

static sf_code enter_thread_locked(sf_http_client *client, sf_error *error) {
  SF_ASSERT_LOCKED(&registry.mutex);
  sf_http_thread *entered;
  SF_TRY(find_thread_locked(&entered, error));
  client->thread = entered;
  client->multi = entered->multi;
  client->next = entered->clients;
  entered->clients = client;
  entered->has_changed = true;
  return SF_OK;
}

/* True when it was the thread's last client: then the thread stops. */
static bool leave_thread_locked(sf_http_client *client) {
  SF_ASSERT_LOCKED(&registry.mutex);
  sf_http_thread *left = client->thread;
  sf_http_client **link = &left->clients;
  while (*link != client)
    link = &(*link)->next;
  *link = client->next;
  left->has_changed = true;
  left->stopping = left->clients == NULL;
  if (left->stopping)
    registry.current = NULL;
  return left->stopping;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

/* The parent's thread is not here; what it worked on is left as it is. */
static void begin_child(void) {
  registry.current = NULL;
  unlock_registry();
}

/* Not safe against itself before libcurl 7.84, hence once. Never undone: other users of libcurl may be there. */
static void start_curl(void) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  pthread_atfork(lock_registry, unlock_registry, begin_child);
}

void sf_http_start_curl(void) {
  pthread_once(&curl_once, start_curl);
}

sf_code sf_http_thread_enter(sf_http_client *client, sf_error *error) {
  lock_registry();
  sf_code code = enter_thread_locked(client, error);
  unlock_registry();
  return code;
}

void sf_http_thread_leave(sf_http_client *client) {
  sf_http_thread *left = client->thread;
  lock_registry();
  bool is_last = leave_thread_locked(client);
  unlock_registry();
  if (!is_last)
    return;
  curl_multi_wakeup(left->multi);
  pthread_join(left->thread, NULL);
  free_thread(left);
}
