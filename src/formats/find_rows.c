/* The wanted ids are put into a hash table with open addressing; then every id of the shard is looked up in it. */
#include "formats/find_rows.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* An id as it is compared: its text where a shard's ids are text, whatever its type. */
typedef struct compared_id {
  bool is_integer;
  int64_t integer;
  const char *text;
  size_t length;
} compared_id;

enum { MAX_DIGITS = 24, LEAST_SLOTS = 8 };

#define NO_ID SIZE_MAX

typedef struct id_table {
  sf_row_visitor visitor; /* first: reading passes it back */
  const sf_row_id *ids;
  uint64_t *rows; /* of each id */
  size_t *slots;  /* indexes of ids; NO_ID: none */
  size_t mask;    /* number of slots, a power of two, less 1 */
  bool has_text_ids;
} id_table;

/* `digits` has room for MAX_DIGITS, and lives as long as the result. */
static compared_id compared(const id_table *table, const sf_row_id *id, char *digits) {
  if (id->type == SF_ID_STRING)
    return (compared_id){.text = id->string, .length = id->length};
  if (!table->has_text_ids)
    return (compared_id){.is_integer = true, .integer = id->integer};
  int length = snprintf(digits, MAX_DIGITS, "%lld", (long long)id->integer);
  return (compared_id){.text = digits, .length = (size_t)length};
}

static bool is_same(const compared_id *a, const compared_id *b) {
  if (a->is_integer || b->is_integer)
    return a->is_integer == b->is_integer && a->integer == b->integer;
  return a->length == b->length && (a->length == 0 || memcmp(a->text, b->text, a->length) == 0);
}

static size_t first_slot(const id_table *table, const compared_id *id) {
  uint64_t hash = id->is_integer ? XXH3_64bits(&id->integer, sizeof(id->integer)) : XXH3_64bits(id->text, id->length);
  return (size_t)hash & table->mask;
}

/* The slot of an id, or the free one where it would be: there are more slots than ids. */
static size_t find_slot(const id_table *table, const compared_id *id) {
  size_t slot = first_slot(table, id);
  for (; table->slots[slot] != NO_ID; slot = (slot + 1) & table->mask) {
    char digits[MAX_DIGITS];
    compared_id there = compared(table, &table->ids[table->slots[slot]], digits);
    if (is_same(id, &there))
      break;
  }
  return slot;
}

static size_t slot_of(const id_table *table, size_t index) {
  char digits[MAX_DIGITS];
  compared_id id = compared(table, &table->ids[index], digits);
  return find_slot(table, &id);
}

static sf_code visit(sf_row_visitor *visitor, uint64_t row, const sf_row_text *text, sf_error *error) {
  (void)error;
  id_table *table = (id_table *)visitor;
  compared_id id = {.text = text->id_string, .length = text->id_length};
  if (text->id_type == SF_ID_INTEGER)
    id = (compared_id){.is_integer = true, .integer = text->id_integer};
  size_t index = table->slots[find_slot(table, &id)];
  if (index != NO_ID && table->rows[index] == SF_NO_ROW)
    table->rows[index] = row;
  return SF_OK;
}

/* False when memory is out. */
static bool make_table(id_table *table, size_t count) {
  size_t num_slots = LEAST_SLOTS;
  while (num_slots / 2 < count && num_slots <= SIZE_MAX / 2)
    num_slots *= 2;
  table->slots = num_slots > count ? sf_reallocarray(NULL, num_slots, sizeof(*table->slots)) : NULL;
  if (table->slots == NULL)
    return false;
  table->mask = num_slots - 1;
  for (size_t slot = 0; slot < num_slots; slot++)
    table->slots[slot] = NO_ID;
  for (size_t i = 0; i < count; i++) {
    table->rows[i] = SF_NO_ROW;
    size_t slot = slot_of(table, i);
    if (table->slots[slot] == NO_ID)
      table->slots[slot] = i;
  }
  return true;
}

sf_code sf_find_rows_by_reading(sf_shard *shard, const sf_row_id *ids, size_t count, uint64_t *rows,
                                const sf_cancellation *cancellation, sf_error *error) {
  id_table table = {.visitor = {.wants_ids = true, .visit = visit},
                    .ids = ids,
                    .rows = rows,
                    .has_text_ids = shard->format->has_text_ids};
  if (!make_table(&table, count))
    return sf_fail_memory(error, "ids");
  sf_code code = sf_shard_read_rows(shard, &table.visitor, cancellation, error);
  for (size_t i = 0; i < count && code == SF_OK; i++) /* of equal ids, the first has a slot */
    rows[i] = rows[table.slots[slot_of(&table, i)]];
  free(table.slots);
  return code;
}
