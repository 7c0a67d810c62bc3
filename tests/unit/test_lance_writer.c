/* Lance shards as they are written, read back. */
#include "cmocka_includes.h"

#include "base/uuid.h"
#include "formats/formats.h"
#include "formats/lance/data_file.h"
#include "formats/lance/manifest.h"
#include "formats/lance/roaring.h"
#include "formats/lance/wire.h"
#include "random.h"
#include "temporary_folder.h"

#include "lance_index.pb-c.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#define MAX_PAYLOAD ((size_t)3 << 20)
#define MAX_PAGE_BYTES ((uint64_t)4 << 20)

/* What a shard is made of: row i follows from it. */
typedef struct sample {
  uint64_t num_rows;
  uint32_t dim;
  uint64_t seed;
  bool has_no_payloads;
  bool has_huge_payloads;
  sf_metric metric;
} sample;

/* A row, with room for what it points to. */
typedef struct made_row {
  sf_shard_row row;
  char id[64];
  char *payload; /* MAX_PAYLOAD */
  float *vector;
} made_row;

static made_row room_for_row(const sample *of) {
  made_row made = {.payload = malloc(MAX_PAYLOAD), .vector = calloc(of->dim, sizeof(float))};
  assert_non_null(made.payload);
  assert_non_null(made.vector);
  return made;
}

static void free_row(made_row *made) {
  free(made->payload);
  free(made->vector);
}

static const char *pick_payload(const sample *of, uint64_t index, uint64_t *random, made_row *made) {
  uint64_t kind = random_below(random, 10);
  if (of->has_no_payloads || kind < 3)
    return NULL;
  if (kind == 3)
    return "{}";
  if (kind == 4)
    return "{\"text\": \"\xC3\xA9\xE6\xBC\xA2\xF0\x9F\xA6\x80\"}";
  if (kind < 9 || !of->has_huge_payloads) {
    snprintf(made->payload, MAX_PAYLOAD, "{\"n\": %" PRIu64 "}", index);
    return made->payload;
  }
  static const char begin[] = "{\"x\": \"";
  static const char end[] = "\"}";
  size_t length = (size_t)random_below(random, MAX_PAYLOAD - sizeof(begin) - sizeof(end));
  memcpy(made->payload, begin, sizeof(begin) - 1);
  memset(made->payload + sizeof(begin) - 1, 'x', length);
  memcpy(made->payload + sizeof(begin) - 1 + length, end, sizeof(end));
  return made->payload;
}

static void pick_id(uint64_t index, uint64_t *random, made_row *made) {
  static const int64_t integers[] = {0, -1, INT64_MIN, INT64_MAX};
  sf_shard_row *row = &made->row;
  row->id_string = made->id;
  switch (random_below(random, 4)) {
  case 0:
    row->id_type = SF_ID_INTEGER;
    row->id_integer = random_below(random, 8) == 0 ? integers[random_below(random, 4)] : (int64_t)index;
    return;
  case 1:
    made->id[0] = '\0';
    break;
  default:
    snprintf(made->id, sizeof(made->id), "\xD0\xBA\xD0\xBB\xD1\x8E\xD1\x87-%" PRIu64, index);
  }
  row->id_type = SF_ID_STRING;
  row->id_length = strlen(made->id);
}

static void make_row(const sample *of, uint64_t index, made_row *made) {
  uint64_t random = of->seed * 1000003 + index;
  made->row = (sf_shard_row){.vector = made->vector};
  pick_id(index, &random, made);
  for (uint32_t i = 0; i < of->dim; i++)
    made->vector[i] = random_component(&random);
  made->row.payload = pick_payload(of, index, &random, made);
  made->row.payload_length = made->row.payload != NULL ? strlen(made->row.payload) : 0;
}

static sf_shard_writer *create_writer(uint32_t dim, sf_metric metric, const char *name) {
  char path[PATH_SIZE];
  sf_error error = {0};
  sf_shard_writer *writer = NULL;
  remove_files(path_of(path, name));
  mkdir(path, 0777);
  sf_shard_writer_options options = {.directory = path, .db_id = 7, .dim = dim, .metric = metric};
  if (sf_shard_writer_create("lance", &options, &writer, &error) != SF_OK)
    fail_msg("%s", error.message);
  return writer;
}

static void write_shard(const sample *of, const char *name) {
  sf_error error = {0};
  sf_shard_writer *writer = create_writer(of->dim, of->metric, name);
  made_row made = room_for_row(of);
  for (uint64_t i = 0; i < of->num_rows; i++) {
    make_row(of, i, &made);
    if (sf_shard_writer_add(writer, &made.row, 1, &error) != SF_OK)
      fail_msg("%s", error.message);
  }
  if (sf_shard_writer_finish(writer, &error) != SF_OK)
    fail_msg("%s", error.message);
  sf_shard_writer_free(writer);
  free_row(&made);
}

/* ----------------------------------------------------------------------------------------------------- Reading back */

typedef struct checking_sink {
  sf_row_sink base;
  const sample *of;
  made_row expected;
  uint64_t next; /* the row that comes next */
} checking_sink;

static bool check_row(sf_row_sink *sink, sf_id_type id_type, int64_t id_integer, const char *id_string,
                      size_t id_length, const char *payload, size_t payload_length) {
  checking_sink *checking = (checking_sink *)sink;
  const sf_shard_row *expected = &checking->expected.row;
  char decimal[32];
  (void)id_integer;
  make_row(checking->of, checking->next++, &checking->expected);
  snprintf(decimal, sizeof(decimal), "%" PRId64, expected->id_integer);
  assert_int_equal(id_type, SF_ID_STRING);
  const char *expected_id = expected->id_type == SF_ID_INTEGER ? decimal : expected->id_string;
  assert_int_equal(id_length, strlen(expected_id));
  assert_memory_equal(id_string, expected_id, id_length);
  assert_int_equal(payload == NULL, expected->payload == NULL);
  if (payload != NULL) {
    assert_int_equal(payload_length, expected->payload_length);
    assert_memory_equal(payload, expected->payload, payload_length);
  }
  return true;
}

static void check_ids_and_payloads(const sample *of, sf_shard *shard) {
  checking_sink sink = {.base = {.add = check_row}, .of = of, .expected = room_for_row(of)};
  sf_error error = {0};
  while (sink.next < of->num_rows) {
    uint64_t rows[100];
    size_t count = 0;
    for (uint64_t row = sink.next; row < of->num_rows && count < 100; row++)
      rows[count++] = row;
    if (sf_lance_format.fetch_rows(shard, rows, count, &sink.base, &error) != SF_OK)
      fail_msg("%s", error.message);
  }
  free_row(&sink.expected);
}

static void check_vectors(const sample *of, const sf_shard *shard) {
  made_row expected = room_for_row(of);
  uint64_t row = 0;
  for (size_t i = 0; i < shard->num_segments; i++) {
    const sf_vector_segment *segment = &shard->segments[i];
    assert_int_equal((uintptr_t)segment->vectors % 64, 0);
    assert_int_equal(segment->first_row, row);
    assert_null(segment->excluded);
    for (size_t j = 0; j < segment->num_rows; j++, row++) {
      make_row(of, row, &expected);
      assert_memory_equal(segment->vectors + j * of->dim, expected.vector, of->dim * sizeof(float));
    }
  }
  assert_int_equal(row, of->num_rows);
  free_row(&expected);
}

static void check_shard(const sample *of, const char *name) {
  char cache[PATH_SIZE];
  sf_error error = {0};
  sf_storage *storage = NULL;
  sf_shard *shard = NULL;
  assert_int_equal(sf_storage_open(use_temporary_folder(), NULL, &storage, &error), SF_OK);
  sf_shard_params params = {.storage = storage,
                            .db_url = name,
                            .key = name,
                            .cache_dir = path_of(cache, "cache"),
                            .dim = of->dim,
                            .metric = SF_METRIC_L2};
  bool detected = false;
  assert_int_equal(sf_lance_format.detect(&params, NULL, &detected, &error), SF_OK);
  assert_true(detected);
  if (sf_lance_format.open(&params, NULL, &shard, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_int_equal(shard->num_rows, of->num_rows);
  assert_int_equal(shard->num_not_finite, 0);
  check_vectors(of, shard);
  check_ids_and_payloads(of, shard);
  if (sf_lance_format.verify(shard, NULL, &error) != SF_OK)
    fail_msg("%s", error.message);
  sf_lance_format.close(shard);
  sf_storage_close(storage);
}

static void assert_round_trip(sample of) {
  write_shard(&of, "shard");
  check_shard(&of, "shard");
}

static void what_was_written_is_read_back(void **state) {
  (void)state;
  static const uint32_t dims[] = {1, 2, 3, 16, 100, 384, 2048};
  static const uint64_t counts[] = {1, 2, 63, 500, 3000};
  for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
    for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++)
      if (dims[i] * counts[j] <= 2000000)
        assert_round_trip((sample){.num_rows = counts[j], .dim = dims[i], .seed = i * 10 + j});
}

static void rows_of_many_pages_are_read_back(void **state) {
  (void)state;
  assert_round_trip((sample){.num_rows = 70000, .dim = 32, .seed = 1});
  assert_round_trip((sample){.num_rows = 65536, .dim = 1, .seed = 2, .metric = SF_METRIC_L2});
  assert_round_trip((sample){.num_rows = 65537, .dim = 1, .seed = 3, .has_no_payloads = true});
}

static void payloads_larger_than_a_page_are_read_back(void **state) {
  (void)state;
  assert_round_trip((sample){.num_rows = 60, .dim = 4, .seed = 4, .has_huge_payloads = true});
}

static void a_vector_larger_than_a_page_is_read_back(void **state) {
  (void)state;
  assert_round_trip((sample){.num_rows = 2, .dim = (1 << 20) + 1, .seed = 5});
}

static void a_shard_without_rows_is_an_empty_dataset(void **state) {
  (void)state;
  char path[PATH_SIZE];
  assert_round_trip((sample){.num_rows = 0, .dim = 4});
  assert_int_not_equal(access(path_of(path, "shard/vector_index.lance/data/0.lance"), F_OK), 0);
  assert_int_not_equal(access(path_of(path, "shard/vector_index.lance/_indices"), F_OK), 0);
}

/* --------------------------------------------------------------------------------------------------------- The file */

/* Of all rows but the first, which the index has. */
static sf_buffer read_data_file(void) {
  char path[PATH_SIZE];
  return read_whole_file(path_of(path, "shard/vector_index.lance/data/1.lance"));
}

static void check_pages(const sf_lance_data_file *file, uint32_t column_index, uint64_t num_rows) {
  sf_lance_column column;
  sf_error error = {0};
  assert_int_equal(sf_lance_column_open(file, column_index, "a", NULL, &column, &error), SF_OK);
  assert_int_equal(column.num_rows, num_rows);
  assert_true(column.num_pages > 1);
  for (size_t i = 0; i < column.num_pages; i++) {
    uint64_t length = 0;
    for (size_t j = 0; j < column.pages[i].num_buffers; j++) {
      assert_int_equal(column.pages[i].buffer_offsets[j] % 64, 0);
      length += column.pages[i].buffer_sizes[j];
    }
    assert_true(length <= MAX_PAGE_BYTES);
    assert_int_equal(column.metadata->pages[i]->priority, column.pages[i].first_row);
  }
  sf_lance_column_close(&column);
}

static void pages_are_aligned_and_of_bounded_size(void **state) {
  (void)state;
  sample of = {.num_rows = 70000, .dim = 20, .seed = 6};
  sf_lance_object *object;
  sf_lance_data_file file;
  sf_error error = {0};
  write_shard(&of, "shard");
  sf_buffer bytes = read_data_file();
  assert_int_equal(sf_lance_object_open_bytes((sf_lance_bytes){bytes.data, bytes.length}, "f", &object, &error), SF_OK);
  assert_int_equal(sf_lance_data_file_open(object, NULL, &file, &error), SF_OK);
  assert_int_equal(file.version, SF_LANCE_FILE_2_0);
  for (uint32_t i = 0; i < 3; i++)
    check_pages(&file, i, of.num_rows - 1);
  sf_lance_data_file_close(&file);
  sf_buffer_free(&bytes);
}

static void batches_of_any_size_make_the_same_file(void **state) {
  (void)state;
  sample of = {.num_rows = 300, .dim = 5, .seed = 7};
  sf_shard_row rows[300];
  made_row *made = calloc(of.num_rows, sizeof(*made));
  for (size_t i = 0; i < of.num_rows; i++) {
    made[i] = room_for_row(&of);
    make_row(&of, i, &made[i]);
    rows[i] = made[i].row;
  }
  write_shard(&of, "shard");
  sf_buffer one_by_one = read_data_file();
  sf_shard_writer *writer = create_writer(of.dim, of.metric, "shard");
  assert_int_equal(sf_shard_writer_add(writer, rows, 0, NULL), SF_OK);
  assert_int_equal(sf_shard_writer_add(writer, rows, 299, NULL), SF_OK);
  assert_int_equal(sf_shard_writer_add(writer, rows + 299, 1, NULL), SF_OK);
  assert_int_equal(sf_shard_writer_finish(writer, NULL), SF_OK);
  sf_shard_writer_free(writer);
  sf_buffer at_once = read_data_file();
  assert_int_equal(at_once.length, one_by_one.length);
  assert_memory_equal(at_once.data, one_by_one.data, at_once.length);
  sf_buffer_free(&one_by_one);
  sf_buffer_free(&at_once);
  for (size_t i = 0; i < of.num_rows; i++)
    free_row(&made[i]);
  free(made);
}

/* -------------------------------------------------------------------------------------------------------- The index */

static sf_buffer read_manifest_file(void) {
  char path[PATH_SIZE];
  return read_whole_file(path_of(path, "shard/vector_index.lance/_versions/18446744073709551614.manifest"));
}

static sf_lance_manifest parse_manifest(const sf_buffer *bytes) {
  sf_lance_manifest manifest = {0};
  sf_error error = {0};
  if (sf_lance_manifest_parse((sf_lance_bytes){bytes->data, bytes->length}, &manifest, &error) != SF_OK)
    fail_msg("%s", error.message);
  return manifest;
}

static Sf__Lance__IndexSection *unpack_section(const sf_buffer *manifest) {
  Sf__Lance__IndexSection *section = NULL;
  sf_error error = {0};
  sf_lance_bytes bytes = {manifest->data + 4, sf_load_u32(manifest->data)};
  if (sf_lance_wire_unpack(&sf__lance__index_section__descriptor, bytes, "index", &section, &error) != SF_OK)
    fail_msg("%s", error.message);
  return section;
}

static const char *name_index_file(const Sf__Lance__Index *index, size_t file, char name[200]) {
  char uuid[SF_UUID_SIZE];
  assert_int_equal(index->uuid->uuid.len, SF_UUID_BYTES);
  sf_uuid_print(index->uuid->uuid.data, uuid);
  snprintf(name, 200, "shard/vector_index.lance/_indices/%s/%s", uuid, index->files[file]->path);
  return name;
}

/* The file's columns, and the partitions that are its second global buffer. */
static sf_buffer open_index_file(const Sf__Lance__Index *index, size_t number, sf_lance_data_file *file,
                                 Sf__Lance__Partitions **partitions) {
  char name[200];
  char path[PATH_SIZE];
  sf_error error = {0};
  sf_lance_object *object;
  sf_buffer bytes = read_whole_file(path_of(path, name_index_file(index, number, name)));
  assert_int_equal(bytes.length, index->files[number]->size);
  assert_int_equal(sf_lance_object_open_bytes((sf_lance_bytes){bytes.data, bytes.length}, "i", &object, &error), SF_OK);
  if (sf_lance_data_file_open(object, NULL, file, &error) != SF_OK)
    fail_msg("%s", error.message);
  const uint8_t *footer = bytes.data + bytes.length - 40;
  assert_int_equal(sf_load_u32(footer + 24), 2);
  const uint8_t *entry = bytes.data + sf_load_u64(footer + 16) + 16;
  sf_lance_bytes message = {bytes.data + sf_load_u64(entry), (size_t)sf_load_u64(entry + 8)};
  assert_int_equal(sf_lance_wire_unpack(&sf__lance__partitions__descriptor, message, "partitions", partitions, &error),
                   SF_OK);
  return bytes;
}

/* A vector times a factor, to the precision of a float. */
static void assert_vector(const uint8_t *stored, const float *vector, uint32_t dim, double factor) {
  for (uint32_t i = 0; i < dim; i++) {
    float component;
    memcpy(&component, stored + i * sizeof(float), sizeof(component));
    double expected = vector[i] * factor;
    assert_true(fabs(component - expected) <= 1e-6 * fabs(expected));
  }
}

static void check_index_files(const sample *of, const Sf__Lance__Index *index) {
  made_row first = room_for_row(of);
  make_row(of, 0, &first);
  double square = 0;
  for (uint32_t i = 0; i < of->dim; i++)
    square += (double)first.vector[i] * first.vector[i];
  double factor = of->metric == SF_METRIC_COSINE ? 1 / sqrt(square) : 1;
  assert_int_equal(index->n_files, 2);
  for (size_t i = 0; i < 2; i++) {
    sf_lance_data_file file;
    sf_lance_column column;
    Sf__Lance__Partitions *partitions = NULL;
    sf_error error = {0};
    sf_buffer bytes = open_index_file(index, i, &file, &partitions);
    assert_int_equal(partitions->n_offsets, 1);
    assert_int_equal(partitions->lengths[0], i); /* the first file has the centroid, the second the row */
    if (i == 0) {
      assert_int_equal(partitions->centroids->data.len, of->dim * sizeof(float));
      assert_vector(partitions->centroids->data.data, first.vector, of->dim, factor);
    } else {
      assert_int_equal(sf_lance_column_open(&file, 1, "flat", NULL, &column, &error), SF_OK);
      assert_int_equal(column.num_rows, 1);
      assert_vector(bytes.data + column.pages[0].buffer_offsets[0], first.vector, of->dim, factor);
      sf_lance_column_close(&column);
    }
    sf_lance_wire_free(partitions);
    sf_lance_data_file_close(&file);
    sf_buffer_free(&bytes);
  }
  free_row(&first);
}

static void an_index_of_the_first_row_names_the_metric(void **state) {
  (void)state;
  static const sf_metric metrics[] = {SF_METRIC_COSINE, SF_METRIC_DOT_PRODUCT};
  for (size_t i = 0; i < 2; i++)
    for (uint64_t num_rows = 1; num_rows <= 100; num_rows += 99) {
      sample of = {.num_rows = num_rows, .dim = 37, .seed = 8, .metric = metrics[i]};
      write_shard(&of, "shard");
      sf_buffer bytes = read_manifest_file();
      sf_lance_manifest manifest = parse_manifest(&bytes);
      assert_true(manifest.message->has_index_section);
      assert_int_equal(manifest.message->index_section, 0);
      assert_int_equal(manifest.message->n_fragments, num_rows == 1 ? 1 : 2);
      assert_int_equal(manifest.message->fragments[0]->physical_rows, 1);
      Sf__Lance__IndexSection *section = unpack_section(&bytes);
      assert_int_equal(section->n_indices, 1);
      const Sf__Lance__Index *index = section->indices[0];
      uint8_t fragments = 0;
      uint64_t num_fragments = 0;
      sf_lance_bytes bitmap = {index->fragment_bitmap.data, index->fragment_bitmap.len};
      assert_int_equal(sf_lance_roaring_check(bitmap, &num_fragments, NULL), SF_OK);
      sf_lance_roaring_mark(bitmap, 0, 8, &fragments);
      assert_int_equal(num_fragments, 1);
      assert_int_equal(fragments, 1);
      assert_int_equal(index->fields[0], manifest.field_ids[SF_LANCE_VECTOR]);
      check_index_files(&of, index);
      check_shard(&of, "shard");
      sf_lance_wire_free(section);
      sf_lance_manifest_free(&manifest);
      sf_buffer_free(&bytes);
    }
}

static void a_shard_by_l2_has_no_index(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sample of = {.num_rows = 100, .dim = 5, .seed = 9, .metric = SF_METRIC_L2};
  assert_round_trip(of);
  sf_buffer bytes = read_manifest_file();
  sf_lance_manifest manifest = parse_manifest(&bytes);
  assert_false(manifest.message->has_index_section);
  assert_int_equal(manifest.message->n_fragments, 1);
  assert_int_equal(manifest.message->fragments[0]->physical_rows, of.num_rows);
  assert_int_not_equal(access(path_of(path, "shard/vector_index.lance/_indices"), F_OK), 0);
  sf_lance_manifest_free(&manifest);
  sf_buffer_free(&bytes);
}

/* --------------------------------------------------------------------------------------------------------- Failures */

static void an_index_that_can_not_be_written_fails_the_writer(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_error error = {0};
  sample of = {.num_rows = 1, .dim = 3};
  made_row made = room_for_row(&of);
  make_row(&of, 0, &made);
  sf_shard_writer *writer = create_writer(of.dim, of.metric, "shard");
  put_text("shard/vector_index.lance/_indices", "a file");
  assert_int_equal(sf_shard_writer_add(writer, &made.row, 1, &error), SF_ERROR);
  assert_non_null(strstr(error.message, "shard 7: can't make the folder "));
  assert_non_null(strstr(error.message, "_indices"));
  sf_shard_writer_free(writer);
  path_of(path, "shard/vector_index.lance/_versions/18446744073709551614.manifest");
  assert_int_not_equal(access(path, F_OK), 0);
  free_row(&made);
}

static void a_shard_that_was_not_finished_is_none(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_error error = {0};
  sf_storage *storage = NULL;
  bool detected = true;
  sample of = {.num_rows = 1, .dim = 3};
  made_row made = room_for_row(&of);
  make_row(&of, 0, &made);
  sf_shard_writer *writer = create_writer(of.dim, of.metric, "unfinished");
  assert_int_equal(sf_shard_writer_add(writer, &made.row, 1, &error), SF_OK);
  sf_shard_writer_free(writer);
  assert_int_equal(sf_storage_open(use_temporary_folder(), NULL, &storage, &error), SF_OK);
  sf_shard_params params = {.storage = storage, .db_url = "u", .key = "unfinished", .cache_dir = path, .dim = of.dim};
  assert_int_equal(sf_lance_format.detect(&params, NULL, &detected, &error), SF_OK);
  assert_false(detected);
  sf_storage_close(storage);
  free_row(&made);
}

static void a_folder_that_holds_a_shard_is_refused(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_error error = {0};
  sample of = {.num_rows = 1, .dim = 3};
  made_row made = room_for_row(&of);
  make_row(&of, 0, &made);
  write_shard(&of, "shard");
  sf_shard_writer *writer = NULL;
  sf_shard_writer_options options = {.directory = path_of(path, "shard"), .db_id = 7, .dim = of.dim};
  assert_int_equal(sf_shard_writer_create("lance", &options, &writer, &error), SF_OK);
  assert_int_equal(sf_shard_writer_add(writer, &made.row, 1, &error), SF_ERROR);
  assert_non_null(strstr(error.message, "shard 7: can't make "));
  assert_non_null(strstr(error.message, "data/0.lance: File exists"));
  sf_shard_writer_free(writer);
  free_row(&made);
}

static void a_folder_that_can_not_be_made_is_named(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_error error = {0};
  sf_shard_writer *writer = NULL;
  put_text("file", "");
  sf_shard_writer_options options = {.directory = path_of(path, "file"), .db_id = 7, .dim = 3};
  assert_int_equal(sf_shard_writer_create("lance", &options, &writer, &error), SF_ERROR);
  assert_non_null(strstr(error.message, "shard 7: can't make the folder "));
  assert_null(writer);
}

static void every_metric_and_dimension_of_the_format_is_taken(void **state) {
  (void)state;
  sf_error error = {0};
  assert_int_equal(sf_lance_format.writer->check(SF_METRIC_DOT_PRODUCT, 0, &error), SF_OK);
  assert_int_equal(sf_lance_format.writer->check(SF_METRIC_COSINE, INT32_MAX, &error), SF_OK);
  assert_int_equal(sf_lance_format.writer->check(SF_METRIC_L2, (uint32_t)INT32_MAX + 1, &error),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "2147483648"));
}

/* As on a disk that is full, but for the reason. */
static void a_file_that_can_not_grow_fails_the_writer(void **state) {
  (void)state;
  sf_error error = {0};
  sf_code code = SF_OK;
  sample of = {.num_rows = 3000, .dim = 2048};
  made_row made = room_for_row(&of);
  sf_shard_writer *writer = create_writer(of.dim, of.metric, "shard");
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 1000000, .rlim_max = before.rlim_max});
  for (uint64_t i = 0; i < of.num_rows && code == SF_OK; i++) {
    make_row(&of, i, &made);
    code = sf_shard_writer_add(writer, &made.row, 1, &error);
  }
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  assert_int_equal(code, SF_ERROR);
  assert_non_null(strstr(error.message, "shard 7: can't write "));
  sf_shard_writer_free(writer);
  free_row(&made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_written_is_read_back),
      cmocka_unit_test(rows_of_many_pages_are_read_back),
      cmocka_unit_test(payloads_larger_than_a_page_are_read_back),
      cmocka_unit_test(a_vector_larger_than_a_page_is_read_back),
      cmocka_unit_test(a_shard_without_rows_is_an_empty_dataset),
      cmocka_unit_test(pages_are_aligned_and_of_bounded_size),
      cmocka_unit_test(batches_of_any_size_make_the_same_file),
      cmocka_unit_test(an_index_of_the_first_row_names_the_metric),
      cmocka_unit_test(a_shard_by_l2_has_no_index),
      cmocka_unit_test(an_index_that_can_not_be_written_fails_the_writer),
      cmocka_unit_test(a_shard_that_was_not_finished_is_none),
      cmocka_unit_test(a_folder_that_holds_a_shard_is_refused),
      cmocka_unit_test(a_folder_that_can_not_be_made_is_named),
      cmocka_unit_test(every_metric_and_dimension_of_the_format_is_taken),
      cmocka_unit_test(a_file_that_can_not_grow_fails_the_writer),
  };
  return cmocka_run_group_tests_name("lance writer", tests, NULL, NULL);
}
