#include "cli/download_progress.h"

#include "base/assert.h"
#include "base/memory.h"
#include "cli/json_text.h"

#include <string.h>
#include <xxhash.h>

#define MIB (1024.0 * 1024.0)

void sf_cli_download_progress_init(sf_cli_download_progress *progress) {
  *progress = (sf_cli_download_progress){0};
  sf_cli_progress_start(&progress->line);
  pthread_mutex_init(&progress->mutex, NULL);
}

/* The end of a name, which tells shards apart. */
static const char *name_end(const char *object) {
  size_t length = strlen(object);
  const char *end = length > 48 ? object + length - 48 : object;
  while (((unsigned char)*end & 0xC0) == 0x80)
    end++;
  return end;
}

static void print_line_locked(const sf_cli_download_progress *progress, const char *object, uint64_t done,
                              uint64_t total, double seconds) {
  const char *name = name_end(object);
  sf_buffer visible = {0};
  bool is_visible = sf_cli_append_visible(&visible, name, strlen(name));
  SF_ASSERT_LOCKED(&progress->mutex);
  sf_cli_progress_print("%s: %.1f of %.1f MiB, %.1f MiB/s", is_visible ? (const char *)visible.data : "",
                        (double)done / MIB, (double)total / MIB,
                        (double)(done - progress->done_at_start) / MIB / seconds);
  sf_buffer_free(&visible);
}

void sf_cli_show_download(const char *object, uint64_t bytes_done, uint64_t bytes_total, void *user_data) {
  sf_cli_download_progress *progress = user_data;
  uint64_t name = XXH3_64bits(object, strlen(object));
  double seconds;
  pthread_mutex_lock(&progress->mutex);
  if (progress->object != name) {
    progress->object = name;
    progress->done_at_start = bytes_done;
    sf_cli_progress_restart(&progress->line);
  }
  if (bytes_done == bytes_total)
    sf_cli_progress_clear(&progress->line);
  else if (sf_cli_progress_is_due(&progress->line, &seconds))
    print_line_locked(progress, object, bytes_done, bytes_total, seconds);
  pthread_mutex_unlock(&progress->mutex);
}
