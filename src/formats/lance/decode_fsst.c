#include "formats/lance/decoders.h"

/* Upper half of the table's first word, little-endian. */
#define FSST_MAGIC 0x46535354u
/* Of the lower half: whether anything was compressed, and the number of symbols. */
#define FSST_ENABLED (1u << 24)
#define FSST_COUNT_MASK 255u
/* The next byte stands for itself. */
#define FSST_ESCAPE 255

sf_code sf_lance_fsst_table_parse(sf_lance_bytes serialized, sf_lance_fsst_table *table, sf_error *error) {
  if (serialized.length != SF_LANCE_FSST_TABLE_SIZE)
    return SF_LANCE_BAD(error, "FSST: expected a symbol table of %zu bytes, found %zu", SF_LANCE_FSST_TABLE_SIZE,
                        serialized.length);
  if (sf_load_u32(serialized.data + 4) != FSST_MAGIC)
    return SF_LANCE_BAD(error, "FSST: the symbol table does not begin as one");
  uint32_t info = sf_load_u32(serialized.data);
  table->enabled = (info & FSST_ENABLED) != 0;
  table->num_symbols = info & FSST_COUNT_MASK;
  table->symbols = serialized.data + 8;
  table->lengths = table->symbols + (size_t)table->num_symbols * 8;
  for (unsigned i = 0; table->enabled && i < table->num_symbols; i++)
    if (table->lengths[i] < 1 || table->lengths[i] > 8)
      return SF_LANCE_BAD(error, "FSST: symbol %u is %u bytes long, expected 1 to 8", i, table->lengths[i]);
  return SF_OK;
}

/* The length of the decoded string; checks every code. */
static sf_code decoded_length(const sf_lance_fsst_table *table, sf_lance_bytes compressed, size_t *length,
                              sf_error *error) {
  *length = 0;
  for (size_t i = 0; i < compressed.length; i++) {
    unsigned code = compressed.data[i];
    if (code == FSST_ESCAPE) {
      if (++i == compressed.length)
        return SF_LANCE_BAD(error, "FSST: a string ends in an escape");
      *length += 1;
    } else if (code < table->num_symbols) {
      *length += table->lengths[code];
    } else {
      return SF_LANCE_BAD(error, "FSST: code %u is not among the %u symbols", code, table->num_symbols);
    }
  }
  return SF_OK;
}

sf_code sf_lance_fsst_decode(const sf_lance_fsst_table *table, sf_lance_bytes compressed, sf_buffer *string,
                             sf_error *error) {
  if (!table->enabled)
    return sf_buffer_append(string, compressed.data, compressed.length) ? SF_OK : sf_fail_memory(error, "a string");
  size_t length;
  SF_TRY(decoded_length(table, compressed, &length, error));
  if (!sf_buffer_reserve(string, length))
    return sf_fail_memory(error, "a string");
  uint8_t *next = string->data + string->length;
  for (size_t i = 0; i < compressed.length; i++) {
    unsigned code = compressed.data[i];
    if (code == FSST_ESCAPE) {
      *next++ = compressed.data[++i];
    } else {
      memcpy(next, table->symbols + (size_t)code * 8, table->lengths[code]);
      next += table->lengths[code];
    }
  }
  string->length += length;
  string->data[string->length] = '\0';
  return SF_OK;
}
