#include "shard/cache_limit.h"

#include "base/array.h"
#include "base/memory.h"
#include "shard/cache_use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What st_blocks counts (POSIX leaves it open; every system that this runs on agrees). */
#define BLOCK_BYTES 512

typedef struct cached_shard {
  char *path;
  uint64_t bytes;
  struct timespec last_used;
} cached_shard;

typedef struct cached_shards {
  cached_shard *shards;
  size_t count;
  size_t capacity;
  uint64_t bytes;
} cached_shards;

/* "shard_" and at least five digits. */
static bool is_shard_name(const char *name) {
  static const char prefix[] = "shard_";
  if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
    return false;
  size_t digits = strspn(name + sizeof(prefix) - 1, "0123456789");
  return digits >= 5 && name[sizeof(prefix) - 1 + digits] == '\0';
}

static uint64_t bytes_of_folder(const char *path) {
  uint64_t bytes = 0;
  DIR *folder = opendir(path);
  for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    struct stat status;
    if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode))
      bytes += (uint64_t)status.st_blocks * BLOCK_BYTES;
  }
  if (folder != NULL)
    closedir(folder);
  return bytes;
}

/* False when memory is out. */
static bool add_shard(cached_shards *cached, const char *local_root, const char *name) {
  if (!sf_array_make_room(&cached->shards, cached->count, &cached->capacity, sizeof(*cached->shards)))
    return false;
  cached_shard *shard = &cached->shards[cached->count];
  shard->path = sf_format("%s/%s", local_root, name);
  if (shard->path == NULL)
    return false;
  if (!sf_cache_last_used(shard->path, &shard->last_used)) {
    free(shard->path); /* it went meanwhile */
    return true;
  }
  shard->bytes = bytes_of_folder(shard->path);
  cached->bytes += shard->bytes;
  cached->count++;
  return true;
}

static sf_code survey(cached_shards *cached, const char *local_root, sf_error *error) {
  DIR *root = opendir(local_root);
  bool has_memory = true;
  for (struct dirent *entry; has_memory && root != NULL && (entry = readdir(root)) != NULL;)
    if (is_shard_name(entry->d_name))
      has_memory = add_shard(cached, local_root, entry->d_name);
  if (root != NULL)
    closedir(root);
  return has_memory ? SF_OK : sf_fail_memory(error, "survey of the cache");
}

static int compare_last_used(const void *left, const void *right) {
  const cached_shard *a = left;
  const cached_shard *b = right;
  if (a->last_used.tv_sec != b->last_used.tv_sec)
    return a->last_used.tv_sec < b->last_used.tv_sec ? -1 : 1;
  if (a->last_used.tv_nsec != b->last_used.tv_nsec)
    return a->last_used.tv_nsec < b->last_used.tv_nsec ? -1 : 1;
  return strcmp(a->path, b->path);
}

static void evict_oldest(cached_shards *cached, uint64_t max_bytes) {
  if (cached->count > 0)
    qsort(cached->shards, cached->count, sizeof(*cached->shards), compare_last_used);
  for (size_t i = 0; i < cached->count && cached->bytes > max_bytes; i++)
    if (sf_cache_evict(cached->shards[i].path))
      cached->bytes -= cached->shards[i].bytes;
}

/* -1 where there are no such locks: two that evict at once then evict too much. */
static int lock_root(const char *local_root) {
  int descriptor = open(local_root, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  while (descriptor >= 0 && flock(descriptor, LOCK_EX) != 0)
    if (errno != EINTR) {
      close(descriptor);
      return -1;
    }
  return descriptor;
}

sf_code sf_cache_limit_enforce(const char *local_root, uint64_t max_bytes, sf_error *error) {
  cached_shards cached = {0};
  int lock = lock_root(local_root);
  sf_code code = survey(&cached, local_root, error);
  if (code == SF_OK)
    evict_oldest(&cached, max_bytes);
  for (size_t i = 0; i < cached.count; i++)
    free(cached.shards[i].path);
  free(cached.shards);
  if (lock >= 0) {
    flock(lock, LOCK_UN);
    close(lock);
  }
  return code;
}
