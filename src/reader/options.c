#include "reader/options.h"

#include "async/executor.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/options.h"
#include "reader/manifest_source.h"
#include "snapshot/snapshot.h"
#include "storage/s3/options.h"

#include <string.h>
#include <xxhash.h>

void sf_reader_options_init(sf_reader_options *options) {
  *options = (sf_reader_options)SF_READER_OPTIONS_INIT;
}

sf_code sf_reader_options_read(const sf_reader_options *given, sf_reader_options *options, sf_error *error) {
  sf_reader_options_init(options);
  if (given == NULL)
    return SF_OK;
  return sf_options_read(given, SF_SIZE_WITH(sf_reader_options, log_user_data), options,
                         "reader options: expected them", error);
}

sf_code sf_reader_options_copy(const sf_reader_options *given, sf_reader_options *copy, sf_error *error) {
  sf_reader_options borrowed;
  SF_TRY(sf_reader_options_read(given, &borrowed, error));
  if (borrowed.manifest != NULL)
    SF_TRY(sf_manifest_source_check(borrowed.manifest, error));
  sf_s3_options *s3 = NULL;
  SF_TRY(sf_s3_options_copy(borrowed.s3, &s3, error));
  *copy = borrowed;
  copy->s3 = s3;
  copy->cache_dir = sf_strdup(borrowed.cache_dir);
  copy->shard_format = sf_strdup(borrowed.shard_format);
  copy->manifest = sf_manifest_source_copy(borrowed.manifest);
  if (copy->executor != NULL)
    sf_executor_retain(copy->executor);
  if ((borrowed.cache_dir == NULL || copy->cache_dir != NULL) &&
      (borrowed.shard_format == NULL || copy->shard_format != NULL) &&
      (borrowed.manifest == NULL || copy->manifest != NULL))
    return SF_OK;
  sf_reader_options_copy_free(copy);
  return sf_fail_memory(error, "reader options");
}

void sf_reader_options_copy_free(sf_reader_options *copy) {
  free((char *)(uintptr_t)copy->cache_dir);
  free((char *)(uintptr_t)copy->shard_format);
  free((void *)(uintptr_t)copy->manifest);
  sf_s3_options_free(copy->s3);
  sf_executor_release(copy->executor);
  *copy = (sf_reader_options){0};
}

sf_code sf_reader_options_open_storage(const sf_reader_options *options, const char *root, sf_storage **storage,
                                       sf_error *error) {
  const sf_storage_options storage_options = {.s3 = options->s3,
                                              .log = options->log,
                                              .log_user_data = options->log_user_data,
                                              .download = options->download,
                                              .download_user_data = options->download_user_data};
  return sf_storage_open(root, &storage_options, storage, error);
}

sf_code sf_reader_options_cache_dir(const sf_reader_options *options, const char *root, char **folder,
                                    sf_error *error) {
  const char *base = getenv("XDG_CACHE_HOME");
  const char *home = getenv("HOME");
  unsigned long long name = XXH3_64bits(root, strlen(root));
  if (options->cache_dir != NULL && options->cache_dir[0] != '\0')
    return sf_expand_home("cache_dir", options->cache_dir, folder, error);
  if (base != NULL && base[0] == '/')
    *folder = sf_format("%s/shardyfusion/%016llx", base, name);
  else if (home != NULL && home[0] == '/')
    *folder = sf_format("%s/.cache/shardyfusion/%016llx", home, name);
  else
    *folder = sf_strdup("");
  return *folder != NULL ? SF_OK : sf_fail_memory(error, "path of the cache");
}

uint32_t sf_reader_options_fallback_attempts(const sf_reader_options *options) {
  return options->max_fallback_attempts < 0 ? SF_DEFAULT_FALLBACK_ATTEMPTS : (uint32_t)options->max_fallback_attempts;
}
