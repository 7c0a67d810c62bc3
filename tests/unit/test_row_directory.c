/* Row directories as blocks of bytes: what is written is read, and nothing else is. */
#include "cache/row_directory.h"

#include "cmocka_includes.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Offsets of the header's fields, and its length (docs/cache-format.md). */
enum { NUM_ROWS = 16, NUM_SLOTS = 24, ID_BYTES = 32, DATA_CHECKSUM = 48, HEADER_CHECKSUM = 56, HEADER_LENGTH = 128 };

static const sf_row_directory_identity identity = {.db_url = "s3://b/p", .checkpoint_id = "c", .content = 17};

typedef struct made_block {
  uint8_t *bytes;
  size_t length;
} made_block;

static sf_directory_id text_id(const char *text) {
  return (sf_directory_id){.text = text, .length = strlen(text)};
}

static sf_directory_id integer_id(int64_t integer) {
  return (sf_directory_id){.integer = integer};
}

static bool is_same(const sf_directory_id *id, const sf_directory_id *other) {
  if (id->text == NULL || other->text == NULL)
    return id->text == other->text && id->integer == other->integer;
  return id->length == other->length && memcmp(id->text, other->text, id->length) == 0;
}

/* Rows 1, 4 and 8 were deleted; rows 5 and 6 have ids of rows before them. */
enum { NUM_FEW = 9 };
static const bool few_deleted[NUM_FEW] = {[1] = true, [4] = true, [8] = true};

static sf_directory_id few_id(uint64_t row) {
  switch (row) {
  case 0:
    return text_id("12345678"); /* as long as an integer */
  case 2:
    return integer_id(-2);
  case 3:
    return text_id("");
  case 6:
    return integer_id(-2);
  case 7:
    return integer_id(INT64_MIN);
  default:
    return text_id("12345678");
  }
}

static made_block make_few(const sf_row_directory_identity *of) {
  sf_row_directory_builder builder = {0};
  made_block made;
  assert_true(sf_row_directory_builder_init(&builder, NUM_FEW));
  for (uint64_t row = 0; row < NUM_FEW; row++) {
    sf_directory_id id = few_id(row);
    if (!few_deleted[row])
      assert_true(sf_row_directory_builder_add(&builder, row, &id));
  }
  made.bytes = sf_row_directory_builder_write(&builder, of, &made.length);
  assert_non_null(made.bytes);
  sf_row_directory_builder_free(&builder);
  return made;
}

static bool is_read(const made_block *made, sf_row_directory *directory) {
  return sf_row_directory_read(made->bytes, made->length, &identity, directory);
}

static void correct_checksums(made_block *made) {
  uint64_t hash = XXH3_64bits(made->bytes + HEADER_LENGTH, made->length - HEADER_LENGTH);
  memcpy(made->bytes + DATA_CHECKSUM, &hash, sizeof(hash));
  memset(made->bytes + HEADER_CHECKSUM, 0, sizeof(hash));
  hash = XXH3_64bits(made->bytes, HEADER_LENGTH);
  memcpy(made->bytes + HEADER_CHECKSUM, &hash, sizeof(hash));
}

static void ids_are_found_by_row_and_rows_by_id(void **state) {
  (void)state;
  static const uint64_t first[NUM_FEW] = {0, 0, 2, 3, 0, 0, 2, 7, 0};
  sf_row_directory directory;
  made_block made = make_few(&identity);
  assert_true(is_read(&made, &directory));
  assert_int_equal(directory.num_rows, NUM_FEW);
  for (uint64_t row = 0; row < NUM_FEW; row++) {
    sf_directory_id id = few_id(row);
    sf_directory_id found = sf_row_directory_id(&directory, row);
    if (few_deleted[row])
      continue;
    assert_true(is_same(&found, &id));
    assert_int_equal(sf_row_directory_find(&directory, &id), first[row]);
  }
  free(made.bytes);
}

/* The bytes of the text are those of the integer, and the other way round. */
static void integers_and_texts_of_the_same_bytes_differ(void **state) {
  (void)state;
  sf_row_directory directory;
  int64_t bits;
  char text[9] = "";
  made_block made = make_few(&identity);
  assert_true(is_read(&made, &directory));
  memcpy(&bits, "12345678", sizeof(bits));
  sf_directory_id integer = integer_id(bits);
  assert_int_equal(sf_row_directory_find(&directory, &integer), SF_NO_ROW);
  bits = -2;
  memcpy(text, &bits, sizeof(bits));
  sf_directory_id bytes = {.text = text, .length = sizeof(bits)};
  assert_int_equal(sf_row_directory_find(&directory, &bytes), SF_NO_ROW);
  free(made.bytes);
}

static void a_shard_of_deleted_rows_has_a_directory_in_which_nothing_is_found(void **state) {
  (void)state;
  sf_row_directory_builder builder = {0};
  sf_row_directory directory;
  made_block made;
  const sf_directory_id ids[] = {text_id(""), integer_id(0)};
  assert_true(sf_row_directory_builder_init(&builder, 3));
  made.bytes = sf_row_directory_builder_write(&builder, &identity, &made.length);
  assert_non_null(made.bytes);
  assert_true(is_read(&made, &directory));
  for (size_t i = 0; i < 2; i++)
    assert_int_equal(sf_row_directory_find(&directory, &ids[i]), SF_NO_ROW);
  sf_row_directory_builder_free(&builder);
  free(made.bytes);
}

static void rows_are_added_in_order_and_below_their_number(void **state) {
  (void)state;
  sf_row_directory_builder builder = {0};
  const sf_directory_id id = text_id("a");
  assert_true(sf_row_directory_builder_init(&builder, 5));
  assert_true(sf_row_directory_builder_add(&builder, 3, &id));
  assert_false(sf_row_directory_builder_add(&builder, 3, &id));
  assert_false(sf_row_directory_builder_add(&builder, 2, &id));
  assert_false(sf_row_directory_builder_add(&builder, 5, &id));
  assert_true(sf_row_directory_builder_add(&builder, 4, &id));
  sf_row_directory_builder_free(&builder);
}

/* Only how many bytes there are is looked at. */
static void ids_are_bounded_in_bytes(void **state) {
  (void)state;
  sf_row_directory_builder builder = {.num_rows = 9, .ids.length = SF_ROW_DIRECTORY_MAX - 7};
  const sf_directory_id fits = text_id("1234567");
  const sf_directory_id longer = text_id("12345678");
  const sf_directory_id integer = integer_id(0); /* of 8 bytes */
  assert_true(sf_row_directory_builder_has_room(&builder, &fits));
  assert_false(sf_row_directory_builder_has_room(&builder, &longer));
  assert_false(sf_row_directory_builder_has_room(&builder, &integer));
  assert_false(sf_row_directory_builder_add(&builder, 0, &longer));
}

/* Row r of many has an id of r / 2: an integer, or a text of some length. */
enum { NUM_MANY = 20000 };

static sf_directory_id many_id(uint64_t row, char text[32]) {
  if (row % 4 < 2)
    return integer_id((int64_t)(row / 2));
  snprintf(text, 32, "row-%0*llu", (int)(row / 2 % 20), (unsigned long long)(row / 2));
  return text_id(text);
}

static void many_rows_are_found_in_at_most_16_bytes_each_beside_their_ids(void **state) {
  (void)state;
  sf_row_directory_builder builder = {0};
  sf_row_directory directory;
  made_block made;
  char text[32];
  assert_true(sf_row_directory_builder_init(&builder, NUM_MANY));
  for (uint64_t row = 0; row < NUM_MANY; row++) {
    sf_directory_id id = many_id(row, text);
    assert_true(sf_row_directory_builder_add(&builder, row, &id));
  }
  size_t id_bytes = builder.ids.length;
  made.bytes = sf_row_directory_builder_write(&builder, &identity, &made.length);
  assert_non_null(made.bytes);
  assert_true(made.length - id_bytes <= NUM_MANY * (size_t)16);
  assert_true(is_read(&made, &directory));
  for (uint64_t row = 0; row < NUM_MANY; row++) {
    sf_directory_id id = many_id(row, text);
    sf_directory_id found = sf_row_directory_id(&directory, row);
    assert_true(is_same(&found, &id));
    assert_int_equal(sf_row_directory_find(&directory, &id), row / 2 * 2);
    id = integer_id(-1 - (int64_t)row);
    assert_int_equal(sf_row_directory_find(&directory, &id), SF_NO_ROW);
  }
  sf_row_directory_builder_free(&builder);
  free(made.bytes);
}

static void a_block_of_another_identity_is_refused(void **state) {
  (void)state;
  const sf_row_directory_identity others[] = {
      {.db_url = "s3://b/q", .checkpoint_id = "c", .content = 17},
      {.db_url = "s3://b/p", .checkpoint_id = "d", .content = 17},
      {.db_url = "s3://b/p", .checkpoint_id = NULL, .content = 17},
      {.db_url = "s3://b/p", .checkpoint_id = "c", .content = 18},
      {.db_url = "s3://b/pc", .checkpoint_id = "", .content = 17},
  };
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    sf_row_directory directory;
    made_block made = make_few(&others[i]);
    assert_false(is_read(&made, &directory));
    free(made.bytes);
  }
}

/* Of exactly that length, for the sanitizer to see one byte too far. */
static void a_truncated_block_is_refused(void **state) {
  (void)state;
  sf_row_directory directory;
  made_block made = make_few(&identity);
  for (size_t length = 0; length < made.length; length++) {
    made_block cut = {.bytes = sf_block_allocate(length), .length = length};
    assert_non_null(cut.bytes);
    memcpy(cut.bytes, made.bytes, length);
    assert_false(is_read(&cut, &directory));
    if (length >= HEADER_LENGTH) {
      correct_checksums(&cut);
      assert_false(is_read(&cut, &directory));
    }
    free(cut.bytes);
  }
  free(made.bytes);
}

static void a_block_with_a_flipped_bit_is_refused(void **state) {
  (void)state;
  sf_row_directory directory;
  made_block made = make_few(&identity);
  for (size_t bit = 0; bit < made.length * 8; bit++) {
    made.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    assert_false(is_read(&made, &directory));
    made.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
  }
  assert_true(is_read(&made, &directory));
  free(made.bytes);
}

/* With checksums that fit. */
static void assert_refused(size_t offset, const void *value, size_t length) {
  sf_row_directory directory;
  made_block made = make_few(&identity);
  assert_true(offset + length <= made.length);
  memcpy(made.bytes + offset, value, length);
  correct_checksums(&made);
  assert_false(is_read(&made, &directory));
  free(made.bytes);
}

static void impossible_sizes_are_refused(void **state) {
  (void)state;
  static const uint64_t sizes[] = {0, 17, UINT32_MAX - 1, UINT32_MAX, UINT64_C(1) << 33, INT64_MAX, UINT64_MAX};
  static const size_t fields[] = {NUM_ROWS, NUM_SLOTS, ID_BYTES};
  for (size_t field = 0; field < 3; field++)
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
      assert_refused(fields[field], &sizes[i], sizeof(sizes[i]));
}

/* Where the sections of `make_few` begin: 9 ends, 10 slots, 10 tags, 2 bytes of bits, the ids. */
enum { ENDS = 128, SLOTS = 192, TAGS = 256, BITS = 320, IDS = 384 };

static void sections_that_contradict_each_other_are_refused(void **state) {
  (void)state;
  sf_row_directory directory;
  made_block made = make_few(&identity);
  uint32_t last;
  assert_true(is_read(&made, &directory));
  assert_ptr_equal(directory.id_ends, made.bytes + ENDS);
  assert_ptr_equal(directory.slots, made.bytes + SLOTS);
  assert_ptr_equal(directory.tags, made.bytes + TAGS);
  assert_ptr_equal(directory.integer_bits, made.bytes + BITS);
  assert_ptr_equal(directory.ids, made.bytes + IDS);
  last = directory.id_ends[NUM_FEW - 1];
  free(made.bytes);

  const uint32_t descending = last + 1;
  assert_refused(ENDS, &descending, sizeof(descending));
  const uint32_t before_last = last - 1;
  assert_refused(ENDS + (NUM_FEW - 1) * 4, &before_last, sizeof(before_last));
  assert_refused(ENDS + (NUM_FEW - 1) * 4, &descending, sizeof(descending));
  const uint8_t empty_integer = 1U << 3;
  assert_refused(BITS, &empty_integer, sizeof(empty_integer));
  const uint32_t no_row = NUM_FEW + 1;
  assert_refused(SLOTS, &no_row, sizeof(no_row));
  const uint32_t all_taken[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  assert_refused(SLOTS, all_taken, sizeof(all_taken));
}

static void a_slot_and_its_tag_are_both_taken_or_both_free(void **state) {
  (void)state;
  sf_row_directory directory;
  made_block made = make_few(&identity);
  assert_true(is_read(&made, &directory));
  uint8_t tags[10];
  memcpy(tags, directory.tags, sizeof(tags));
  for (size_t slot = 0; slot < 10; slot++) {
    assert_int_equal(directory.slots[slot] == 0, tags[slot] == 0);
    const uint8_t other = tags[slot] == 0 ? 7 : 0;
    assert_refused(TAGS + slot, &other, sizeof(other));
  }
  free(made.bytes);
}

/* Ids whose tags differ from those of all rows, and ids that a tag alone would take for a row's. */
static void ids_with_the_tag_of_a_row_are_told_apart(void **state) {
  (void)state;
  sf_row_directory_builder builder = {0};
  sf_row_directory directory;
  made_block made;
  const sf_directory_id only = integer_id(1);
  size_t num_alike = 0;
  assert_true(sf_row_directory_builder_init(&builder, 1));
  assert_true(sf_row_directory_builder_add(&builder, 0, &only));
  made.bytes = sf_row_directory_builder_write(&builder, &identity, &made.length);
  assert_non_null(made.bytes);
  assert_true(is_read(&made, &directory));
  for (int64_t i = 2; i < 3000; i++) {
    const sf_directory_id id = integer_id(i);
    num_alike += sf_row_directory_find_slot(&directory, sf_directory_id_hash(&id)) != SF_NO_ROW;
    assert_int_equal(sf_row_directory_find(&directory, &id), SF_NO_ROW);
  }
  assert_in_range(num_alike, 1, 300);
  sf_row_directory_builder_free(&builder);
  free(made.bytes);
}

/* Whatever the slots and ids of a block that passes say, searches end, and what is found is a row that has the id. */
static void a_block_of_random_slots_is_searched_to_an_end(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  for (int round = 0; round < 2000; round++) {
    sf_row_directory directory;
    made_block made = make_few(&identity);
    for (size_t slot = 0; slot < 10; slot++) {
      uint32_t row = (uint32_t)random_below(&random, NUM_FEW + 1);
      memcpy(made.bytes + SLOTS + slot * 4, &row, sizeof(row));
      if (row == 0 || made.bytes[TAGS + slot] == 0) /* most keep the tag that ids of rows have */
        made.bytes[TAGS + slot] = row == 0 ? 0 : 1 + (uint8_t)random_below(&random, 255);
    }
    correct_checksums(&made);
    for (uint64_t row = 0; is_read(&made, &directory) && row < NUM_FEW; row++) {
      sf_directory_id id = few_id(row);
      uint64_t found = sf_row_directory_find(&directory, &id);
      assert_true(found == SF_NO_ROW || found < NUM_FEW);
      sf_directory_id same = sf_row_directory_id(&directory, found == SF_NO_ROW ? row : found);
      assert_true(found == SF_NO_ROW || is_same(&same, &id));
    }
    free(made.bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ids_are_found_by_row_and_rows_by_id),
      cmocka_unit_test(integers_and_texts_of_the_same_bytes_differ),
      cmocka_unit_test(a_shard_of_deleted_rows_has_a_directory_in_which_nothing_is_found),
      cmocka_unit_test(rows_are_added_in_order_and_below_their_number),
      cmocka_unit_test(ids_are_bounded_in_bytes),
      cmocka_unit_test(many_rows_are_found_in_at_most_16_bytes_each_beside_their_ids),
      cmocka_unit_test(a_block_of_another_identity_is_refused),
      cmocka_unit_test(a_truncated_block_is_refused),
      cmocka_unit_test(a_block_with_a_flipped_bit_is_refused),
      cmocka_unit_test(impossible_sizes_are_refused),
      cmocka_unit_test(sections_that_contradict_each_other_are_refused),
      cmocka_unit_test(a_slot_and_its_tag_are_both_taken_or_both_free),
      cmocka_unit_test(ids_with_the_tag_of_a_row_are_told_apart),
      cmocka_unit_test(a_block_of_random_slots_is_searched_to_an_end),
  };
  return cmocka_run_group_tests_name("row_directory", tests, NULL, NULL);
}
