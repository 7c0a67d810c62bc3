#include "formats/lance/flatbuffer.h"

static bool holds(sf_lance_bytes buffer, size_t position, size_t length) {
  return position <= buffer.length && length <= buffer.length - position;
}

/* Follows the unsigned offset that is stored at `position`. */
static bool follow(sf_lance_bytes buffer, size_t position, size_t *target) {
  if (!holds(buffer, position, 4))
    return false;
  *target = position + sf_load_u32(buffer.data + position);
  return *target > position && holds(buffer, *target, 4);
}

bool sf_lance_flatbuffer_root(sf_lance_bytes buffer, size_t *table) {
  return follow(buffer, 0, table);
}

/* The offset of a field's value; 0 where it is missing. */
static bool find_field(sf_lance_bytes buffer, size_t table, unsigned index, size_t size, size_t *position) {
  *position = 0;
  if (!holds(buffer, table, 4))
    return false;
  int64_t vtable = (int64_t)table - (int32_t)sf_load_u32(buffer.data + table);
  if (vtable < 0 || !holds(buffer, (size_t)vtable, 4))
    return false;
  size_t vtable_length = sf_load_u16(buffer.data + vtable);
  size_t slot = 4 + (size_t)index * 2;
  if (slot + 2 > vtable_length)
    return true;
  if (!holds(buffer, (size_t)vtable, vtable_length))
    return false;
  size_t offset = sf_load_u16(buffer.data + vtable + slot);
  if (offset == 0)
    return true;
  *position = table + offset;
  return holds(buffer, *position, size);
}

bool sf_lance_flatbuffer_scalar(sf_lance_bytes buffer, size_t table, unsigned index, size_t size, uint64_t absent,
                                uint64_t *value) {
  size_t position;
  if (!find_field(buffer, table, index, size, &position))
    return false;
  *value = position == 0 ? absent : sf_lance_load(buffer.data + position, size);
  return true;
}

bool sf_lance_flatbuffer_table(sf_lance_bytes buffer, size_t table, unsigned index, size_t *inner) {
  size_t position;
  *inner = 0;
  if (!find_field(buffer, table, index, 4, &position))
    return false;
  return position == 0 || follow(buffer, position, inner);
}

bool sf_lance_flatbuffer_vector(sf_lance_bytes buffer, size_t table, unsigned index, size_t element_size,
                                const uint8_t **elements, size_t *count) {
  size_t vector;
  *elements = NULL;
  *count = 0;
  if (!sf_lance_flatbuffer_table(buffer, table, index, &vector))
    return false;
  if (vector == 0)
    return true;
  *count = sf_load_u32(buffer.data + vector);
  *elements = buffer.data + vector + 4;
  return *count <= (buffer.length - vector - 4) / element_size;
}

bool sf_lance_flatbuffer_vector_table(sf_lance_bytes buffer, const uint8_t *elements, size_t element, size_t *table) {
  return follow(buffer, (size_t)(elements - buffer.data) + element * 4, table);
}
