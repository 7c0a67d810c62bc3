#include "filter/column_builder.h"

#include "filter/payload_value.h"

#include <string.h>
#include <xxhash.h>

enum { FIRST_SLOTS = 64 };

/* -------------------------------------------------------------------------------------------------------- Dictionary */

static void free_dictionary(sf_string_dictionary *dictionary) {
  sf_buffer_free(&dictionary->bytes);
  free(dictionary->starts);
  free(dictionary->hashes);
  free(dictionary->slots);
}

/* The slot of the string, or the free one where it would be: there is one. */
static uint32_t *find_slot(const sf_string_dictionary *dictionary, const char *text, size_t length, uint64_t hash) {
  size_t slot = (size_t)hash & (dictionary->num_slots - 1);
  for (;; slot = (slot + 1) & (dictionary->num_slots - 1)) {
    uint32_t *found = &dictionary->slots[slot];
    if (*found == 0)
      return found;
    size_t number = *found - 1;
    if (dictionary->hashes[number] == hash && dictionary->starts[number + 1] - dictionary->starts[number] == length &&
        (length == 0 || memcmp(dictionary->bytes.data + dictionary->starts[number], text, length) == 0))
      return found;
  }
}

/* At most half of the slots are taken. */
static bool grow_slots(sf_string_dictionary *dictionary) {
  size_t num_slots = dictionary->num_slots == 0 ? FIRST_SLOTS : 2 * dictionary->num_slots;
  uint32_t *slots = sf_calloc(num_slots, sizeof(*slots));
  if (slots == NULL)
    return false;
  for (size_t number = 0; number < dictionary->count; number++) {
    size_t slot = (size_t)dictionary->hashes[number] & (num_slots - 1);
    while (slots[slot] != 0)
      slot = (slot + 1) & (num_slots - 1);
    slots[slot] = (uint32_t)number + 1;
  }
  free(dictionary->slots);
  dictionary->slots = slots;
  dictionary->num_slots = num_slots;
  return true;
}

static bool add_string(sf_string_dictionary *dictionary, const char *text, size_t length, uint64_t *number) {
  uint64_t hash = XXH3_64bits(length > 0 ? text : "", length);
  if (dictionary->count >= UINT32_MAX - 1)
    return false;
  if (2 * (dictionary->count + 1) > dictionary->num_slots && !grow_slots(dictionary))
    return false;
  uint32_t *slot = find_slot(dictionary, text, length, hash);
  if (*slot == 0) {
    if (!sf_array_make_room(&dictionary->starts, dictionary->count + 1, &dictionary->starts_capacity,
                            sizeof(uint64_t)) ||
        !sf_array_make_room(&dictionary->hashes, dictionary->count, &dictionary->hashes_capacity, sizeof(uint64_t)) ||
        !sf_buffer_append(&dictionary->bytes, text, length))
      return false;
    dictionary->hashes[dictionary->count] = hash;
    dictionary->starts[++dictionary->count] = dictionary->bytes.length;
    *slot = (uint32_t)dictionary->count;
  }
  *number = *slot - 1;
  return true;
}

/* ----------------------------------------------------------------------------------------------------------- Builder */

bool sf_column_builder_init(sf_column_builder *builder, uint64_t num_rows) {
  if (num_rows > SIZE_MAX)
    return false;
  builder->num_rows = num_rows;
  builder->tags = sf_calloc((size_t)num_rows, 1);
  builder->bits = sf_calloc((size_t)num_rows, sizeof(*builder->bits));
  bool has_starts =
      sf_array_make_room(&builder->strings.starts, 0, &builder->strings.starts_capacity, sizeof(uint64_t)) &&
      sf_array_make_room(&builder->list_starts, 0, &builder->list_starts_capacity, sizeof(uint64_t));
  if (builder->tags == NULL || builder->bits == NULL || !has_starts)
    return false;
  builder->strings.starts[0] = 0;
  builder->list_starts[0] = 0;
  return true;
}

void sf_column_builder_free(sf_column_builder *builder) {
  free(builder->tags);
  free(builder->bits);
  free_dictionary(&builder->strings);
  free(builder->list_starts);
  free(builder->item_tags);
  free(builder->item_bits);
  sf_buffer_free(&builder->decoded);
  *builder = (sf_column_builder){0};
}

void sf_column_builder_set_tag(sf_column_builder *builder, uint64_t row, sf_column_tag tag) {
  builder->tags[row] = (uint8_t)tag;
}

void sf_column_builder_set_int(sf_column_builder *builder, uint64_t row, int64_t integer) {
  builder->tags[row] = SF_COLUMN_INT;
  builder->bits[row] = (uint64_t)integer;
}

bool sf_column_builder_set_string(sf_column_builder *builder, uint64_t row, const char *text, size_t length) {
  builder->tags[row] = SF_COLUMN_STRING;
  return add_string(&builder->strings, text, length, &builder->bits[row]);
}

static void take_scalar(const sf_cel_value *value, uint8_t *tag, uint64_t *bits) {
  *bits = 0;
  switch (value->kind) {
  case SF_CEL_BOOL:
    *tag = value->as.boolean ? SF_COLUMN_TRUE : SF_COLUMN_FALSE;
    return;
  case SF_CEL_INT:
    *tag = SF_COLUMN_INT;
    *bits = (uint64_t)value->as.integer;
    return;
  case SF_CEL_UINT:
    *tag = SF_COLUMN_UINT;
    *bits = value->as.unsigned_integer;
    return;
  case SF_CEL_DOUBLE:
    *tag = SF_COLUMN_DOUBLE;
    memcpy(bits, &value->as.number, sizeof(*bits));
    return;
  default:
    *tag = SF_COLUMN_NULL;
    return;
  }
}

/* A scalar or a string; *tag is OTHER for any other value. */
static bool take_value(sf_column_builder *builder, sf_json_text value, uint8_t *tag, uint64_t *bits) {
  sf_cel_value scalar;
  if (sf_payload_scalar(value, &scalar)) {
    take_scalar(&scalar, tag, bits);
    return true;
  }
  *tag = SF_COLUMN_OTHER;
  if (value.data[0] != '"')
    return true;
  builder->decoded.length = 0;
  if (!sf_buffer_reserve(&builder->decoded, value.length))
    return false;
  char *decoded = (char *)builder->decoded.data;
  *tag = SF_COLUMN_STRING;
  return add_string(&builder->strings, decoded, sf_json_text_decode(value, decoded), bits);
}

static bool add_item(sf_column_builder *builder, uint8_t tag, uint64_t bits) {
  if (!sf_array_make_room(&builder->item_tags, builder->num_items, &builder->item_tags_capacity, 1) ||
      !sf_array_make_room(&builder->item_bits, builder->num_items, &builder->item_bits_capacity, sizeof(uint64_t)))
    return false;
  builder->item_tags[builder->num_items] = tag;
  builder->item_bits[builder->num_items++] = bits;
  return true;
}

/* A list with an item that is no scalar is OTHER. */
static bool take_list(sf_column_builder *builder, sf_json_text list, uint8_t *tag, uint64_t *bits) {
  sf_json_parts elements = sf_json_parts_of(list.data, list.length);
  sf_json_text element;
  uint8_t item_tag = SF_COLUMN_NULL;
  uint64_t item_bits;
  size_t first_item = builder->num_items;
  while (item_tag != SF_COLUMN_OTHER && sf_json_next_element(&elements, &element))
    if (!take_value(builder, element, &item_tag, &item_bits) ||
        (item_tag != SF_COLUMN_OTHER && !add_item(builder, item_tag, item_bits)))
      return false;
  *tag = item_tag == SF_COLUMN_OTHER ? SF_COLUMN_OTHER : SF_COLUMN_LIST;
  if (*tag == SF_COLUMN_OTHER) {
    builder->num_items = first_item;
    return true;
  }
  if (!sf_array_make_room(&builder->list_starts, builder->num_lists + 1, &builder->list_starts_capacity,
                          sizeof(uint64_t)))
    return false;
  *bits = builder->num_lists;
  builder->list_starts[++builder->num_lists] = builder->num_items;
  return true;
}

bool sf_column_builder_set_json(sf_column_builder *builder, uint64_t row, sf_json_text value) {
  if (value.data[0] == '[')
    return take_list(builder, value, &builder->tags[row], &builder->bits[row]);
  return take_value(builder, value, &builder->tags[row], &builder->bits[row]);
}

sf_column sf_column_builder_column(const sf_column_builder *builder) {
  return (sf_column){.num_rows = builder->num_rows,
                     .num_strings = builder->strings.count,
                     .num_lists = builder->num_lists,
                     .num_items = builder->num_items,
                     .tags = builder->tags,
                     .bits = builder->bits,
                     .string_starts = builder->strings.starts,
                     .strings = (const char *)builder->strings.bytes.data,
                     .list_starts = builder->list_starts,
                     .item_tags = builder->item_tags,
                     .item_bits = builder->item_bits};
}
