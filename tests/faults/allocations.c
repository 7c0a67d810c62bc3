/* The functions that allocate memory, each of which may fail on demand. Memory comes from whoever is next in the search
 * order of symbols: the C library, or a sanitizer's runtime. */
#define _GNU_SOURCE
#include "faults/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORTED __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

typedef struct allocator {
  void *(*malloc)(size_t size);
  void *(*calloc)(size_t count, size_t size);
  void *(*realloc)(void *memory, size_t size);
  void *(*memalign)(size_t alignment, size_t size);
  int (*posix_memalign)(void **memory, size_t alignment, size_t size);
} allocator;

/* A pointer to a function is no object pointer in C: POSIX has dlsym all the same. */
static void look_up(void *function, const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  memcpy(function, &found, sizeof(found));
}

static const allocator *next_allocator(void) {
  static allocator next;
  if (next.malloc == NULL) { /* while there is one thread */
    look_up(&next.calloc, "calloc");
    look_up(&next.realloc, "realloc");
    look_up(&next.memalign, "memalign");
    look_up(&next.posix_memalign, "posix_memalign");
    look_up(&next.malloc, "malloc");
  }
  return &next;
}

__attribute__((constructor)) static void find_allocator(void) {
  next_allocator();
}

static bool fails(const void *caller) {
  if (!faults_due(caller))
    return false;
  errno = ENOMEM;
  return true;
}

EXPORTED void *malloc(size_t size) {
  return fails(CALLER) ? NULL : next_allocator()->malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size) {
  return fails(CALLER) ? NULL : next_allocator()->calloc(count, size);
}

EXPORTED void *realloc(void *memory, size_t size) {
  return fails(CALLER) ? NULL : next_allocator()->realloc(memory, size);
}

EXPORTED void *reallocarray(void *memory, size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total) || fails(CALLER)) {
    errno = ENOMEM;
    return NULL;
  }
  return next_allocator()->realloc(memory, total);
}

EXPORTED void *memalign(size_t alignment, size_t size) {
  return fails(CALLER) ? NULL : next_allocator()->memalign(alignment, size);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size) {
  return fails(CALLER) ? NULL : next_allocator()->memalign(alignment, size);
}

EXPORTED int posix_memalign(void **memory, size_t alignment, size_t size) {
  return faults_due(CALLER) ? ENOMEM : next_allocator()->posix_memalign(memory, alignment, size);
}

/* Memory without a file; mappings of files are system calls like others. */
EXPORTED void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
  static void *(*next)(void *, size_t, int, int, int, off_t);
  if ((flags & MAP_ANONYMOUS) != 0 && fails(CALLER))
    return MAP_FAILED;
  if (next == NULL)
    look_up(&next, "mmap");
  return next(address, length, protection, flags, descriptor, offset);
}
