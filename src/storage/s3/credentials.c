#include "storage/s3/credentials.h"

#include "base/assert.h"
#include "base/thread.h"
#include "base/time.h"
#include "storage/s3/options.h"

#include <string.h>

/* In the order of asking. */
static const sf_s3_provider *const providers[] = {
    &sf_s3_provider_given,        &sf_s3_provider_environment, &sf_s3_provider_profile,
    &sf_s3_provider_web_identity, &sf_s3_provider_container,   &sf_s3_provider_imds,
};
#define NUM_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

/* Nearer to their end than the first, credentials are renewed in the background; nearer than the second, requests wait
 * for new ones. Stores answer for some seconds by clocks of their own. */
#define RENEW_BEFORE_SECONDS 600
#define EXPIRED_BEFORE_SECONDS 30
/* A background renewal that failed is not tried again before. */
#define RENEW_AGAIN_SECONDS 30

#define MAX_CREDENTIAL_LENGTH ((size_t)64 << 10)

/* ------------------------------------------------------------------------------------------------------- Credentials */

static bool fits_a_header(const char *text) {
  size_t length = 0;
  for (; text[length] != '\0'; length++)
    if ((unsigned char)text[length] <= ' ' || (unsigned char)text[length] >= 0x7f)
      return false;
  return length > 0 && length <= MAX_CREDENTIAL_LENGTH;
}

sf_code sf_s3_credentials_create(const char *access_key_id, const char *secret_access_key, const char *session_token,
                                 int64_t expires_at, const char *what, sf_s3_credentials **created, sf_error *error) {
  if (session_token != NULL && session_token[0] == '\0')
    session_token = NULL;
  if (access_key_id == NULL || secret_access_key == NULL || !fits_a_header(access_key_id) ||
      !fits_a_header(secret_access_key) || (session_token != NULL && !fits_a_header(session_token)))
    return sf_fail(error, SF_ERROR, "%s: expected an access key id and a secret of visible ASCII characters", what);
  sf_s3_credentials *credentials = sf_calloc(1, sizeof(*credentials));
  if (credentials == NULL)
    return sf_fail_memory(error, "credentials");
  atomic_init(&credentials->references, 1);
  credentials->expires_at = expires_at;
  if (!sf_s3_copy_text(&credentials->access_key_id, access_key_id) ||
      !sf_s3_copy_text(&credentials->secret_access_key, secret_access_key) ||
      !sf_s3_copy_text(&credentials->session_token, session_token)) {
    sf_s3_credentials_release(credentials);
    return sf_fail_memory(error, "credentials");
  }
  *created = credentials;
  return SF_OK;
}

static void retain(sf_s3_credentials *credentials) {
  atomic_fetch_add_explicit(&credentials->references, 1, memory_order_relaxed);
}

void sf_s3_credentials_release(sf_s3_credentials *credentials) {
  if (credentials == NULL || atomic_fetch_sub_explicit(&credentials->references, 1, memory_order_acq_rel) > 1)
    return;
  free(credentials->access_key_id);
  sf_s3_free_secret(credentials->secret_access_key);
  sf_s3_free_secret(credentials->session_token);
  free(credentials);
}

static void redact(const char *secret, char *text) {
  size_t length = secret == NULL ? 0 : strlen(secret);
  if (length == 0)
    return;
  for (char *found = text; (found = strstr(found, secret)) != NULL; found += length)
    memset(found, '*', length);
}

void sf_s3_credentials_redact(const sf_s3_credentials *credentials, char *text) {
  if (credentials == NULL)
    return;
  /* Shorter ones than AWS's are words that a message may have for other reasons. */
  if (strlen(credentials->access_key_id) >= 16)
    redact(credentials->access_key_id, text);
  redact(credentials->secret_access_key, text);
  redact(credentials->session_token, text);
}

/* ------------------------------------------------------------------------------------------------------------ Source */

/* A thread that waits for another one's renewal. */
typedef struct pending {
  sf_waiter waiter; /* first: a pending is its waiter */
  struct pending *next;
} pending;

struct sf_s3_credential_source {
  const sf_s3_settings *settings;
  sf_http_client *http;
  const sf_log *log;
  sf_cancellation stopping; /* of a renewal in the background */
  pthread_mutex_t mutex;
  /* Under the mutex. */
  sf_s3_credentials *current;
  bool is_rejected;
  bool is_loading;
  bool said_no[NUM_PROVIDERS];
  pending *waiting;
  pthread_t renewer;
  bool has_renewer; /* to be joined */
  double renew_again_at;
};

static sf_code fail_nothing_found(sf_error *error) {
  return sf_fail(error, SF_ERROR,
                 "no S3 credentials: looked in the options, the environment, the shared config and credentials files, "
                 "web identity, container and instance metadata; ask for anonymous access if that is meant");
}

/* Asks the providers in turn. Only the thread that set is_loading is here. */
static sf_code load(sf_s3_credential_source *source, const sf_cancellation *cancellation,
                    sf_s3_credentials **credentials, sf_error *error) {
  const sf_s3_provider_context context = {
      .settings = source->settings, .http = source->http, .cancellation = cancellation};
  *credentials = NULL;
  for (size_t i = 0; i < NUM_PROVIDERS; i++) {
    if (source->said_no[i])
      continue;
    SF_TRY(providers[i]->load(&context, credentials, error));
    if (*credentials != NULL)
      return SF_OK;
    /* A provider that was interrupted has not said no. */
    SF_TRY(sf_cancellation_check(cancellation, error));
    /* A provider that answered before will answer again. */
    source->said_no[i] = providers[i]->remembers_no && source->current == NULL;
  }
  return fail_nothing_found(error);
}

static bool is_usable(const sf_s3_credential_source *source, double margin) {
  const sf_s3_credentials *current = source->current;
  if (current == NULL || source->is_rejected)
    return false;
  return current->expires_at == 0 || sf_wall_clock_seconds() < (double)current->expires_at - margin;
}

/* Takes over what was loaded, and wakes those who wait for it. */
static void finish_loading(sf_s3_credential_source *source, sf_s3_credentials *loaded) {
  pthread_mutex_lock(&source->mutex);
  if (loaded != NULL) {
    sf_s3_credentials_release(source->current);
    source->current = loaded;
    source->is_rejected = false;
  }
  source->is_loading = false;
  for (pending *waiting = source->waiting; waiting != NULL; waiting = waiting->next)
    sf_waiter_signal(&waiting->waiter);
  pthread_mutex_unlock(&source->mutex);
}

static void *renew(void *argument) {
  sf_s3_credential_source *source = argument;
  sf_s3_credentials *loaded = NULL;
  sf_error error;
  sf_code code = load(source, &source->stopping, &loaded, &error);
  if (code != SF_OK && code != SF_CANCELLED_ERROR)
    sf_log_message(source->log, SF_LOG_WARNING, "S3 credentials that expire soon could not be renewed: %s",
                   error.message);
  finish_loading(source, code == SF_OK ? loaded : NULL);
  return NULL;
}

/* The credentials are still usable: requests go on with them. */
static void renew_in_background_locked(sf_s3_credential_source *source) {
  SF_ASSERT_LOCKED(&source->mutex);
  double now = sf_wall_clock_seconds();
  if (source->is_loading || is_usable(source, RENEW_BEFORE_SECONDS) || now < source->renew_again_at)
    return;
  if (source->has_renewer)
    pthread_join(source->renewer, NULL); /* it has finished: no thread loads */
  source->renew_again_at = now + RENEW_AGAIN_SECONDS;
  source->is_loading = true;
  source->has_renewer = sf_thread_start(&source->renewer, renew, source) == 0;
  source->is_loading = source->has_renewer;
}

/* Releases the mutex while it waits. */
static sf_code wait_for_loading_locked(sf_s3_credential_source *source, const sf_cancellation *cancellation,
                                       sf_error *error) {
  SF_ASSERT_LOCKED(&source->mutex);
  pending self = {.next = source->waiting};
  SF_TRY(sf_waiter_init(&self.waiter, cancellation, error));
  source->waiting = &self;
  pthread_mutex_unlock(&source->mutex);
  sf_waiter_wait_or_cancelled(&self.waiter, UINT64_MAX);
  pthread_mutex_lock(&source->mutex);
  pending **link = &source->waiting;
  while (*link != &self)
    link = &(*link)->next;
  *link = self.next;
  sf_waiter_destroy(&self.waiter);
  return sf_cancellation_check(cancellation, error);
}

/* Releases the mutex while it loads. */
static sf_code load_now_locked(sf_s3_credential_source *source, const sf_cancellation *cancellation, sf_error *error) {
  SF_ASSERT_LOCKED(&source->mutex);
  source->is_loading = true;
  pthread_mutex_unlock(&source->mutex);
  sf_s3_credentials *loaded = NULL;
  sf_code code = load(source, cancellation, &loaded, error);
  finish_loading(source, code == SF_OK ? loaded : NULL);
  pthread_mutex_lock(&source->mutex);
  /* Until their very end the old ones serve when there are no new ones. */
  return code != SF_OK && code != SF_CANCELLED_ERROR && is_usable(source, 0) ? SF_OK : code;
}

sf_code sf_s3_credential_source_acquire(sf_s3_credential_source *source, const sf_cancellation *cancellation,
                                        sf_s3_credentials **credentials, sf_error *error) {
  *credentials = NULL;
  if (source->settings->anonymous)
    return SF_OK;
  sf_code code = SF_OK;
  pthread_mutex_lock(&source->mutex);
  while (code == SF_OK && !is_usable(source, EXPIRED_BEFORE_SECONDS) && source->is_loading)
    code = wait_for_loading_locked(source, cancellation, error);
  if (code == SF_OK && !is_usable(source, EXPIRED_BEFORE_SECONDS))
    code = load_now_locked(source, cancellation, error);
  if (code == SF_OK) {
    renew_in_background_locked(source);
    *credentials = source->current;
    retain(source->current);
  }
  pthread_mutex_unlock(&source->mutex);
  return code;
}

void sf_s3_credential_source_reject(sf_s3_credential_source *source, const sf_s3_credentials *credentials) {
  pthread_mutex_lock(&source->mutex);
  if (source->current == credentials)
    source->is_rejected = true;
  pthread_mutex_unlock(&source->mutex);
}

sf_code sf_s3_credential_source_create(const sf_s3_settings *settings, sf_http_client *http, const sf_log *log,
                                       sf_s3_credential_source **created, sf_error *error) {
  sf_s3_credential_source *source = sf_calloc(1, sizeof(*source));
  if (source == NULL)
    return sf_fail_memory(error, "S3 credentials");
  source->settings = settings;
  source->http = http;
  source->log = log;
  pthread_mutex_init(&source->mutex, NULL);
  *created = source;
  return SF_OK;
}

void sf_s3_credential_source_free(sf_s3_credential_source *source) {
  if (source == NULL)
    return;
  sf_cancellation_request(&source->stopping);
  if (source->has_renewer)
    pthread_join(source->renewer, NULL);
  sf_s3_credentials_release(source->current);
  pthread_mutex_destroy(&source->mutex);
  free(source);
}
