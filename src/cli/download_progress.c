#include "cli/download_progress.h"

#include "base/memory.h"
#include "base/time.h"
#include "cli/json_text.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* More often than this nobody reads. */
#define SHOW_EVERY_NANOSECONDS ((uint64_t)100 * 1000000)
#define MIB (1024.0 * 1024.0)

void sf_cli_download_progress_init(sf_cli_download_progress *progress) {
  *progress = (sf_cli_download_progress){.shown_at = 0};
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

static void show(sf_cli_download_progress *progress, const char *object, uint64_t done, uint64_t total, uint64_t now) {
  double seconds = (double)(now - progress->started_at) / 1e9;
  double rate = seconds > 0 ? (double)(done - progress->done_at_start) / MIB / seconds : 0;
  const char *name = name_end(object);
  sf_buffer visible = {0};
  bool is_visible = sf_cli_append_visible(&visible, name, strlen(name));
  fprintf(stderr, "\r\x1b[K%s: %.1f of %.1f MiB, %.1f MiB/s", is_visible ? (const char *)visible.data : "",
          (double)done / MIB, (double)total / MIB, rate);
  sf_buffer_free(&visible);
  fflush(stderr);
}

void sf_cli_show_download(const char *object, uint64_t bytes_done, uint64_t bytes_total, void *user_data) {
  sf_cli_download_progress *progress = user_data;
  uint64_t now = sf_monotonic_nanoseconds();
  uint64_t name = XXH3_64bits(object, strlen(object));
  pthread_mutex_lock(&progress->mutex);
  if (progress->object != name) {
    progress->object = name;
    progress->started_at = now;
    progress->done_at_start = bytes_done;
  }
  if (bytes_done == bytes_total) {
    fputs("\r\x1b[K", stderr);
    fflush(stderr);
  } else if (now - progress->shown_at >= SHOW_EVERY_NANOSECONDS) {
    show(progress, object, bytes_done, bytes_total, now);
    progress->shown_at = now;
  }
  pthread_mutex_unlock(&progress->mutex);
}
