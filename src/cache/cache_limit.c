#include "cache/cache_limit.h"

#include "base/files.h"
#include "base/memory.h"
#include "cache/cache_claims.h"
#include "cache/cache_folder.h"
#include "cache/cache_use.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The unit of st_blocks (POSIX leaves it open; every system that this runs on agrees). */
#define BLOCK_BYTES 512

typedef struct cached_shard {
  char *name;
  uint64_t bytes;
  struct timespec last_used;
} cached_shard;

typedef struct cached_shards {
  cached_shard *shards;
  size_t count;
  size_t capacity;
  uint64_t bytes;
  bool has_memory;
} cached_shards;

/* "shard_" and at least five digits. */
static bool is_shard_name(const char *name) {
  static const char prefix[] = "shard_";
  if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
    return false;
  size_t digits = strspn(name + sizeof(prefix) - 1, "0123456789");
  return digits >= 5 && name[sizeof(prefix) - 1 + digits] == '\0';
}

static bool add_bytes(const sf_folder *folder, const char *name, void *user_data) {
  uint64_t *bytes = user_data;
  struct stat status;
  if (fstatat(folder->descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode))
    *bytes += (uint64_t)status.st_blocks * BLOCK_BYTES;
  return true;
}

static uint64_t bytes_of_folder(const sf_folder *root, const char *name) {
  uint64_t bytes = 0;
  sf_folder folder;
  bool found;
  if (sf_folder_open_in(root, name, &found, &folder, NULL) != SF_OK || !found)
    return 0;
  (void)sf_folder_list(&folder, add_bytes, &bytes, NULL);
  sf_folder_close(&folder);
  return bytes;
}

static bool add_shard(const sf_folder *root, const char *name, void *user_data) {
  cached_shards *cached = user_data;
  struct timespec last_used;
  if (!is_shard_name(name) || !sf_cache_last_used(root, name, &last_used)) /* it went meanwhile */
    return true;
  char *copy = sf_strdup(name);
  if (copy == NULL || !sf_array_make_room(&cached->shards, cached->count, &cached->capacity, sizeof(*cached->shards))) {
    free(copy);
    cached->has_memory = false;
    return false;
  }
  cached_shard *shard = &cached->shards[cached->count++];
  *shard = (cached_shard){.name = copy, .bytes = bytes_of_folder(root, name), .last_used = last_used};
  cached->bytes += shard->bytes;
  return true;
}

static int compare_last_used(const void *left, const void *right) {
  const cached_shard *a = left;
  const cached_shard *b = right;
  if (a->last_used.tv_sec != b->last_used.tv_sec)
    return a->last_used.tv_sec < b->last_used.tv_sec ? -1 : 1;
  if (a->last_used.tv_nsec != b->last_used.tv_nsec)
    return a->last_used.tv_nsec < b->last_used.tv_nsec ? -1 : 1;
  return strcmp(a->name, b->name);
}

static sf_code evict_oldest(const sf_folder *root, cached_shards *cached, uint64_t max_bytes, sf_error *error) {
  int claims;
  if (cached->bytes <= max_bytes)
    return SF_OK;
  SF_TRY(sf_cache_claims_open(root, &claims, error));
  qsort(cached->shards, cached->count, sizeof(*cached->shards), compare_last_used);
  for (size_t i = 0; i < cached->count && cached->bytes > max_bytes; i++)
    if (sf_cache_evict(root, claims, cached->shards[i].name))
      cached->bytes -= cached->shards[i].bytes;
  if (claims >= 0)
    close(claims);
  return SF_OK;
}

static sf_code shrink(const sf_folder *root, uint64_t max_bytes, sf_error *error) {
  cached_shards cached = {.has_memory = true};
  sf_code code = sf_folder_list(root, add_shard, &cached, error);
  if (code == SF_OK && !cached.has_memory)
    code = sf_fail_memory(error, "survey of the cache");
  if (code == SF_OK)
    code = evict_oldest(root, &cached, max_bytes, error);
  for (size_t i = 0; i < cached.count; i++)
    free(cached.shards[i].name);
  free(cached.shards);
  return code;
}

sf_code sf_cache_limit_enforce(const char *local_root, uint64_t max_bytes, sf_error *error) {
  sf_folder root;
  bool found;
  SF_TRY(sf_cache_root_open(local_root, false, &found, &root, error));
  if (!found)
    return SF_OK;
  /* Where there are no such locks, two that evict at once evict too much. */
  bool locked = sf_lock_file(root.descriptor, LOCK_EX);
  sf_code code = shrink(&root, max_bytes, error);
  if (locked)
    flock(root.descriptor, LOCK_UN); /* by name: a child that was forked meanwhile has a copy of the descriptor */
  sf_folder_close(&root);
  return code;
}

void sf_cache_make_room(const char *cache_dir, uint64_t max_bytes, uint64_t bytes) {
  char *root = max_bytes == 0 ? NULL : sf_folder_of(cache_dir);
  if (root != NULL)
    (void)sf_cache_limit_enforce(root, max_bytes > bytes ? max_bytes - bytes : 0, NULL);
  free(root);
}
