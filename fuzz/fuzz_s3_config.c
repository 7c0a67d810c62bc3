#include "storage/s3/ini.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_ini ini;
  if (!sf_ini_parse((const char *)data, size, &ini))
    return 0;
  for (size_t i = 0; i < ini.count && i < 100; i++) {
    const sf_ini_entry *entry = &ini.entries[i];
    if (sf_ini_get(&ini, entry->section, entry->name) == NULL || !sf_ini_has_section(&ini, entry->section))
      abort();
  }
  sf_ini_clear(&ini);
  return 0;
}
