#include "reader/filter_cache.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"

#include <string.h>

enum { MAX_FILTERS = 256, MAX_BYTES = 16 << 20 };

struct sf_filter_cache {
  pthread_mutex_t mutex; /* guards all below; held only to look through the list */
  size_t num_bytes;
  size_t count;
  sf_filter *filters[MAX_FILTERS]; /* the most recently used first */
};

sf_code sf_filter_cache_create(sf_filter_cache **created, sf_error *error) {
  sf_filter_cache *cache = sf_calloc(1, sizeof(*cache));
  if (cache == NULL || pthread_mutex_init(&cache->mutex, NULL) != 0) {
    free(cache);
    return sf_fail_memory(error, "filters");
  }
  *created = cache;
  return SF_OK;
}

void sf_filter_cache_free(sf_filter_cache *cache) {
  if (cache == NULL)
    return;
  for (size_t i = 0; i < cache->count; i++)
    sf_filter_release(cache->filters[i]);
  pthread_mutex_destroy(&cache->mutex);
  free(cache);
}

static void move_to_front_locked(sf_filter_cache *cache, size_t index) {
  SF_ASSERT_LOCKED(&cache->mutex);
  sf_filter *moved = cache->filters[index];
  memmove(cache->filters + 1, cache->filters, index * sizeof(sf_filter *));
  cache->filters[0] = moved;
}

/* With a reference for the caller; NULL: it isn't known. */
static sf_filter *find(sf_filter_cache *cache, const char *expression) {
  uint64_t hash = sf_filter_hash_of(expression);
  sf_filter *found = NULL;
  pthread_mutex_lock(&cache->mutex);
  for (size_t i = 0; i < cache->count && found == NULL; i++) {
    sf_filter *filter = cache->filters[i];
    if (sf_filter_hash(filter) != hash || strcmp(sf_filter_expression(filter), expression) != 0)
      continue;
    found = filter;
    sf_filter_retain(found);
    move_to_front_locked(cache, i);
  }
  pthread_mutex_unlock(&cache->mutex);
  return found;
}

/* Drops the least recently used ones until there is room for one more; a large one is kept alone. */
static void make_room_locked(sf_filter_cache *cache, size_t num_bytes) {
  SF_ASSERT_LOCKED(&cache->mutex);
  while (cache->count == MAX_FILTERS || (cache->count > 0 && cache->num_bytes + num_bytes > MAX_BYTES)) {
    sf_filter *dropped = cache->filters[--cache->count];
    cache->num_bytes -= sf_filter_num_bytes(dropped);
    sf_filter_release(dropped);
  }
}

/* Another thread may have added the same meanwhile: then there are two, of which the older one is dropped in time. */
static void add(sf_filter_cache *cache, sf_filter *filter) {
  size_t num_bytes = sf_filter_num_bytes(filter);
  pthread_mutex_lock(&cache->mutex);
  make_room_locked(cache, num_bytes);
  sf_filter_retain(filter);
  cache->filters[cache->count++] = filter;
  cache->num_bytes += num_bytes;
  move_to_front_locked(cache, cache->count - 1);
  pthread_mutex_unlock(&cache->mutex);
}

sf_code sf_filter_cache_get(sf_filter_cache *cache, const char *expression, sf_filter **filter, sf_error *error) {
  *filter = find(cache, expression);
  if (*filter != NULL)
    return SF_OK;
  SF_TRY(sf_filter_compile(expression, filter, error));
  add(cache, *filter);
  return SF_OK;
}
