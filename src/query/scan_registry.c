#include "query/scan_registry.h"

#include "base/memory.h"

#include <pthread.h>

/* Places that are looked at for company: a shard that thousands wait for costs no more. */
#define MAX_LOOKED_AT 256

typedef struct place_list {
  sf_scan_position *first;
  sf_scan_position *last;
} place_list;

struct sf_scan_registry {
  pthread_mutex_t mutex; /* guards all below, and the places; nothing else is locked while it is held */
  place_list shards[];
};

sf_code sf_scan_registry_create(uint32_t num_shards, sf_scan_registry **created, sf_error *error) {
  sf_scan_registry *board = sf_calloc(1, sizeof(*board) + num_shards * sizeof(place_list));
  if (board == NULL || pthread_mutex_init(&board->mutex, NULL) != 0) {
    free(board);
    return sf_fail_memory(error, "shards");
  }
  *created = board;
  return SF_OK;
}

void sf_scan_registry_free(sf_scan_registry *board) {
  if (board == NULL)
    return;
  pthread_mutex_destroy(&board->mutex);
  free(board);
}

/* With the mutex held. */
static void append(place_list *list, sf_scan_position *place) {
  place->next = NULL;
  place->previous = list->last;
  *(list->last != NULL ? &list->last->next : &list->first) = place;
  list->last = place;
  place->is_registered = true;
}

void sf_scan_registry_put(sf_scan_registry *board, uint32_t shard_id, sf_scan_position *place, size_t segment,
                          size_t row) {
  pthread_mutex_lock(&board->mutex);
  place->segment = segment;
  place->row = row;
  if (!place->is_registered)
    append(&board->shards[shard_id], place);
  pthread_mutex_unlock(&board->mutex);
}

void sf_scan_registry_remove(sf_scan_registry *board, uint32_t shard_id, sf_scan_position *place) {
  place_list *list = &board->shards[shard_id];
  pthread_mutex_lock(&board->mutex);
  if (place->is_registered) {
    *(place->previous != NULL ? &place->previous->next : &list->first) = place->next;
    *(place->next != NULL ? &place->next->previous : &list->last) = place->previous;
    place->is_registered = false;
  }
  pthread_mutex_unlock(&board->mutex);
}

size_t sf_scan_registry_find(sf_scan_registry *board, uint32_t shard_id, size_t segment, size_t row,
                             void (*keep)(sf_scan_position *place), sf_scan_position **found, size_t limit) {
  size_t count = 0;
  size_t looked_at = 0;
  pthread_mutex_lock(&board->mutex);
  for (sf_scan_position *next = board->shards[shard_id].first;
       next != NULL && count < limit && looked_at < MAX_LOOKED_AT; next = next->next, looked_at++) {
    if (next->segment != segment || next->row != row)
      continue;
    keep(next);
    found[count++] = next;
  }
  pthread_mutex_unlock(&board->mutex);
  return count;
}
