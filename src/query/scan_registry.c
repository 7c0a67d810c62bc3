#include "query/scan_registry.h"

#include "base/memory.h"

#include <pthread.h>

/* Positions that are compared: a shard that thousands of searches scan costs no more. */
#define MAX_LOOKED_AT 256

typedef struct position_list {
  sf_scan_position *first;
  sf_scan_position *last;
} position_list;

struct sf_scan_registry {
  pthread_mutex_t mutex; /* guards all below, and the positions; nothing else is locked while it is held */
  position_list shards[];
};

sf_code sf_scan_registry_create(uint32_t num_shards, sf_scan_registry **created, sf_error *error) {
  sf_scan_registry *registry = sf_calloc(1, sizeof(*registry) + num_shards * sizeof(position_list));
  if (registry == NULL || pthread_mutex_init(&registry->mutex, NULL) != 0) {
    free(registry);
    return sf_fail_memory(error, "shards");
  }
  *created = registry;
  return SF_OK;
}

void sf_scan_registry_free(sf_scan_registry *registry) {
  if (registry == NULL)
    return;
  pthread_mutex_destroy(&registry->mutex);
  free(registry);
}

static void append(position_list *list, sf_scan_position *position) {
  position->next = NULL;
  position->previous = list->last;
  *(list->last != NULL ? &list->last->next : &list->first) = position;
  list->last = position;
  position->is_registered = true;
}

void sf_scan_registry_put(sf_scan_registry *registry, uint32_t shard_id, sf_scan_position *position, size_t segment,
                          size_t row) {
  pthread_mutex_lock(&registry->mutex);
  position->segment = segment;
  position->row = row;
  if (!position->is_registered)
    append(&registry->shards[shard_id], position);
  pthread_mutex_unlock(&registry->mutex);
}

void sf_scan_registry_remove(sf_scan_registry *registry, uint32_t shard_id, sf_scan_position *position) {
  position_list *list = &registry->shards[shard_id];
  pthread_mutex_lock(&registry->mutex);
  if (position->is_registered) {
    *(position->previous != NULL ? &position->previous->next : &list->first) = position->next;
    *(position->next != NULL ? &position->next->previous : &list->last) = position->previous;
    position->is_registered = false;
  }
  pthread_mutex_unlock(&registry->mutex);
}

size_t sf_scan_registry_find(sf_scan_registry *registry, uint32_t shard_id, size_t segment, size_t row,
                             void (*keep)(sf_scan_position *position), sf_scan_position **found, size_t limit) {
  size_t count = 0;
  size_t looked_at = 0;
  pthread_mutex_lock(&registry->mutex);
  for (sf_scan_position *next = registry->shards[shard_id].first;
       next != NULL && count < limit && looked_at < MAX_LOOKED_AT; next = next->next, looked_at++) {
    if (next->segment != segment || next->row != row)
      continue;
    keep(next);
    found[count++] = next;
  }
  pthread_mutex_unlock(&registry->mutex);
  return count;
}
