#include "formats/lance/fetch_ranges.h"

#include "base/files.h"
#include "base/thread.h"

#define PIECE_LENGTH ((uint64_t)2 << 20)
#define MAX_THREADS 8

typedef struct fetch {
  const sf_lance_object *object;
  const sf_lance_range *ranges;
  size_t num_ranges;
  int descriptor;
  const char *path;
  const sf_cancellation *cancellation;
  pthread_mutex_t mutex; /* guards the fields after it */
  size_t range;          /* the next piece begins here */
  uint64_t offset_in_range;
  sf_code code; /* of the first failure */
  sf_error error;
} fetch;

/* The next piece to fetch; false when there is none, or one has failed. */
static bool take_piece(fetch *work, sf_lance_range *piece) {
  pthread_mutex_lock(&work->mutex);
  while (work->range < work->num_ranges && work->offset_in_range == work->ranges[work->range].length) {
    work->range++;
    work->offset_in_range = 0;
  }
  bool found = work->code == SF_OK && work->range < work->num_ranges;
  if (found) {
    sf_lance_range range = work->ranges[work->range];
    uint64_t left = range.length - work->offset_in_range;
    *piece = (sf_lance_range){range.offset + work->offset_in_range, left < PIECE_LENGTH ? left : PIECE_LENGTH};
    work->offset_in_range += piece->length;
  }
  pthread_mutex_unlock(&work->mutex);
  return found;
}

static void report(fetch *work, sf_code code, const sf_error *error) {
  pthread_mutex_lock(&work->mutex);
  if (work->code == SF_OK) {
    work->code = code;
    work->error = *error;
  }
  pthread_mutex_unlock(&work->mutex);
}

static void *fetch_pieces(void *argument) {
  fetch *work = argument;
  sf_lance_range piece;
  sf_error error;
  uint8_t *bytes = sf_calloc(1, (size_t)PIECE_LENGTH);
  if (bytes == NULL)
    report(work, sf_fail_memory(&error, sf_lance_object_name(work->object)), &error);
  while (bytes != NULL && take_piece(work, &piece)) {
    sf_code code = sf_lance_object_copy(work->object, piece.offset, piece.length, work->cancellation, bytes, &error);
    if (code == SF_OK)
      code = sf_write_at(work->descriptor, work->path, bytes, (size_t)piece.length, piece.offset, &error);
    if (code != SF_OK)
      report(work, code, &error);
  }
  free(bytes);
  return NULL;
}

static size_t count_pieces(const sf_lance_range *ranges, size_t num_ranges) {
  size_t pieces = 0;
  for (size_t i = 0; i < num_ranges; i++)
    pieces += (size_t)((ranges[i].length + PIECE_LENGTH - 1) / PIECE_LENGTH);
  return pieces;
}

sf_code sf_lance_fetch_ranges(const sf_lance_object *object, const sf_lance_range *ranges, size_t num_ranges,
                              int descriptor, const char *path, const sf_cancellation *cancellation, sf_error *error) {
  fetch work = {.object = object,
                .ranges = ranges,
                .num_ranges = num_ranges,
                .descriptor = descriptor,
                .path = path,
                .cancellation = cancellation};
  pthread_t threads[MAX_THREADS - 1];
  size_t num_threads = 0;
  size_t wanted = count_pieces(ranges, num_ranges);
  if (pthread_mutex_init(&work.mutex, NULL) != 0)
    return sf_fail_memory(error, "a fetch");
  /* This thread fetches as well: where no other can be started, it does all of it. */
  while (num_threads + 1 < wanted && num_threads < MAX_THREADS - 1 &&
         sf_helper_thread_start(&threads[num_threads], fetch_pieces, &work))
    num_threads++;
  fetch_pieces(&work);
  for (size_t i = 0; i < num_threads; i++)
    sf_helper_thread_join(threads[i]);
  pthread_mutex_destroy(&work.mutex);
  if (work.code != SF_OK && error != NULL)
    *error = work.error;
  return work.code;
}
