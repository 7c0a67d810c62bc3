#include "cache/cached_file.h"

#include "base/assert.h"
#include "cache/cache_folder.h"
#include "cache/cache_limit.h"

sf_code sf_cached_file_map(const sf_cached_file *file, bool *usable, sf_error *error) {
  const sf_cache_place *place = &file->place;
  sf_cache_folder folder;
  bool found;
  bool matches;
  *usable = false;
  SF_TRY(sf_cache_folder_open(place->cache_dir, false, &found, &folder, error));
  if (!found)
    return SF_OK;
  sf_code code = sf_cache_folder_matches(&folder, place->db_url, place->checkpoint_id, &matches, error);
  if (code == SF_OK && matches)
    code = file->map(file->context, &folder.folder, usable, error);
  sf_cache_folder_close(&folder);
  return code;
}

static sf_code make_in_locked_folder(const sf_cached_file *file, const sf_cache_folder *folder,
                                     const sf_cancellation *cancellation, sf_error *error) {
  bool usable = false;
  SF_ASSERT(folder->lock >= 0);
  SF_TRY(file->map(file->context, &folder->folder, &usable, error));
  if (usable)
    return SF_OK;
  SF_TRY(file->make(file->context, &folder->folder, cancellation, error));
  SF_TRY(file->map(file->context, &folder->folder, &usable, error));
  return usable ? SF_OK
                : sf_fail(error, SF_ERROR, "local cache: %s/%s does not hold what was just written to it",
                          folder->folder.path, file->name);
}

sf_code sf_cached_file_make(const sf_cached_file *file, const sf_cancellation *cancellation, sf_error *error) {
  const sf_cache_place *place = &file->place;
  sf_cache_folder folder;
  bool found;
  if (file->num_bytes > 0)
    sf_cache_make_room(place->cache_dir, place->max_cache_bytes, file->num_bytes);
  SF_TRY(sf_cache_folder_open(place->cache_dir, true, &found, &folder, error));
  sf_code code = sf_cache_folder_lock(&folder, place->db_url, place->checkpoint_id, cancellation, error);
  if (code == SF_OK)
    code = make_in_locked_folder(file, &folder, cancellation, error);
  sf_cache_folder_close(&folder);
  return code;
}

sf_code sf_cached_file_open(const sf_cached_file *file, const sf_cancellation *cancellation, sf_error *error) {
  bool usable;
  SF_TRY(sf_cached_file_map(file, &usable, error));
  return usable ? SF_OK : sf_cached_file_make(file, cancellation, error);
}
