#include "cel/arena.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 8
#define SMALLEST_BLOCK 4096
#define LARGEST_BLOCK (1 << 20) /* a larger request gets a block of its own size */

struct sf_cel_arena_block {
  sf_cel_arena_block *previous;
  uint64_t bytes[]; /* aligned as ALIGNMENT promises */
};

void sf_cel_arena_init(sf_cel_arena *arena, void *first, size_t first_size, size_t limit) {
  *arena = (sf_cel_arena){.next = first, .room = first_size, .limit = limit};
}

/* Blocks grow with what is used already, so that their number stays small. */
static bool add_block(sf_cel_arena *arena, size_t needed) {
  size_t size = arena->used < SMALLEST_BLOCK ? SMALLEST_BLOCK : arena->used;
  if (size > LARGEST_BLOCK)
    size = LARGEST_BLOCK;
  if (size < needed)
    size = needed;
  sf_cel_arena_block *block = malloc(sizeof(*block) + size);
  if (block == NULL)
    return false;
  block->previous = arena->blocks;
  arena->blocks = block;
  arena->next = (uint8_t *)block->bytes;
  arena->room = size;
  return true;
}

void *sf_cel_arena_allocate(sf_cel_arena *arena, size_t count, size_t size) {
  size_t needed;
  arena->limit_reached = false;
  if (!sf_multiply_size(count, size, &needed) || needed > arena->limit - arena->used) {
    arena->limit_reached = true;
    return NULL;
  }
  needed = needed == 0 ? ALIGNMENT : (needed + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (needed > arena->limit - arena->used) {
    arena->limit_reached = true;
    return NULL;
  }
  if (needed > arena->room && !add_block(arena, needed))
    return NULL;
  void *memory = arena->next;
  arena->next += needed;
  arena->room -= needed;
  arena->used += needed;
  return memory;
}

void *sf_cel_arena_zeroed(sf_cel_arena *arena, size_t count, size_t size) {
  void *memory = sf_cel_arena_allocate(arena, count, size);
  if (memory != NULL)
    memset(memory, 0, count * size);
  return memory;
}

void sf_cel_arena_free(sf_cel_arena *arena) {
  while (arena->blocks != NULL) {
    sf_cel_arena_block *block = arena->blocks;
    arena->blocks = block->previous;
    free(block);
  }
}
