/* Memory that is freed all at once, up to a limit: a program's tree, or what an evaluation makes. Not for several
 * threads at a time. */
#ifndef SF_CEL_ARENA_H
#define SF_CEL_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sf_cel_arena_block sf_cel_arena_block;

typedef struct sf_cel_arena {
  uint8_t *next;
  size_t room; /* bytes left at `next` */
  size_t used; /* bytes handed out, padding included; never above limit */
  size_t limit;
  bool limit_reached; /* the last failure was the limit's, not the system's */
  sf_cel_arena_block *blocks;
} sf_cel_arena;

/* `first` (may be NULL for a size of 0), aligned for any type, is used before anything is allocated; it stays the
 * caller's. */
void sf_cel_arena_init(sf_cel_arena *arena, void *first, size_t first_size, size_t limit);

/* count × size bytes aligned for any value, or NULL: beyond the limit (limit_reached is set) or out of memory. */
void *sf_cel_arena_allocate(sf_cel_arena *arena, size_t count, size_t size);
void *sf_cel_arena_zeroed(sf_cel_arena *arena, size_t count, size_t size);

void sf_cel_arena_free(sf_cel_arena *arena);

#endif
