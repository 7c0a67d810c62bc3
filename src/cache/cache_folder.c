#include "cache/cache_folder.h"

#include "base/files.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/memory.h"
#include "cache/cache_claims.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define IDENTITY_NAME "shard.identity.json"
#define IDENTITY_MAX_BYTES 65536

#define FOLDER_NONE                                                                                                    \
  { .folder = SF_FOLDER_NONE, .lock = -1 }

/* Names the cache, since its files' names mean nothing to a user. */
static sf_code explain(sf_code code, sf_error *error) {
  return code == SF_ERROR ? sf_error_prefix(error, "local cache") : code;
}

/* ------------------------------------------------------------------------------------------------------------ Opening */

static sf_code refuse(const sf_folder *folder, const char *reason, sf_error *error) {
  return sf_fail(
      error, SF_CONFIG_VALIDATION_ERROR,
      "local cache: %s belongs to user %lu and %s: expected a folder of user %lu's own (one below it would do)",
      folder->path, (unsigned long)folder->owner, reason, (unsigned long)geteuid());
}

/* A folder that another user could have made, or can write to, is not trusted. Its parent is opened by "..", since its
 * path may go through symbolic links. */
static sf_code check_owner(const sf_folder *folder, sf_error *error) {
  struct stat status;
  struct stat above;
  if (folder->owner == geteuid())
    return SF_OK;
  if (fstat(folder->descriptor, &status) != 0)
    return sf_fail_errno(error, "look at", folder->path, errno);
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return refuse(folder, "others may write to it", error);
  if (folder->owner != 0 && fstatat(folder->descriptor, "..", &above, 0) == 0 && (above.st_mode & S_IWOTH) != 0)
    return refuse(folder, "lies where anybody may make one", error);
  return SF_OK;
}

/* The owner of a symbolic link decides where the cache is, and so has to be trusted. */
static sf_code check_link(const sf_folder *root, sf_error *error) {
  struct stat status;
  if (!root->is_link || lstat(root->path, &status) != 0 || status.st_uid == geteuid() || status.st_uid == 0)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                 "local cache: %s is a symbolic link of user %lu's: expected one of user %lu's own, or a folder",
                 root->path, (unsigned long)status.st_uid, (unsigned long)geteuid());
}

sf_code sf_cache_root_open(const char *path, bool make, bool *found, sf_folder *root, sf_error *error) {
  sf_code code = sf_folder_open(path, true, found, root, error);
  if (code == SF_OK && !*found && make) {
    code = sf_folder_make(path, error);
    if (code == SF_OK)
      code = sf_folder_open(path, true, found, root, error);
  }
  if (code == SF_OK && *found)
    code = check_link(root, error);
  if (code == SF_OK && *found)
    code = check_owner(root, error);
  if (code != SF_OK)
    sf_folder_close(root);
  return explain(code, error);
}

sf_code sf_cache_check(const char *path, sf_error *error) {
  sf_folder root;
  bool found;
  char *root_path = sf_folder_of(path);
  if (root_path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_code code = sf_cache_root_open(root_path, false, &found, &root, error);
  sf_folder_close(&root);
  free(root_path);
  return code;
}

static sf_code open_in_root(const sf_folder *root, const char *name, bool make, bool *found, sf_cache_folder *folder,
                            sf_error *error) {
  SF_TRY(sf_folder_open_in(root, name, found, &folder->folder, error));
  if (!*found && make) {
    if (mkdirat(root->descriptor, name, 0755) != 0 && errno != EEXIST)
      return sf_fail_errno(error, "make the folder", folder->folder.path != NULL ? folder->folder.path : name, errno);
    SF_TRY(sf_folder_open_in(root, name, found, &folder->folder, error));
    if (!*found)
      return sf_fail(error, SF_ERROR, "%s in %s was removed as soon as it was there", name, root->path);
  }
  return *found ? check_owner(&folder->folder, error) : SF_OK;
}

sf_code sf_cache_folder_open(const char *path, bool make, bool *found, sf_cache_folder *folder, sf_error *error) {
  sf_folder root = SF_FOLDER_NONE;
  *folder = (sf_cache_folder)FOLDER_NONE;
  *found = false;
  char *root_path = sf_folder_of(path);
  const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
  if (root_path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_code code = sf_cache_root_open(root_path, make, found, &root, error);
  if (code == SF_OK && *found)
    code = explain(open_in_root(&root, name, make, found, folder, error), error);
  if (code != SF_OK)
    sf_folder_close(&folder->folder);
  sf_folder_close(&root);
  free(root_path);
  return code;
}

/* Unlocks before it closes: closing releases the lock only with the last copy of the descriptor, and a child that was
 * forked meanwhile has one. */
void sf_cache_folder_close(sf_cache_folder *folder) {
  if (folder->lock >= 0) {
    flock(folder->lock, LOCK_UN);
    close(folder->lock);
  }
  sf_folder_close(&folder->folder);
  folder->lock = -1;
}

/* ----------------------------------------------------------------------------------------------------------- Identity */

static bool member_is(const json_t *identity, const char *name, const char *expected) {
  const char *found = NULL;
  if (sf_json_string(identity, name, false, IDENTITY_NAME, SF_ERROR, &found, NULL) != SF_OK)
    return false;
  if (found == NULL || expected == NULL)
    return found == NULL && expected == NULL;
  return strcmp(found, expected) == 0;
}

sf_code sf_cache_folder_matches(const sf_cache_folder *folder, const char *db_url, const char *checkpoint_id,
                                bool *matches, sf_error *error) {
  char text[IDENTITY_MAX_BYTES];
  size_t length;
  bool found;
  *matches = false;
  sf_code code = sf_folder_get_text(&folder->folder, IDENTITY_NAME, text, sizeof(text), &length, &found, error);
  if (code != SF_OK || !found)
    return explain(code, error);
  sf_json identity = {0};
  code = sf_json_parse_object(text, length, SF_JSON_STRICT, IDENTITY_NAME, SF_ERROR, &identity, error);
  *matches = code == SF_OK && member_is(identity.root, "db_url", db_url) &&
             member_is(identity.root, "checkpoint_id", checkpoint_id);
  sf_json_free(&identity);
  return code == SF_OUT_OF_MEMORY_ERROR ? code : SF_OK; /* an identity that does not parse is another shard's */
}

static sf_code make_identity(const char *db_url, const char *checkpoint_id, sf_buffer *text, sf_error *error) {
  sf_json_writer writer;
  sf_json_writer_begin(&writer);
  sf_json_write_text(&writer, "db_url", db_url);
  sf_json_write_text(&writer, "checkpoint_id", checkpoint_id);
  return sf_json_writer_end(&writer, IDENTITY_NAME, text, error);
}

static sf_code write_identity(const sf_folder *folder, const char *db_url, const char *checkpoint_id, sf_error *error) {
  sf_buffer text = {0};
  sf_code code = make_identity(db_url, checkpoint_id, &text, error);
  if (code == SF_OK)
    code = sf_folder_put_text(folder, IDENTITY_NAME, (const char *)text.data, error);
  sf_buffer_free(&text);
  return code;
}

/* ----------------------------------------------------------------------------------------------------------- Removing */

/* Partial downloads are locked with flock. Without a descriptor to ask with, a file counts as locked. */
static bool is_in_use(const sf_folder *folder, const char *name) {
  int descriptor = openat(folder->descriptor, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0)
    return sf_errno_is_exhaustion(errno);
  bool locked = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(descriptor);
  return locked;
}

/* Removes a file of a shard that was here before, or an empty folder: nothing makes others. */
static bool remove_unused(const sf_folder *folder, const char *name, void *user_data) {
  int *const claims = user_data;
  if (strcmp(name, SF_CACHE_LOCK_NAME) == 0 || strcmp(name, SF_CACHE_USE_NAME) == 0)
    return true;
  if (is_in_use(folder, name) || !sf_cache_claim(*claims, name))
    return true;
  sf_folder_remove(folder, name);
  sf_cache_unclaim(*claims, name);
  return true;
}

static sf_code remove_contents(const sf_folder *folder, sf_error *error) {
  sf_folder root;
  bool found;
  int claims = -1;
  SF_TRY(sf_folder_open_in(folder, "..", &found, &root, error));
  sf_code code = found ? sf_cache_claims_open(&root, &claims, error) : SF_OK;
  if (code == SF_OK)
    code = sf_folder_list(folder, remove_unused, &claims, error);
  if (claims >= 0)
    close(claims);
  sf_folder_close(&root);
  return code;
}

void sf_cache_folder_remove(const sf_folder *root, const char *name) {
  sf_folder folder;
  bool found;
  if (sf_folder_open_in(root, name, &found, &folder, NULL) != SF_OK || !found)
    return;
  sf_folder_remove(&folder, IDENTITY_NAME);
  (void)remove_contents(&folder, NULL);
  sf_folder_remove(&folder, SF_CACHE_LOCK_NAME);
  sf_folder_remove(&folder, SF_CACHE_USE_NAME);
  sf_folder_close(&folder);
  (void)unlinkat(root->descriptor, name, AT_REMOVEDIR);
}

/* ------------------------------------------------------------------------------------------------------------ Locking */

static sf_code claim_folder(const sf_cache_folder *folder, const char *db_url, const char *checkpoint_id,
                            sf_error *error) {
  bool matches;
  SF_TRY(sf_cache_folder_matches(folder, db_url, checkpoint_id, &matches, error));
  if (matches)
    return SF_OK;
  SF_TRY(remove_contents(&folder->folder, error));
  return write_identity(&folder->folder, db_url, checkpoint_id, error);
}

sf_code sf_cache_folder_lock(sf_cache_folder *folder, const char *db_url, const char *checkpoint_id,
                             const sf_cancellation *cancellation, sf_error *error) {
  sf_code code = sf_folder_open_lock(&folder->folder, SF_CACHE_LOCK_NAME, &folder->lock, error);
  if (code == SF_OK && !sf_lock_file(folder->lock, LOCK_EX))
    code = sf_fail_errno(error, "lock " SF_CACHE_LOCK_NAME " in", folder->folder.path, errno);
  if (code == SF_OK)
    code = sf_cancellation_check(cancellation, error);
  if (code == SF_OK)
    code = claim_folder(folder, db_url, checkpoint_id, error);
  return explain(code, error);
}
