#include "cache/cache_use.h"

#include "base/assert.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/thread.h"
#include "cache/cache_claims.h"
#include "cache/cache_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* -------------------------------------------------------------------------------------------------------------- Users */

typedef struct held_byte {
  uint64_t byte;
  size_t count;
} held_byte;

/* The bytes that are held below one root. */
typedef struct root_locks {
  struct root_locks *next;
  char *path;
  int descriptor; /* of cache.lock; -1: none */
  dev_t device;   /* of that file */
  ino_t inode;
  held_byte *held; /* ascending */
  size_t num_held;
  size_t capacity;
} root_locks;

struct sf_cache_users {
  pthread_mutex_t mutex; /* guards the list and all in it */
  root_locks *roots;
};

sf_code sf_cache_users_create(sf_cache_users **created, sf_error *error) {
  sf_cache_users *users = sf_calloc(1, sizeof(*users));
  if (users == NULL || pthread_mutex_init(&users->mutex, NULL) != 0) {
    free(users);
    return sf_fail_memory(error, "uses of the cache");
  }
  *created = users;
  return SF_OK;
}

void sf_cache_users_free(sf_cache_users *users) {
  if (users == NULL)
    return;
  while (users->roots != NULL) {
    root_locks *locks = users->roots;
    users->roots = locks->next;
    if (locks->descriptor >= 0)
      close(locks->descriptor);
    free(locks->held);
    free(locks->path);
    free(locks);
  }
  pthread_mutex_destroy(&users->mutex);
  free(users);
}

static root_locks *find_root_locked(const sf_cache_users *users, const char *path) {
  SF_ASSERT_LOCKED(&users->mutex);
  root_locks *locks = users->roots;
  while (locks != NULL && strcmp(locks->path, path) != 0)
    locks = locks->next;
  return locks;
}

/* NULL when memory is out. */
static root_locks *find_or_add_root_locked(sf_cache_users *users, const char *path) {
  SF_ASSERT_LOCKED(&users->mutex);
  root_locks *locks = find_root_locked(users, path);
  if (locks != NULL)
    return locks;
  locks = sf_calloc(1, sizeof(*locks));
  if (locks == NULL || (locks->path = sf_strdup(path)) == NULL) {
    free(locks);
    return NULL;
  }
  locks->descriptor = -1;
  locks->next = users->roots;
  users->roots = locks;
  return locks;
}

static bool is_still_there(const root_locks *locks, const sf_folder *root) {
  struct stat found;
  return locks->descriptor >= 0 && fstatat(root->descriptor, SF_CACHE_CLAIMS_NAME, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
         locks->inode == found.st_ino && locks->device == found.st_dev;
}

/* If the file was removed, makes it again, and takes the locks again. */
static sf_code renew_locked(const sf_cache_users *users, root_locks *locks, const sf_folder *root, sf_error *error) {
  int descriptor;
  struct stat status;
  SF_ASSERT_LOCKED(&users->mutex);
  if (is_still_there(locks, root))
    return SF_OK;
  SF_TRY(sf_cache_claims_open(root, &descriptor, error));
  for (size_t i = 0; i < locks->num_held && descriptor >= 0; i++)
    (void)sf_cache_claims_lock(descriptor, locks->held[i].byte, F_RDLCK, true);
  if (locks->descriptor >= 0)
    close(locks->descriptor);
  locks->descriptor = descriptor;
  locks->inode = descriptor >= 0 && fstat(descriptor, &status) == 0 ? status.st_ino : 0;
  locks->device = locks->inode != 0 ? status.st_dev : 0;
  return SF_OK;
}

/* The index of the byte among those that are held, or where it would be inserted. */
static size_t find_held(const root_locks *locks, uint64_t byte) {
  size_t low = 0;
  size_t high = locks->num_held;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (locks->held[middle].byte < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* *held says whether the byte is locked now. */
static sf_code hold_locked(const sf_cache_users *users, root_locks *locks, uint64_t byte, bool *held, sf_error *error) {
  SF_ASSERT_LOCKED(&users->mutex);
  size_t at = find_held(locks, byte);
  if (at < locks->num_held && locks->held[at].byte == byte) {
    locks->held[at].count++;
    *held = true;
    return SF_OK;
  }
  if (!sf_array_make_room(&locks->held, locks->num_held, &locks->capacity, sizeof(*locks->held)))
    return sf_fail_memory(error, "uses of the cache");
  *held = locks->descriptor >= 0 && sf_cache_claims_lock(locks->descriptor, byte, F_RDLCK, true) == 0;
  if (!*held)
    return SF_OK;
  memmove(&locks->held[at + 1], &locks->held[at], (locks->num_held - at) * sizeof(*locks->held));
  locks->held[at] = (held_byte){.byte = byte, .count = 1};
  locks->num_held++;
  return SF_OK;
}

static void release_locked(const sf_cache_users *users, root_locks *locks, uint64_t byte) {
  SF_ASSERT_LOCKED(&users->mutex);
  SF_ASSERT(locks != NULL);
  size_t at = find_held(locks, byte);
  SF_ASSERT(at < locks->num_held && locks->held[at].byte == byte);
  if (--locks->held[at].count > 0)
    return;
  (void)sf_cache_claims_lock(locks->descriptor, byte, F_UNLCK, false);
  locks->num_held--;
  memmove(&locks->held[at], &locks->held[at + 1], (locks->num_held - at) * sizeof(*locks->held));
}

static sf_code hold_in_root(sf_cache_users *users, const sf_folder *root, const char *name, bool *held,
                            sf_error *error) {
  pthread_mutex_lock(&users->mutex);
  root_locks *locks = find_or_add_root_locked(users, root->path);
  sf_code code = locks == NULL ? sf_fail_memory(error, "uses of the cache") : renew_locked(users, locks, root, error);
  if (code == SF_OK)
    code = hold_locked(users, locks, sf_cache_claims_byte(name), held, error);
  pthread_mutex_unlock(&users->mutex);
  return code;
}

/* --------------------------------------------------------------------------------------------------------------- Uses */

/* Sets the time of `shard.use`; with `make`, makes the folder and the file where they are missing. Failures are
 * ignored: the time only orders what is evicted. */
static void note_use(const sf_folder *root, const char *name, bool make) {
  sf_folder folder;
  bool found;
  int descriptor = -1;
  sf_code code = sf_folder_open_in(root, name, &found, &folder, NULL);
  if (code == SF_OK && !found && make && mkdirat(root->descriptor, name, 0755) == 0)
    code = sf_folder_open_in(root, name, &found, &folder, NULL);
  if (code != SF_OK || !found)
    return;
  if (utimensat(folder.descriptor, SF_CACHE_USE_NAME, NULL, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT && make &&
      sf_folder_open_lock(&folder, SF_CACHE_USE_NAME, &descriptor, NULL) == SF_OK)
    close(descriptor);
  sf_folder_close(&folder);
}

/* Opens the root of a folder. Where it can't be made *found is false, and the code that needs it reports why. */
static sf_code open_root(const char *folder_path, bool *found, sf_folder *root, sf_error *error) {
  char *path = sf_folder_of(folder_path);
  if (path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_code code = sf_cache_root_open(path, false, found, root, error);
  if (code == SF_OK && !*found && sf_folder_make(path, NULL) == SF_OK)
    code = sf_cache_root_open(path, false, found, root, error);
  free(path);
  return code;
}

static sf_code begin(sf_cache_users *users, const char *folder_path, const char *name, bool is_folder,
                     sf_cache_use *use, sf_error *error) {
  sf_folder root;
  bool found;
  bool held = false;
  SF_TRY(open_root(folder_path, &found, &root, error));
  if (!found)
    return SF_OK;
  char *path = sf_format("%s/%s", root.path, name);
  sf_code code =
      path == NULL ? sf_fail_memory(error, "path of the cache") : hold_in_root(users, &root, name, &held, error);
  if (code == SF_OK && is_folder)
    note_use(&root, name, true);
  if (held)
    *use = (sf_cache_use){.users = users, .path = path, .is_folder = is_folder};
  else
    free(path);
  sf_folder_close(&root);
  return code;
}

sf_code sf_cache_use_folder(sf_cache_users *users, const char *path, sf_cache_use *use, sf_error *error) {
  return begin(users, path, strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1, true, use, error);
}

sf_code sf_cache_use_file(sf_cache_users *users, const char *folder_path, const char *name, sf_cache_use *use,
                          sf_error *error) {
  return begin(users, folder_path, name, false, use, error);
}

void sf_cache_use_end(sf_cache_use *use) {
  sf_folder root;
  bool found = false;
  if (use->users == NULL)
    return;
  char *name = strrchr(use->path, '/');
  *name++ = '\0'; /* the root's path and the name in it */
  if (use->is_folder && sf_folder_open(use->path, true, &found, &root, NULL) == SF_OK && found) {
    note_use(&root, name, false);
    sf_folder_close(&root);
  }
  pthread_mutex_lock(&use->users->mutex);
  release_locked(use->users, find_root_locked(use->users, use->path), sf_cache_claims_byte(name));
  pthread_mutex_unlock(&use->users->mutex);
  free(use->path);
  *use = (sf_cache_use){0};
}

bool sf_cache_last_used(const sf_folder *root, const char *name, struct timespec *when) {
  sf_folder folder;
  struct stat status;
  bool found;
  if (sf_folder_open_in(root, name, &found, &folder, NULL) != SF_OK || !found)
    return false;
  /* Without shard.use (its process was killed at once), the time when the folder was made. */
  found = fstatat(folder.descriptor, SF_CACHE_USE_NAME, &status, AT_SYMLINK_NOFOLLOW) == 0 ||
          fstat(folder.descriptor, &status) == 0;
  sf_folder_close(&folder);
#if defined(__APPLE__)
  *when = status.st_mtimespec;
#else
  *when = status.st_mtim;
#endif
  return found;
}

/* ----------------------------------------------------------------------------------------------------------- Removing */

/* A file of the folder, locked for this process alone; -1 when another one has it. Earlier versions of the library hold
 * shard.use while they use a folder. */
static int lock_alone(const sf_folder *folder, const char *name) {
  int descriptor;
  if (sf_folder_open_lock(folder, name, &descriptor, NULL) != SF_OK)
    return -1;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    return descriptor;
  close(descriptor);
  return -1;
}

static void unlock(int descriptor) {
  if (descriptor < 0)
    return;
  flock(descriptor, LOCK_UN);
  close(descriptor);
}

static bool remove_alone(const sf_folder *root, const char *name) {
  sf_folder folder;
  bool found;
  if (sf_folder_open_in(root, name, &found, &folder, NULL) != SF_OK || !found)
    return false;
  int use = lock_alone(&folder, SF_CACHE_USE_NAME);
  int lock = use < 0 ? -1 : lock_alone(&folder, SF_CACHE_LOCK_NAME);
  bool removed = lock >= 0;
  if (removed)
    sf_cache_folder_remove(root, name);
  unlock(lock);
  unlock(use);
  sf_folder_close(&folder);
  return removed;
}

bool sf_cache_evict(const sf_folder *root, int claims, const char *name) {
  if (!sf_cache_claim(claims, name))
    return false;
  bool removed = remove_alone(root, name);
  sf_cache_unclaim(claims, name);
  return removed;
}
