/* The functions that allocate memory, each of which may fail on demand. They call the next definition in the search order of
 * symbols: that of the C library, or of a sanitizer's runtime. */
#define _GNU_SOURCE
#include "faults/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
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
  void (*free)(void *memory);
} allocator;

/* Of the address sanitizer, where there is one. Its own start looks up symbols, which allocates: until that is over, memory
 * comes from here, is zeroed, and never given back. */
__attribute__((weak)) void __asan_init(void);
static bool has_started;
static _Alignas(max_align_t) unsigned char early[8 << 20];
static size_t early_used;

static bool is_early(const void *memory) {
  return (uintptr_t)memory >= (uintptr_t)early && (uintptr_t)memory < (uintptr_t)early + sizeof(early);
}

static void *allocate_early(size_t size) {
  size_t begin = (early_used + 63) / 64 * 64;
  if (size > sizeof(early) - begin)
    return NULL;
  early_used = begin + size;
  return early + begin;
}

static bool comes_early(void) {
  return !has_started && __asan_init != NULL;
}

/* A pointer to a function is no object pointer in C: POSIX has dlsym all the same. */
static void look_up(void *function, const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  memcpy(function, &found, sizeof(found));
}

static const allocator *next_allocator(void) {
  static allocator next;
  if (next.malloc == NULL) { /* while there is one thread */
    look_up(&next.free, "free");
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
  has_started = true;
}

/* Copies past the old block, up to the new size: that memory is ours as well. */
static void *move_from_early(const void *memory, size_t size) {
  void *moved = comes_early() ? allocate_early(size) : next_allocator()->malloc(size);
  if (moved != NULL && memory != NULL) {
    size_t left = sizeof(early) - (size_t)((uintptr_t)memory - (uintptr_t)early);
    memcpy(moved, memory, size < left ? size : left);
  }
  return moved;
}

static bool fails(const void *caller) {
  if (!faults_due(caller))
    return false;
  errno = ENOMEM;
  return true;
}

EXPORTED void *malloc(size_t size) {
  if (comes_early())
    return allocate_early(size);
  return fails(CALLER) ? NULL : next_allocator()->malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size) {
  if (comes_early())
    return allocate_early(count * size);
  return fails(CALLER) ? NULL : next_allocator()->calloc(count, size);
}

EXPORTED void *realloc(void *memory, size_t size) {
  if (comes_early() || is_early(memory))
    return move_from_early(memory, size);
  return fails(CALLER) ? NULL : next_allocator()->realloc(memory, size);
}

EXPORTED void free(void *memory) {
  if (!is_early(memory) && !comes_early())
    next_allocator()->free(memory);
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
