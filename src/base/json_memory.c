/*
 * Memory for jansson while it parses.
 *
 * jansson (2.13 to 2.15) does not check whether its scanner's buffer could grow (lex_save in its load.c): when that
 * allocation fails, a character is left out. A member "sharding_strategy" was read as "sharding_stratgy", and the scanner
 * ran past its buffer where the closing quote was lost; other failures are reported as bad syntax. So jansson never sees an
 * allocation fail here. While a thread parses, what jansson allocates comes from the document's blocks; when there is no
 * memory for another one, longjmp leaves the parser, and the blocks are freed as they are.
 *
 * jansson's allocation functions are one setting for the whole process. Ours pass calls of threads that are not parsing here
 * on to the functions that they replaced, so that jansson works as before for the rest of the process.
 */
#include "base/json_memory.h"

#include "base/c_locale.h"
#include "base/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

#define FIRST_BLOCK_BYTES ((size_t)1 << 10)
#define LARGEST_BLOCK_BYTES ((size_t)1 << 20)
#define ALIGNMENT _Alignof(max_align_t)

struct sf_json_block {
  sf_json_block *next;
  size_t used;
  size_t size;
  _Alignas(max_align_t) unsigned char bytes[];
};

/* A parse that is running. */
typedef struct parse {
  sf_json_memory *memory;
  jmp_buf out_of_memory;
} parse;

static _Thread_local parse *running;

static _Atomic(json_malloc_t) replaced_malloc = malloc;
static _Atomic(json_free_t) replaced_free = free;

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A block with room for `size` more bytes, or NULL. */
static sf_json_block *add_block(sf_json_memory *memory, size_t size) {
  size_t wanted = FIRST_BLOCK_BYTES;
  if (memory->blocks != NULL && memory->blocks->size < LARGEST_BLOCK_BYTES)
    wanted = 2 * memory->blocks->size;
  else if (memory->blocks != NULL)
    wanted = LARGEST_BLOCK_BYTES;
  size_t bytes;
  if (!sf_add_size(sizeof(sf_json_block), wanted > size ? wanted : size, &bytes))
    return NULL;
  sf_json_block *block = sf_reallocarray(NULL, bytes, 1);
  if (block == NULL)
    return NULL;
  *block = (sf_json_block){.next = memory->blocks, .size = bytes - sizeof(sf_json_block)};
  memory->blocks = block;
  return block;
}

static void *allocate(size_t size) {
  if (running == NULL)
    return atomic_load(&replaced_malloc)(size);
  size_t rounded;
  if (!sf_add_size(size, ALIGNMENT - 1, &rounded))
    longjmp(running->out_of_memory, 1); // NOLINT(cert-err52-cpp)
  rounded -= rounded % ALIGNMENT;
  sf_json_block *block = running->memory->blocks;
  if (block == NULL || block->size - block->used < rounded)
    block = add_block(running->memory, rounded);
  if (block == NULL)
    longjmp(running->out_of_memory, 1); // NOLINT(cert-err52-cpp)
  void *memory = block->bytes + block->used;
  block->used += rounded;
  return memory;
}

static void release(void *memory) {
  if (running == NULL)
    atomic_load (&replaced_free)(memory);
}

static void take_over(void) {
  json_malloc_t found_malloc;
  json_free_t found_free;
  json_get_alloc_funcs(&found_malloc, &found_free);
  if (found_malloc == allocate)
    return;
  atomic_store(&replaced_malloc, found_malloc);
  atomic_store(&replaced_free, found_free);
  json_set_alloc_funcs(allocate, release);
}

/* Seeds jansson's hash tables from the system's random numbers. */
static void set_seed(void) {
  json_object_seed(0);
}

static const json_t *load(parse *under_way, const char *text, size_t length, json_error_t *failure, bool *is_out) {
  if (setjmp(under_way->out_of_memory) != 0) { // NOLINT(cert-err52-cpp)
    running = NULL;
    *is_out = true;
    return NULL;
  }
  running = under_way;
  const json_t *root = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, failure);
  running = NULL;
  return root;
}

const json_t *sf_json_memory_load(sf_json_memory *memory, const char *text, size_t length, json_error_t *failure,
                                  bool *is_out) {
  parse under_way = {.memory = memory};
  locale_t previous;
  *is_out = !sf_c_locale_enter(&previous);
  if (*is_out)
    return NULL;
  pthread_once(&once, set_seed);
  /* Each time, because another part of the program may have set its functions meanwhile. */
  take_over();
  const json_t *root = load(&under_way, text, length, failure, is_out);
  sf_c_locale_leave(previous);
  return root;
}

void sf_json_memory_free(sf_json_memory *memory) {
  while (memory->blocks != NULL) {
    sf_json_block *next = memory->blocks->next;
    free(memory->blocks);
    memory->blocks = next;
  }
}
