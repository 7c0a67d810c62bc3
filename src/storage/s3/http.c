#include "storage/s3/http.h"

#include "base/thread.h"
#include "base/time.h"
#include "shardyfusion.h"
#include "storage/s3/request_line.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER_BYTES ((size_t)64 << 10)
#define SMALL_RECEIVE_BUFFER (32L << 10)
#define BULK_RECEIVE_BUFFER (256L << 10)
/* Less than this within the stall timeout is a stall: a server that drips must not hold a transfer for hours. */
#define MIN_PROGRESS_BYTES 1024

typedef enum transfer_state { QUEUED, ACTIVE, DONE } transfer_state;

struct sf_http_transfer {
  sf_http_client *client;
  sf_waiter *waiter;
  sf_http_transfer *next; /* in the queue or among the active */
  transfer_state state;   /* under the client's mutex until it is done */
  bool cancelled;         /* under the client's mutex */
  bool done;              /* the waiter's flag */
  CURL *easy;
  struct curl_slist *headers;
  char curl_message[CURL_ERROR_SIZE];
  sf_http_response response;
  sf_http_sink *sink;
  size_t max_body;
  bool is_bulk;
  bool sink_begun;
  bool is_beginning;      /* the request line comes next */
  bool result_is_set;     /* `response.result` was set by a callback, and stands */
  uint64_t stall_timeout; /* nanoseconds */
  uint64_t watched_since; /* 0: the request is not sent yet, the connect timeout holds */
  uint64_t watched_bytes;
};

/* The one thread for all clients of a process. It touches a client with the registry's lock held only, so that one that was
 * taken off the list is its owner's. */
typedef struct http_thread {
  pthread_t thread;
  CURLM *multi;
  sf_http_client *clients; /* under the registry's lock, as are the two below */
  bool has_changed;        /* the list */
  bool stopping;
} http_thread;

/* All that is global. The lock is taken before a client's mutex and before a waiter's, and around a fork, whose child has
 * no thread. */
static struct {
  pthread_mutex_t mutex;
  http_thread *current; /* NULL: there are no clients */
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Lock order: a client's mutex is never held while a waiter's is taken. */
struct sf_http_client {
  pthread_mutex_t mutex;
  pid_t process; /* where the thread lives: a child of a fork has none */
  http_thread *thread;
  sf_http_client *next; /* of the thread's */
  CURLM *multi;         /* the thread's */
  CURLSH *share;        /* TLS sessions, for cheap new connections; only the thread touches it */
  char *ca_path;
  bool ca_is_directory;
  bool no_verify_ssl;
  uint32_t max_active;
  uint32_t max_bulk;
  /* Under the mutex. */
  sf_http_transfer *queue;
  bool has_cancelled;
  /* The thread's own. */
  sf_http_transfer *active;
  uint32_t num_active;
  uint32_t num_bulk;
};

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

static void end_with(sf_http_transfer *transfer, sf_http_result result, const char *message) {
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
    end_with(transfer, SF_HTTP_CONNECTION, "the response's headers are too long");
    return 0;
  }
  if (!append_header(&transfer->response.headers, line, length)) {
    end_with(transfer, SF_HTTP_NO_MEMORY, "out of memory");
    return 0;
  }
  return length;
}

/* --------------------------------------------------------------------------------------------------------- Bodies */

static void read_status(sf_http_transfer *transfer) {
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
  end_with(transfer, SF_HTTP_SINK, "the body was refused");
  return false;
}

static bool write_to_response(sf_http_transfer *transfer, const char *bytes, size_t length) {
  sf_buffer *body = &transfer->response.body;
  size_t room = transfer->max_body - body->length;
  if (length > room && is_success(transfer->response.status)) {
    end_with(transfer, SF_HTTP_TOO_LARGE, "the body is too large");
    return false;
  }
  if (!sf_buffer_append(body, bytes, length < room ? length : room)) {
    end_with(transfer, SF_HTTP_NO_MEMORY, "out of memory");
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
    read_status(transfer);
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
    end_with(transfer, SF_HTTP_NO_MEMORY, "out of memory");
  return 0;
}

/* ------------------------------------------------------------------------------------------------------ Submission */

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

static void release_transfer(sf_http_transfer *transfer) {
  if (transfer->easy != NULL)
    curl_easy_cleanup(transfer->easy);
  curl_slist_free_all(transfer->headers);
  sf_buffer_free(&transfer->response.headers);
  sf_buffer_free(&transfer->response.body);
  free(transfer);
}

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
  sf_http_transfer *transfer = sf_calloc(1, sizeof(*transfer));
  if (transfer == NULL)
    return sf_fail_memory(error, "HTTP transfer");
  transfer->client = client;
  transfer->waiter = waiter;
  transfer->sink = request->sink;
  transfer->max_body = request->max_body;
  transfer->is_bulk = request->is_bulk;
  transfer->stall_timeout = (uint64_t)request->stall_timeout_ms * 1000000;
  transfer->easy = curl_easy_init();
  if (transfer->easy == NULL || !set_request(transfer, request)) {
    release_transfer(transfer);
    return sf_fail_memory(error, "HTTP transfer");
  }
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
  bool was_queued = transfer->state == QUEUED;
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
  release_transfer(transfer);
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
    transfer->waiter = NULL; /* it goes away; the transfer is done */
    *performed = transfer;
  }
  sf_waiter_destroy(&waiter);
  return code;
}

/* ------------------------------------------------------------------------------------------------------ The thread */

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

static void unlink_active(sf_http_client *client, const sf_http_transfer *transfer) {
  sf_http_transfer **link = &client->active;
  while (*link != transfer)
    link = &(*link)->next;
  *link = transfer->next;
  client->num_active--;
  client->num_bulk -= transfer->is_bulk;
}

/* The transfer belongs to its submitter from here on. */
static void finish(sf_http_client *client, sf_http_transfer *transfer, sf_http_result result, const char *message) {
  if (transfer->response.status == 0)
    read_status(transfer);
  if (!transfer->result_is_set)
    end_with(transfer, result, message);
  curl_multi_remove_handle(client->multi, transfer->easy);
  curl_easy_cleanup(transfer->easy);
  transfer->easy = NULL;
  unlink_active(client, transfer);
  sf_waiter_set_flag(transfer->waiter, &transfer->done);
}

static bool may_start(const sf_http_client *client, const sf_http_transfer *transfer) {
  return !transfer->is_bulk || client->num_bulk < client->max_bulk;
}

/* Takes the first transfer off the queue that may start, or NULL. */
static sf_http_transfer *take_queued(sf_http_client *client) {
  if (client->num_active >= client->max_active)
    return NULL;
  pthread_mutex_lock(&client->mutex);
  sf_http_transfer **link = &client->queue;
  while (*link != NULL && !may_start(client, *link))
    link = &(*link)->next;
  sf_http_transfer *transfer = *link;
  if (transfer != NULL) {
    *link = transfer->next;
    transfer->state = ACTIVE;
  }
  pthread_mutex_unlock(&client->mutex);
  return transfer;
}

static void start_queued(sf_http_client *client) {
  for (sf_http_transfer *transfer; (transfer = take_queued(client)) != NULL;) {
    transfer->response.started_at = sf_monotonic_nanoseconds();
    transfer->next = client->active;
    client->active = transfer;
    client->num_active++;
    client->num_bulk += transfer->is_bulk;
    curl_easy_setopt(transfer->easy, CURLOPT_SHARE, client->share);
    CURLMcode added = curl_multi_add_handle(client->multi, transfer->easy);
    if (added != CURLM_OK)
      finish(client, transfer, SF_HTTP_NO_MEMORY, curl_multi_strerror(added));
  }
}

static void stop_cancelled(sf_http_client *client) {
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
      finish(client, transfer, SF_HTTP_CANCELLED, "cancelled");
  }
}

static void finish_completed(CURLM *multi) {
  int left;
  for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;) {
    if (message->msg != CURLMSG_DONE)
      continue;
    sf_http_transfer *transfer;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    const char *detail = transfer->curl_message;
    finish(transfer->client, transfer, result_of(code), detail[0] != '\0' ? detail : curl_easy_strerror(code));
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
static uint64_t finish_stalled(sf_http_client *client) {
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
        finish(client, transfer, SF_HTTP_TIMEOUT, "the server stopped sending");
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

/* From here to the next line of this kind: with the registry's lock held. ------------------------------------------- */

/* As many connections are kept as all clients may use, within reason. */
static void set_max_connections(http_thread *of) {
  const uint32_t most = 512;
  uint32_t wanted = 0;
  for (const sf_http_client *client = of->clients; client != NULL; client = client->next)
    wanted += client->max_active * 2 < most ? client->max_active * 2 : most;
  curl_multi_setopt(of->multi, CURLMOPT_MAXCONNECTS, (long)(wanted < most ? wanted : most));
  of->has_changed = false;
}

/* What clients asked for. False when the thread has to stop. */
static bool begin_turn(http_thread *of) {
  lock_registry();
  if (of->has_changed)
    set_max_connections(of);
  for (sf_http_client *client = of->clients; client != NULL; client = client->next) {
    stop_cancelled(client);
    start_queued(client);
  }
  bool goes_on = !of->stopping;
  unlock_registry();
  return goes_on;
}

/* What ended, and what may begin in its place. Returns when to look again. */
static uint64_t end_turn(http_thread *of) {
  uint64_t look_again = UINT64_MAX;
  lock_registry();
  finish_completed(of->multi);
  for (sf_http_client *client = of->clients; client != NULL; client = client->next) {
    uint64_t due = finish_stalled(client);
    look_again = due < look_again ? due : look_again;
    start_queued(client);
  }
  unlock_registry();
  return look_again;
}

static void *run(void *argument) {
  http_thread *self = argument;
  while (begin_turn(self)) {
    int running;
    curl_multi_perform(self->multi, &running);
    uint64_t look_again = end_turn(self);
    curl_multi_poll(self->multi, NULL, 0, poll_timeout_ms(look_again), NULL);
  }
  return NULL;
}

static void free_thread(http_thread *freed) {
  if (freed->multi != NULL)
    curl_multi_cleanup(freed->multi);
  free(freed);
}

/* The process's thread, started where there is none. */
static sf_code find_thread(http_thread **found, sf_error *error) {
  *found = registry.current;
  if (registry.current != NULL)
    return SF_OK;
  http_thread *started = sf_calloc(1, sizeof(*started));
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

static sf_code enter_thread(sf_http_client *client, sf_error *error) {
  http_thread *entered;
  SF_TRY(find_thread(&entered, error));
  client->thread = entered;
  client->multi = entered->multi;
  client->next = entered->clients;
  entered->clients = client;
  entered->has_changed = true;
  return SF_OK;
}

/* True when it was the thread's last client: then the thread stops. */
static bool leave_thread(sf_http_client *client) {
  http_thread *left = client->thread;
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

/* ------------------------------------------------------------------------------------------------------ The client */

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
  pthread_once(&curl_once, start_curl);
  client->share = curl_share_init();
  if (client->share == NULL)
    return sf_fail_memory(error, "HTTP client");
  curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  lock_registry();
  sf_code code = enter_thread(client, error);
  unlock_registry();
  return code;
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
  http_thread *left = client->thread;
  lock_registry();
  bool is_last = leave_thread(client);
  unlock_registry();
  if (is_last) {
    curl_multi_wakeup(left->multi);
    pthread_join(left->thread, NULL);
    free_thread(left);
  }
  release_client(client);
}
