#include "cmocka_includes.h"
#include "formats/lance/deletions.h"
#include "formats/lance/manifest.h"
#include "formats/lance/mini_block.h"
#include "formats/lance/wire.h"

#include <string.h>

static void append_u16(sf_buffer *buffer, unsigned value) {
  uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
  assert_true(sf_buffer_append(buffer, bytes, 2));
}

static void append_u32(sf_buffer *buffer, uint32_t value) {
  append_u16(buffer, value & 0xFFFF);
  append_u16(buffer, value >> 16);
}

static sf_lance_bytes bytes_of(const sf_buffer *buffer) {
  return (sf_lance_bytes){buffer->data, buffer->length};
}

/* --------------------------------------------------------------------------------------------------------- Versions */

static void both_naming_schemes_tell_versions(void **state) {
  (void)state;
  uint64_t version;
  assert_true(sf_lance_manifest_version("7.manifest", &version));
  assert_int_equal(version, 7);
  assert_true(sf_lance_manifest_version("18446744073709551612.manifest", &version));
  assert_int_equal(version, 3);
  assert_true(sf_lance_manifest_version("00000000000000000000.manifest", &version));
  assert_true(version == UINT64_MAX);
}

static void other_names_are_no_versions(void **state) {
  (void)state;
  static const char *const names[] = {"",
                                      "manifest",
                                      ".manifest",
                                      "d7.manifest",
                                      "7.manifest/",
                                      "7.manifest.tmp",
                                      "-7.manifest",
                                      "latest_version_hint.json",
                                      "99999999999999999999.manifest"};
  uint64_t version;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    assert_false(sf_lance_manifest_version(names[i], &version));
}

/* -------------------------------------------------------------------------------------------------------- Manifests */

static void append_field(Sf__Lance__Field *field, char *name, int32_t id, char *type) {
  *field = (Sf__Lance__Field)SF__LANCE__FIELD__INIT;
  field->name = name;
  field->has_id = true;
  field->id = id;
  field->has_parent_id = true;
  field->parent_id = -1;
  field->logical_type = type;
}

/* A manifest file with the given type of vectors and flags. */
static void make_manifest(char *vector_type, uint64_t flags, sf_buffer *file) {
  static char id[] = "id";
  static char vector[] = "vector";
  static char payload[] = "payload";
  static char string[] = "string";
  Sf__Lance__Field fields[3];
  Sf__Lance__Field *pointers[3] = {&fields[0], &fields[1], &fields[2]};
  Sf__Lance__Manifest manifest = SF__LANCE__MANIFEST__INIT;
  append_field(&fields[0], id, 0, string);
  append_field(&fields[1], vector, 1, vector_type);
  append_field(&fields[2], payload, 2, string);
  manifest.n_fields = 3;
  manifest.fields = pointers;
  manifest.has_reader_feature_flags = true;
  manifest.reader_feature_flags = flags;
  size_t length = sf__lance__manifest__get_packed_size(&manifest);
  append_u32(file, (uint32_t)length);
  assert_true(sf_buffer_reserve(file, length));
  sf__lance__manifest__pack(&manifest, file->data + file->length);
  file->length += length;
  append_u32(file, 0);
  append_u32(file, 0);
  append_u32(file, 0);
  assert_true(sf_buffer_append(file, "LANC", 4));
}

static void check_manifest(char *vector_type, uint64_t flags, sf_code expected, const char *part_of_message,
                           sf_lance_item_type item_type, uint32_t dim) {
  sf_buffer file = {0};
  sf_lance_manifest manifest = {0};
  sf_error error = {0};
  make_manifest(vector_type, flags, &file);
  assert_int_equal(sf_lance_manifest_parse(bytes_of(&file), &manifest, &error), expected);
  if (expected == SF_OK) {
    assert_int_equal(manifest.item_type, item_type);
    assert_int_equal(manifest.dim, dim);
    assert_int_equal(manifest.field_ids[SF_LANCE_PAYLOAD], 2);
  } else {
    assert_non_null(strstr(error.message, part_of_message));
  }
  sf_lance_manifest_free(&manifest);
  sf_buffer_free(&file);
}

static void vectors_of_four_types_are_taken(void **state) {
  (void)state;
  char f32[] = "fixed_size_list:float:384";
  char f16[] = "fixed_size_list:halffloat:1";
  char f64[] = "fixed_size_list:double:3";
  char bf16[] = "fixed_size_list:lance.bfloat16:4096";
  check_manifest(f32, 0, SF_OK, NULL, SF_LANCE_FLOAT32, 384);
  check_manifest(f16, 0, SF_OK, NULL, SF_LANCE_FLOAT16, 1);
  check_manifest(f64, 0, SF_OK, NULL, SF_LANCE_FLOAT64, 3);
  check_manifest(bf16, 0, SF_OK, NULL, SF_LANCE_BFLOAT16, 4096);
}

static void vectors_of_other_types_are_refused_by_name(void **state) {
  (void)state;
  char integers[] = "fixed_size_list:int8:16";
  char list[] = "list";
  char no_dim[] = "fixed_size_list:float:0";
  check_manifest(integers, 0, SF_DB_ADAPTER_ERROR, "fixed_size_list:int8:16", 0, 0);
  check_manifest(list, 0, SF_DB_ADAPTER_ERROR, "'list'", 0, 0);
  check_manifest(no_dim, 0, SF_DB_ADAPTER_ERROR, "fixed_size_list:float:0", 0, 0);
}

static void an_unknown_reader_flag_is_refused_by_number(void **state) {
  (void)state;
  char f32[] = "fixed_size_list:float:384";
  check_manifest(f32, 63, SF_OK, NULL, SF_LANCE_FLOAT32, 384);
  check_manifest(f32, 1 | 64 | 256, SF_DB_ADAPTER_ERROR, "flag 64 ", 0, 0);
}

/* General compression of general compression, `depth` times, of nothing. */
static sf_code unpack_nested(size_t depth, sf_error *error) {
  Sf__Lance__CompressiveEncoding encodings[64];
  Sf__Lance__General generals[64];
  uint8_t bytes[1024];
  assert_true(depth < 64);
  for (size_t i = 0; i <= depth; i++) {
    encodings[i] = (Sf__Lance__CompressiveEncoding)SF__LANCE__COMPRESSIVE_ENCODING__INIT;
    generals[i] = (Sf__Lance__General)SF__LANCE__GENERAL__INIT;
    if (i == depth)
      break;
    encodings[i].compression_case = SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_GENERAL;
    encodings[i].general = &generals[i];
    generals[i].values = &encodings[i + 1];
  }
  size_t length = sf__lance__compressive_encoding__get_packed_size(&encodings[0]);
  assert_true(length <= sizeof(bytes));
  sf__lance__compressive_encoding__pack(&encodings[0], bytes);
  Sf__Lance__CompressiveEncoding *unpacked = NULL;
  sf_code code = sf_lance_wire_unpack(&sf__lance__compressive_encoding__descriptor, (sf_lance_bytes){bytes, length},
                                      "encoding", &unpacked, error);
  sf_lance_wire_free(unpacked);
  return code;
}

static void messages_that_lie_too_deep_in_one_another_are_refused(void **state) {
  (void)state;
  sf_error error;
  assert_int_equal(unpack_nested(10, &error), SF_OK);
  assert_int_equal(unpack_nested(40, &error), SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "deep"));
}

static void a_single_message_that_comes_twice_is_refused(void **state) {
  (void)state;
  static const uint8_t twice[] = {1 << 3 | 2, 0, 1 << 3 | 2, 0};
  Sf__Lance__CompressiveEncoding *encoding = NULL;
  sf_error error;
  assert_int_equal(sf_lance_wire_unpack(&sf__lance__compressive_encoding__descriptor,
                                        (sf_lance_bytes){twice, sizeof(twice)}, "encoding", &encoding, &error),
                   SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "twice"));
}

/* -------------------------------------------------------------------------------------------------------- Deletions */

static void assert_marked(const sf_buffer *file, uint64_t first, const char *expected) {
  sf_lance_deletions deletions = {0};
  sf_error error;
  uint8_t excluded[8] = {0};
  size_t count = strlen(expected);
  assert_int_equal(sf_lance_deletions_parse_bitmap(bytes_of(file), &deletions, &error), SF_OK);
  sf_lance_deletions_mark(&deletions, first, count, excluded);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(sf_lance_bit(excluded, i), expected[i] == 'x');
  sf_lance_deletions_free(&deletions);
}

static void a_roaring_array_marks_its_rows(void **state) {
  (void)state;
  sf_buffer file = {0};
  append_u32(&file, 12346);
  append_u32(&file, 2);
  append_u16(&file, 0), append_u16(&file, 2);
  append_u16(&file, 1), append_u16(&file, 0);
  append_u32(&file, 24), append_u32(&file, 30);
  append_u16(&file, 1), append_u16(&file, 3), append_u16(&file, 65535);
  append_u16(&file, 0);
  assert_marked(&file, 0, "-x-x--");
  assert_marked(&file, 65534, "-xx-");
  sf_buffer_free(&file);
}

static void a_roaring_run_marks_its_rows(void **state) {
  (void)state;
  sf_buffer file = {0};
  append_u32(&file, 12347);
  assert_true(sf_buffer_append(&file, "\1", 1));
  append_u16(&file, 2), append_u16(&file, 4);
  append_u16(&file, 2);
  append_u16(&file, 10), append_u16(&file, 2), append_u16(&file, 15), append_u16(&file, 1);
  assert_marked(&file, (2 << 16) + 8, "--xxx--xx-");
  assert_marked(&file, 8, "----------");
  sf_buffer_free(&file);
}

static void a_roaring_bitmap_marks_its_rows(void **state) {
  (void)state;
  sf_buffer file = {0};
  uint8_t bits[8192];
  memset(bits, 0x55, sizeof(bits));
  append_u32(&file, 12346);
  append_u32(&file, 1);
  append_u16(&file, 0), append_u16(&file, 32767);
  append_u32(&file, 16);
  assert_true(sf_buffer_append(&file, bits, sizeof(bits)));
  assert_marked(&file, 0, "x-x-x-");
  assert_marked(&file, 65533, "-x----");
  sf_buffer_free(&file);
}

static void broken_roaring_bitmaps_are_refused(void **state) {
  (void)state;
  sf_lance_deletions deletions = {0};
  sf_error error;
  sf_buffer file = {0};
  append_u32(&file, 12346);
  append_u32(&file, 1);
  append_u16(&file, 0), append_u16(&file, 1);
  append_u32(&file, 16);
  append_u16(&file, 3), append_u16(&file, 3);
  assert_int_equal(sf_lance_deletions_parse_bitmap(bytes_of(&file), &deletions, &error), SF_DB_ADAPTER_ERROR);
  file.length -= 2;
  assert_int_equal(sf_lance_deletions_parse_bitmap(bytes_of(&file), &deletions, &error), SF_DB_ADAPTER_ERROR);
  file.length = 6;
  assert_int_equal(sf_lance_deletions_parse_bitmap(bytes_of(&file), &deletions, &error), SF_DB_ADAPTER_ERROR);
  sf_buffer_free(&file);
}

/* ------------------------------------------------------------------------------------------------------ Mini-blocks */

static void a_chunk_is_found_by_its_values(void **state) {
  (void)state;
  sf_buffer words = {0};
  sf_lance_chunk_table table;
  sf_lance_chunk_place place;
  sf_error error;
  for (unsigned i = 0; i < 199; i++)
    append_u16(&words, (i % 3) << 4 | 2); /* 4 values in 8, 16 or 24 bytes */
  append_u16(&words, 0);
  assert_int_equal(sf_lance_chunk_table_init(&table, bytes_of(&words), false, 800, 100000, &error), SF_OK);
  uint64_t offset = 0;
  for (uint64_t chunk = 0; chunk < 200; chunk++) {
    for (uint64_t value = chunk * 4; value < chunk * 4 + 4; value++) {
      sf_lance_chunk_table_find(&table, value, &place);
      assert_int_equal(place.index, chunk);
      assert_int_equal(place.first_value, chunk * 4);
      assert_int_equal(place.num_values, 4);
      assert_int_equal(place.offset, offset);
    }
    offset += place.length;
  }
  sf_lance_chunk_table_free(&table);
  sf_buffer_free(&words);
}

static void chunks_that_do_not_add_up_are_refused(void **state) {
  (void)state;
  sf_buffer words = {0};
  sf_lance_chunk_table table;
  sf_error error;
  append_u16(&words, 2);
  append_u16(&words, 0);
  assert_int_equal(sf_lance_chunk_table_init(&table, bytes_of(&words), false, 4, 100, &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(sf_lance_chunk_table_init(&table, bytes_of(&words), false, 8, 8, &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(sf_lance_chunk_table_init(&table, bytes_of(&words), false, 100000, 100, &error),
                   SF_DB_ADAPTER_ERROR);
  words.length = 3;
  assert_int_equal(sf_lance_chunk_table_init(&table, bytes_of(&words), false, 8, 100, &error), SF_DB_ADAPTER_ERROR);
  sf_buffer_free(&words);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(both_naming_schemes_tell_versions),
      cmocka_unit_test(other_names_are_no_versions),
      cmocka_unit_test(vectors_of_four_types_are_taken),
      cmocka_unit_test(vectors_of_other_types_are_refused_by_name),
      cmocka_unit_test(an_unknown_reader_flag_is_refused_by_number),
      cmocka_unit_test(messages_that_lie_too_deep_in_one_another_are_refused),
      cmocka_unit_test(a_single_message_that_comes_twice_is_refused),
      cmocka_unit_test(a_roaring_array_marks_its_rows),
      cmocka_unit_test(a_roaring_run_marks_its_rows),
      cmocka_unit_test(a_roaring_bitmap_marks_its_rows),
      cmocka_unit_test(broken_roaring_bitmaps_are_refused),
      cmocka_unit_test(a_chunk_is_found_by_its_values),
      cmocka_unit_test(chunks_that_do_not_add_up_are_refused),
  };
  return cmocka_run_group_tests_name("lance dataset", tests, NULL, NULL);
}
