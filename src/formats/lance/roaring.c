#include "formats/lance/roaring.h"

#define COOKIE_WITHOUT_RUNS 12346u
#define COOKIE_WITH_RUNS 12347u
/* With runs, fewer containers than these come without a table of offsets. */
#define MIN_CONTAINERS_WITH_OFFSETS 4u
#define MAX_CONTAINERS 65536u
#define MAX_ARRAY_CARDINALITY 4096u
#define BITMAP_LENGTH ((size_t)8192)

typedef enum container_type { ARRAY_CONTAINER, BITMAP_CONTAINER, RUN_CONTAINER } container_type;

/* One container: the values of a common upper half. */
typedef struct container {
  container_type type;
  uint32_t base;       /* its upper half, shifted up */
  uint32_t count;      /* values of an array, runs of runs */
  const uint8_t *data; /* 16-bit values; a bitmap; or pairs of a start and a length less one */
} container;

typedef struct container_reader {
  const uint8_t *run_flags; /* NULL: there are no runs */
  const uint8_t *keys;      /* pairs of an upper half and a cardinality less one */
  sf_cursor cursor;
  uint32_t num_containers;
  uint32_t next;
} container_reader;

static bool reader_begin(sf_lance_bytes bitmap, container_reader *reader) {
  *reader = (container_reader){.cursor = sf_cursor_over(bitmap.data, bitmap.length)};
  uint32_t cookie;
  if (!sf_cursor_u32(&reader->cursor, &cookie))
    return false;
  bool has_offsets = true;
  if ((cookie & 0xFFFF) == COOKIE_WITH_RUNS) {
    reader->num_containers = (cookie >> 16) + 1;
    reader->run_flags = sf_cursor_take(&reader->cursor, (reader->num_containers + 7) / 8);
    has_offsets = reader->num_containers >= MIN_CONTAINERS_WITH_OFFSETS;
    if (reader->run_flags == NULL)
      return false;
  } else if (cookie != COOKIE_WITHOUT_RUNS || !sf_cursor_u32(&reader->cursor, &reader->num_containers) ||
             reader->num_containers > MAX_CONTAINERS) {
    return false;
  }
  reader->keys = sf_cursor_take(&reader->cursor, (size_t)reader->num_containers * 4);
  return reader->keys != NULL &&
         (!has_offsets || sf_cursor_take(&reader->cursor, (size_t)reader->num_containers * 4) != NULL);
}

static bool reader_next(container_reader *reader, container *found) {
  const uint8_t *key = reader->keys + (size_t)reader->next * 4;
  uint32_t cardinality = (uint32_t)sf_load_u16(key + 2) + 1;
  found->base = (uint32_t)sf_load_u16(key) << 16;
  found->count = cardinality;
  size_t length;
  if (reader->run_flags != NULL && sf_lance_bit(reader->run_flags, reader->next)) {
    uint16_t num_runs;
    if (!sf_cursor_u16(&reader->cursor, &num_runs))
      return false;
    found->type = RUN_CONTAINER;
    found->count = num_runs;
    length = (size_t)num_runs * 4;
  } else if (cardinality <= MAX_ARRAY_CARDINALITY) {
    found->type = ARRAY_CONTAINER;
    length = (size_t)cardinality * 2;
  } else {
    found->type = BITMAP_CONTAINER;
    length = BITMAP_LENGTH;
  }
  found->data = sf_cursor_take(&reader->cursor, length);
  reader->next++;
  return found->data != NULL;
}

static uint64_t count_run(const container *runs, uint32_t run) {
  return (uint64_t)sf_load_u16(runs->data + (size_t)run * 4 + 2) + 1;
}

/* How many values a container holds, or -1 when they are not in order. */
static int64_t count_values(const container *values) {
  uint64_t count = 0;
  int64_t previous = -1;
  switch (values->type) {
  case ARRAY_CONTAINER:
    for (uint32_t i = 0; i < values->count; i++, count++) {
      uint16_t value = sf_load_u16(values->data + (size_t)i * 2);
      if (value <= previous)
        return -1;
      previous = value;
    }
    break;
  case BITMAP_CONTAINER:
    for (size_t i = 0; i < BITMAP_LENGTH; i++)
      count += (unsigned)__builtin_popcount(values->data[i]);
    break;
  case RUN_CONTAINER:
    for (uint32_t i = 0; i < values->count; i++) {
      uint16_t start = sf_load_u16(values->data + (size_t)i * 4);
      if (start <= previous || start + count_run(values, i) > 65536)
        return -1;
      previous = (int64_t)(start + count_run(values, i) - 1);
      count += count_run(values, i);
    }
    break;
  }
  return (int64_t)count;
}

sf_code sf_lance_roaring_check(sf_lance_bytes bitmap, uint64_t *cardinality, sf_error *error) {
  container_reader reader;
  *cardinality = 0;
  if (!reader_begin(bitmap, &reader))
    return SF_LANCE_BAD(error, "the Roaring bitmap of %zu bytes has a broken header", bitmap.length);
  int64_t previous_base = -1;
  while (reader.next < reader.num_containers) {
    container values;
    uint32_t number = reader.next;
    if (!reader_next(&reader, &values))
      return SF_LANCE_BAD(error, "the Roaring bitmap of %zu bytes ends in container %u", bitmap.length, number);
    int64_t count = count_values(&values);
    if (count < 0 || values.base <= previous_base)
      return SF_LANCE_BAD(error, "the Roaring bitmap is out of order in container %u", number);
    previous_base = values.base;
    *cardinality += (uint64_t)count;
  }
  return SF_OK;
}

/* Sets the bits of values [begin, end) that fall into [first, first + count). */
static void mark_range(uint64_t begin, uint64_t end, uint64_t first, size_t count, uint8_t *bits) {
  if (begin < first)
    begin = first;
  if (end > first + count)
    end = first + count;
  for (uint64_t value = begin; value < end; value++)
    sf_lance_set_bit(bits, (size_t)(value - first));
}

static void mark_container(const container *values, uint64_t first, size_t count, uint8_t *bits) {
  uint64_t base = values->base;
  switch (values->type) {
  case ARRAY_CONTAINER:
    for (uint32_t i = 0; i < values->count; i++) {
      uint64_t value = base + sf_load_u16(values->data + (size_t)i * 2);
      mark_range(value, value + 1, first, count, bits);
    }
    break;
  case BITMAP_CONTAINER:
    for (uint64_t value = base > first ? base : first; value < base + BITMAP_LENGTH * 8 && value < first + count;
         value++)
      if (sf_lance_bit(values->data, (size_t)(value - base)))
        sf_lance_set_bit(bits, (size_t)(value - first));
    break;
  case RUN_CONTAINER:
    for (uint32_t i = 0; i < values->count; i++) {
      uint64_t start = base + sf_load_u16(values->data + (size_t)i * 4);
      mark_range(start, start + count_run(values, i), first, count, bits);
    }
    break;
  }
}

void sf_lance_roaring_mark(sf_lance_bytes bitmap, uint64_t first, size_t count, uint8_t *bits) {
  container_reader reader;
  container values;
  if (!reader_begin(bitmap, &reader))
    return;
  while (reader.next < reader.num_containers && reader_next(&reader, &values))
    if (values.base < first + count && (uint64_t)values.base + 65536 > first)
      mark_container(&values, first, count, bits);
}
