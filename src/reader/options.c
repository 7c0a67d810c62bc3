#include "reader/options.h"

#include "base/memory.h"
#include "reader/executor.h"
#include "reader/manifest_source.h"
#include "snapshot/snapshot.h"

#include <string.h>
#include <xxhash.h>

void sf_reader_options_init(sf_reader_options *options) {
  *options = (sf_reader_options)SF_READER_OPTIONS_INIT;
}

sf_code sf_reader_options_read(const sf_reader_options *given, sf_reader_options *options, sf_error *error) {
  const size_t first_size = offsetof(sf_reader_options, log_user_data) + sizeof(given->log_user_data);
  sf_reader_options_init(options);
  if (given == NULL)
    return SF_OK;
  if (given->size < first_size)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "reader options: expected them initialised, found size %zu",
                   given->size);
  memcpy(options, given, given->size < sizeof(*options) ? given->size : sizeof(*options));
  options->size = sizeof(*options);
  return SF_OK;
}

sf_code sf_reader_options_copy(const sf_reader_options *given, sf_reader_options *copy, sf_error *error) {
  SF_TRY(sf_reader_options_read(given, copy, error));
  sf_reader_options read = *copy;
  sf_code code = read.manifest == NULL ? SF_OK : sf_manifest_source_check(read.manifest, error);
  if (code != SF_OK) {
    *copy = (sf_reader_options){0}; /* nothing in it is its own */
    return code;
  }
  copy->cache_dir = sf_strdup(read.cache_dir);
  copy->shard_format = sf_strdup(read.shard_format);
  copy->manifest = sf_manifest_source_copy(read.manifest);
  if (copy->executor != NULL)
    sf_executor_retain(copy->executor);
  if ((read.cache_dir == NULL || copy->cache_dir != NULL) &&
      (read.shard_format == NULL || copy->shard_format != NULL) && (read.manifest == NULL || copy->manifest != NULL))
    return SF_OK;
  sf_reader_options_copy_free(copy);
  return sf_fail_memory(error, "reader options");
}

void sf_reader_options_copy_free(sf_reader_options *copy) {
  free((char *)(uintptr_t)copy->cache_dir);
  free((char *)(uintptr_t)copy->shard_format);
  free((void *)(uintptr_t)copy->manifest);
  sf_executor_release(copy->executor);
  *copy = (sf_reader_options){0};
}

sf_code sf_reader_options_cache_dir(const sf_reader_options *options, const char *root, char **folder,
                                    sf_error *error) {
  const char *base = getenv("XDG_CACHE_HOME");
  const char *home = getenv("HOME");
  unsigned long long name = XXH3_64bits(root, strlen(root));
  if (options->cache_dir != NULL && options->cache_dir[0] != '\0')
    *folder = sf_strdup(options->cache_dir);
  else if (base != NULL && base[0] == '/')
    *folder = sf_format("%s/shardyfusion/%016llx", base, name);
  else if (home != NULL && home[0] == '/')
    *folder = sf_format("%s/.cache/shardyfusion/%016llx", home, name);
  else
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "cache_dir: expected one, because neither XDG_CACHE_HOME nor HOME names a folder");
  return *folder != NULL ? SF_OK : sf_fail_memory(error, "path of the cache");
}

uint32_t sf_reader_options_fallback_attempts(const sf_reader_options *options) {
  return options->max_fallback_attempts < 0 ? SF_DEFAULT_FALLBACK_ATTEMPTS : (uint32_t)options->max_fallback_attempts;
}
