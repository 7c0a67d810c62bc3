#include "support/gated_storage.h"

#include <pthread.h>
#include <string.h>

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  char shut_part[64];
  bool is_shut;
  bool obeys_cancellation;
  char lost_part[64];
  bool loses;
  unsigned waiting;
  unsigned loads;
  unsigned under_way;
  unsigned most_at_once;
  unsigned cancelled;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void wake(sf_cancellation_hook *hook) {
  (void)hook;
  pthread_mutex_lock(&gate.mutex);
  pthread_cond_broadcast(&gate.changed);
  pthread_mutex_unlock(&gate.mutex);
}

static bool gives_up(const sf_cancellation *cancellation) {
  return gate.obeys_cancellation && sf_cancellation_requested(cancellation);
}

/* Passes the gate. */
static sf_code pass(const char *key, const sf_cancellation *cancellation, bool *is_lost, sf_error *error) {
  sf_cancellation_hook hook = {.wake = wake};
  sf_code code = SF_OK;
  sf_cancellation_add_hook(cancellation, &hook);
  pthread_mutex_lock(&gate.mutex);
  gate.waiting++;
  pthread_cond_broadcast(&gate.changed);
  while (gate.is_shut && strstr(key, gate.shut_part) != NULL && !gives_up(cancellation))
    pthread_cond_wait(&gate.changed, &gate.mutex);
  gate.waiting--;
  *is_lost = gate.loses && strstr(key, gate.lost_part) != NULL;
  if (gives_up(cancellation)) {
    gate.cancelled++;
    code = sf_cancellation_check(cancellation, error);
  }
  pthread_mutex_unlock(&gate.mutex);
  sf_cancellation_remove_hook(cancellation, &hook);
  return code;
}

static void count_load(int change) {
  pthread_mutex_lock(&gate.mutex);
  gate.under_way += (unsigned)change;
  if (change > 0)
    gate.loads++;
  if (gate.under_way > gate.most_at_once)
    gate.most_at_once = gate.under_way;
  pthread_cond_broadcast(&gate.changed);
  pthread_mutex_unlock(&gate.mutex);
}

static sf_code gated_local_file(sf_storage *storage, const char *key, const char *download_path,
                                const sf_cancellation *cancellation, bool *found, char **path, sf_error *error) {
  bool is_lost;
  count_load(1);
  sf_code code = pass(key, cancellation, &is_lost, error);
  *found = false;
  if (code == SF_OK && !is_lost)
    code = sf_file_storage.local_file(storage, key, download_path, cancellation, found, path, error);
  count_load(-1);
  return code;
}

static sf_code gated_get(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                         bool *found, sf_buffer *contents, sf_object_info *info, sf_error *error) {
  bool is_lost;
  SF_TRY(pass(key, cancellation, &is_lost, error));
  *found = false;
  return is_lost ? SF_OK : sf_file_storage.get(storage, key, max_bytes, cancellation, found, contents, info, error);
}

static sf_storage_vtable gated_vtable;

static void make_vtable(void) {
  gated_vtable = sf_file_storage;
  gated_vtable.get = gated_get;
  gated_vtable.local_file = gated_local_file;
}

void gate_install(sf_storage *storage) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_vtable);
  storage->vtable = &gated_vtable;
  pthread_mutex_lock(&gate.mutex);
  gate.is_shut = gate.loses = false;
  gate.obeys_cancellation = true;
  gate.waiting = gate.loads = gate.under_way = gate.most_at_once = gate.cancelled = 0;
  pthread_mutex_unlock(&gate.mutex);
}

static void set(bool *flag, bool value, char *to, const char *part) {
  pthread_mutex_lock(&gate.mutex);
  *flag = value;
  if (part != NULL) {
    strncpy(to, part, sizeof(gate.shut_part) - 1);
    to[sizeof(gate.shut_part) - 1] = '\0';
  }
  pthread_cond_broadcast(&gate.changed);
  pthread_mutex_unlock(&gate.mutex);
}

void gate_shut(const char *part) {
  set(&gate.is_shut, true, gate.shut_part, part);
}

void gate_open(void) {
  set(&gate.is_shut, false, NULL, NULL);
}

void gate_obey_cancellation(bool obeys) {
  set(&gate.obeys_cancellation, obeys, NULL, NULL);
}

void gate_lose(const char *part) {
  set(&gate.loses, part != NULL, gate.lost_part, part);
}

static void await(const unsigned *counter, unsigned count) {
  pthread_mutex_lock(&gate.mutex);
  while (*counter < count)
    pthread_cond_wait(&gate.changed, &gate.mutex);
  pthread_mutex_unlock(&gate.mutex);
}

void gate_await_waiting(unsigned count) {
  await(&gate.waiting, count);
}

void gate_await_loads(unsigned count) {
  await(&gate.loads, count);
}

static unsigned read_counter(const unsigned *counter) {
  pthread_mutex_lock(&gate.mutex);
  unsigned value = *counter;
  pthread_mutex_unlock(&gate.mutex);
  return value;
}

unsigned gate_loads(void) {
  return read_counter(&gate.loads);
}

unsigned gate_most_loads_at_once(void) {
  return read_counter(&gate.most_at_once);
}

unsigned gate_cancelled(void) {
  return read_counter(&gate.cancelled);
}
