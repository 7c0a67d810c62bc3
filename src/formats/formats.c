#include "formats/formats.h"

#include "base/memory.h"

#include <string.h>

#define POINTER_TO_FORMAT(format) &format,
const sf_shard_format *const sf_formats[SF_NUM_FORMATS] = {SF_FORMAT_TABLE(POINTER_TO_FORMAT)};

const sf_shard_format *sf_format_find(const char *name) {
  for (size_t i = 0; i < SF_NUM_FORMATS; i++)
    if (strcmp(sf_formats[i]->name, name) == 0)
      return sf_formats[i];
  return NULL;
}

sf_code sf_shard_resources_create(sf_shard_resources **created, sf_error *error) {
  sf_shard_resources *resources = sf_calloc(1, sizeof(*resources));
  if (resources == NULL)
    return sf_fail_memory(error, "resources of shards");
  sf_code code = sf_cache_users_create(&resources->cache_users, error);
  for (size_t i = 0; i < SF_NUM_FORMATS && code == SF_OK; i++)
    if (sf_formats[i]->create_resources != NULL)
      code = sf_formats[i]->create_resources(&resources->of_format[i], error);
  if (code == SF_OK)
    *created = resources;
  else
    sf_shard_resources_free(resources);
  return code;
}

void sf_shard_resources_free(sf_shard_resources *resources) {
  if (resources == NULL)
    return;
  for (size_t i = 0; i < SF_NUM_FORMATS; i++)
    if (resources->of_format[i] != NULL)
      sf_formats[i]->free_resources(resources->of_format[i]);
  sf_cache_users_free(resources->cache_users);
  free(resources);
}

void *sf_shard_resources_of(const sf_shard_resources *resources, const sf_shard_format *format) {
  for (size_t i = 0; i < SF_NUM_FORMATS; i++)
    if (sf_formats[i] == format)
      return resources->of_format[i];
  return NULL;
}

bool sf_shard_resources_shrink(const sf_shard_resources *resources) {
  bool shrank = false;
  for (size_t i = 0; i < SF_NUM_FORMATS; i++)
    if (resources->of_format[i] != NULL && sf_formats[i]->shrink_resources(resources->of_format[i]))
      shrank = true;
  return shrank;
}
