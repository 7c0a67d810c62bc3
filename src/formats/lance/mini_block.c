#include "formats/lance/mini_block.h"

#define ALIGNMENT 8
#define CHUNKS_PER_MARK 64

enum { LAYER_ALL_VALID_ITEM = 1, LAYER_NULLABLE_ITEM = 3 };

struct sf_lance_chunk_mark {
  uint64_t first_value;
  uint64_t offset;
};

/* The sizes in a chunk's word; the last chunk has the rest of the values. */
static void read_word(const sf_lance_chunk_table *table, sf_lance_chunk_place *place) {
  uint64_t word = sf_lance_load(table->words.data + place->index * table->word_size, table->word_size);
  place->length = ((word >> 4) + 1) * ALIGNMENT;
  if (place->index + 1 < table->num_chunks)
    place->num_values = (size_t)1 << (word & 15);
  else
    place->num_values = (size_t)(table->num_values - place->first_value);
}

void sf_lance_chunk_table_first(const sf_lance_chunk_table *table, sf_lance_chunk_place *place) {
  *place = (sf_lance_chunk_place){0};
  if (table->num_chunks > 0)
    read_word(table, place);
}

bool sf_lance_chunk_table_next(const sf_lance_chunk_table *table, sf_lance_chunk_place *place) {
  if (place->index + 1 >= table->num_chunks)
    return false;
  place->index++;
  place->first_value += place->num_values;
  place->offset += place->length;
  read_word(table, place);
  return true;
}

static sf_code check_chunks(sf_lance_chunk_table *table, uint64_t data_length, sf_error *error) {
  uint64_t value = 0;
  uint64_t offset = 0;
  for (size_t i = 0; i < table->num_chunks; i++) {
    if (i % CHUNKS_PER_MARK == 0)
      table->marks[i / CHUNKS_PER_MARK] = (struct sf_lance_chunk_mark){value, offset};
    sf_lance_chunk_place place = {.index = i, .first_value = value, .offset = offset};
    if (value >= table->num_values)
      return SF_LANCE_BAD(error, "chunk %zu begins at value %llu of %llu", i, (unsigned long long)value,
                          (unsigned long long)table->num_values);
    read_word(table, &place);
    if (place.num_values > SF_LANCE_MAX_CHUNK_VALUES)
      return SF_LANCE_BAD(error, "chunk %zu has %zu values, expected at most %zu", i, place.num_values,
                          SF_LANCE_MAX_CHUNK_VALUES);
    if (place.length > data_length - offset)
      return SF_LANCE_BAD(error, "chunk %zu of %llu bytes at %llu lies outside the %llu bytes", i,
                          (unsigned long long)place.length, (unsigned long long)offset,
                          (unsigned long long)data_length);
    value += place.num_values;
    offset += place.length;
  }
  if (value != table->num_values)
    return SF_LANCE_BAD(error, "%zu chunks hold %llu values, expected %llu", table->num_chunks,
                        (unsigned long long)value, (unsigned long long)table->num_values);
  return SF_OK;
}

sf_code sf_lance_chunk_table_init(sf_lance_chunk_table *table, sf_lance_bytes words, bool large, uint64_t num_values,
                                  uint64_t data_length, sf_error *error) {
  *table = (sf_lance_chunk_table){.words = words, .word_size = large ? 4 : 2, .num_values = num_values};
  if (words.length % table->word_size != 0)
    return SF_LANCE_BAD(error, "%zu bytes of chunk words are not a multiple of %zu", words.length, table->word_size);
  table->num_chunks = words.length / table->word_size;
  table->marks = sf_calloc(table->num_chunks / CHUNKS_PER_MARK + 1, sizeof(*table->marks));
  if (table->marks == NULL)
    return sf_fail_memory(error, "a chunk table");
  sf_code code = check_chunks(table, data_length, error);
  if (code != SF_OK)
    sf_lance_chunk_table_free(table);
  return code;
}

void sf_lance_chunk_table_free(sf_lance_chunk_table *table) {
  free(table->marks);
  *table = (sf_lance_chunk_table){0};
}

void sf_lance_chunk_table_find(const sf_lance_chunk_table *table, uint64_t value, sf_lance_chunk_place *place) {
  size_t low = 0;
  size_t high = (table->num_chunks + CHUNKS_PER_MARK - 1) / CHUNKS_PER_MARK;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (table->marks[middle].first_value <= value)
      low = middle;
    else
      high = middle;
  }
  *place = (sf_lance_chunk_place){
      .index = low * CHUNKS_PER_MARK, .first_value = table->marks[low].first_value, .offset = table->marks[low].offset};
  read_word(table, place);
  while (value - place->first_value >= place->num_values && sf_lance_chunk_table_next(table, place)) {
  }
}

static bool take_padded(sf_cursor *cursor, size_t length, sf_lance_bytes *bytes) {
  *bytes = (sf_lance_bytes){sf_cursor_take(cursor, length), length};
  size_t padding = (ALIGNMENT - cursor->position % ALIGNMENT) % ALIGNMENT;
  return bytes->data != NULL && sf_cursor_take(cursor, padding) != NULL;
}

static bool take_size(sf_cursor *cursor, size_t size, size_t *value) {
  const uint8_t *bytes = sf_cursor_take(cursor, size);
  if (bytes != NULL)
    *value = (size_t)sf_lance_load(bytes, size);
  return bytes != NULL;
}

sf_code sf_lance_chunk_parse(sf_lance_bytes bytes, bool has_levels, uint64_t num_buffers, bool large,
                             sf_lance_chunk *chunk, sf_error *error) {
  *chunk = (sf_lance_chunk){0};
  if (num_buffers > SF_LANCE_MAX_BUFFERS)
    return SF_LANCE_BAD(error, "%llu buffers in a chunk, expected at most %d", (unsigned long long)num_buffers,
                        SF_LANCE_MAX_BUFFERS);
  chunk->num_buffers = (size_t)num_buffers;
  sf_cursor cursor = sf_cursor_over(bytes.data, bytes.length);
  size_t levels_length = 0;
  size_t lengths[SF_LANCE_MAX_BUFFERS] = {0};
  bool whole = take_size(&cursor, 2, &chunk->num_levels) && (!has_levels || take_size(&cursor, 2, &levels_length));
  for (size_t i = 0; whole && i < chunk->num_buffers; i++)
    whole = take_size(&cursor, large ? 4 : 2, &lengths[i]);
  sf_lance_bytes padding;
  whole = whole && take_padded(&cursor, 0, &padding);
  if (whole && has_levels)
    whole = take_padded(&cursor, levels_length, &chunk->levels);
  for (size_t i = 0; whole && i < chunk->num_buffers; i++)
    whole = take_padded(&cursor, lengths[i], &chunk->buffers[i]);
  return whole ? SF_OK : SF_LANCE_BAD(error, "the parts of a chunk are longer than its %zu bytes", bytes.length);
}

sf_code sf_lance_chunk_levels(const Sf__Lance__CompressiveEncoding *encoding, const sf_lance_chunk *chunk,
                              size_t num_values, uint8_t *levels, sf_error *error) {
  if (chunk->num_levels != num_values)
    return SF_LANCE_BAD(error, "a chunk of %zu values has %zu levels", num_values, chunk->num_levels);
  return sf_lance_decode_values(encoding, &chunk->levels, 1, num_values, 2, levels, error);
}

sf_code sf_lance_check_layers(const uint32_t *layers, size_t num_layers, bool *nullable, sf_error *error) {
  if (num_layers != 1 || (layers[0] != LAYER_ALL_VALID_ITEM && layers[0] != LAYER_NULLABLE_ITEM))
    return SF_LANCE_BAD(error, "structure of %zu layers, the innermost of kind %u, is not supported", num_layers,
                        num_layers > 0 ? layers[0] : 0);
  *nullable = layers[0] == LAYER_NULLABLE_ITEM;
  return SF_OK;
}

sf_code sf_lance_mini_block_check(const Sf__Lance__MiniBlockLayout *layout, uint64_t num_rows, sf_error *error) {
  bool nullable = false;
  if (layout->rep_compression != NULL || layout->repetition_index_depth != 0)
    return SF_LANCE_BAD(error, "repetition is not supported: no column of ours is a list");
  SF_TRY(sf_lance_check_layers(layout->layers, layout->n_layers, &nullable, error));
  if (!nullable && layout->def_compression != NULL)
    return SF_LANCE_BAD(error, "there are definition levels where no value is null");
  if (layout->num_items != num_rows)
    return SF_LANCE_BAD(error, "%llu items in a page of %llu rows", (unsigned long long)layout->num_items,
                        (unsigned long long)num_rows);
  return SF_OK;
}
