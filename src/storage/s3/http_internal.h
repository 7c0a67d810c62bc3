/* What http.c, http_transfer.c and http_thread.c share: clients, transfers, and the thread that runs them. */
#ifndef SF_STORAGE_S3_HTTP_INTERNAL_H
#define SF_STORAGE_S3_HTTP_INTERNAL_H

#include "storage/s3/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sys/types.h>

typedef enum sf_http_state { SF_HTTP_QUEUED, SF_HTTP_ACTIVE } sf_http_state;

struct sf_http_transfer {
  sf_http_client *client;
  sf_waiter *waiter;
  sf_http_transfer *next; /* in the queue or among the active */
  sf_http_state state;    /* under the client's mutex until it is done */
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
typedef struct sf_http_thread {
  pthread_t thread;
  CURLM *multi;
  sf_http_client *clients; /* under the registry's lock, as are the two below */
  bool has_changed;        /* the list */
  bool stopping;
} sf_http_thread;

/* Lock order: a client's mutex is never held while a waiter's is taken. */
struct sf_http_client {
  pthread_mutex_t mutex;
  pid_t process; /* where the thread lives: a child of a fork has none */
  sf_http_thread *thread;
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

/* A transfer with its libcurl handle set up for the request; NULL when memory is out. http_transfer.c */
sf_http_transfer *sf_http_transfer_create(sf_http_client *client, const sf_http_request *request, sf_waiter *waiter);
void sf_http_transfer_release(sf_http_transfer *transfer);
/* Sets how it ended, for good: what libcurl says later does not replace it. */
void sf_http_end_with(sf_http_transfer *transfer, sf_http_result result, const char *message);
/* What libcurl knows of the response, into it. */
void sf_http_read_status(sf_http_transfer *transfer);

/* libcurl's global state, made by the first call. Before any other use of it. http_thread.c */
void sf_http_start_curl(void);

/* Adds a client to the process's thread, which starts with the first one. http_thread.c */
sf_code sf_http_thread_enter(sf_http_client *client, sf_error *error);
/* Takes it off. The thread ends with the last one. */
void sf_http_thread_leave(sf_http_client *client);

#endif
