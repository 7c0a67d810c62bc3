#include "formats/lance/deletions.h"

#include "formats/lance/decoders.h"
#include "formats/lance/flatbuffer.h"
#include "formats/lance/roaring.h"

/* Of the Arrow columnar format (https://arrow.apache.org/docs/format/Columnar.html, "IPC File Format") and its schemas
 * File.fbs, Message.fbs and Schema.fbs: field numbers, and sizes of structs. */
static const uint8_t arrow_magic[6] = {'A', 'R', 'R', 'O', 'W', '1'};
#define CONTINUATION 0xFFFFFFFFu
enum { FOOTER_SCHEMA = 1, FOOTER_RECORD_BATCHES = 3 };
enum { SCHEMA_FIELDS = 1 };
enum { FIELD_TYPE_TYPE = 2, FIELD_TYPE = 3, TYPE_INT = 2, INT_BIT_WIDTH = 0 };
enum { MESSAGE_HEADER_TYPE = 1, MESSAGE_HEADER = 2, HEADER_RECORD_BATCH = 3 };
enum { BATCH_LENGTH = 0, BATCH_NODES = 1, BATCH_BUFFERS = 2, BATCH_COMPRESSION = 3 };
enum { COMPRESSION_CODEC = 0, CODEC_LZ4_FRAME = 0, CODEC_ZSTD = 1 };
#define BLOCK_SIZE ((size_t)24)  /* i64 offset, i32 metadata length, padding, i64 body length */
#define NODE_SIZE ((size_t)16)   /* i64 length, i64 null count */
#define BUFFER_SIZE ((size_t)16) /* i64 offset, i64 length */

static sf_code fail_arrow(sf_error *error, const char *expected) {
  return SF_LANCE_BAD(error, "broken Arrow IPC file: expected %s", expected);
}

static bool sub_bytes(sf_lance_bytes bytes, uint64_t offset, uint64_t length, sf_lance_bytes *part) {
  if (offset > bytes.length || length > bytes.length - offset)
    return false;
  *part = (sf_lance_bytes){bytes.data + offset, (size_t)length};
  return true;
}

/* The footer is followed by its length and the magic, at the end. */
static sf_code find_footer(sf_lance_bytes file, sf_lance_bytes *footer, size_t *root, sf_error *error) {
  size_t trailer = sizeof(arrow_magic) + 4;
  if (file.length < 8 + trailer || memcmp(file.data, arrow_magic, sizeof(arrow_magic)) != 0 ||
      memcmp(file.data + file.length - sizeof(arrow_magic), arrow_magic, sizeof(arrow_magic)) != 0)
    return fail_arrow(error, "ARROW1 at both ends");
  size_t end = file.length - trailer;
  uint32_t length = sf_load_u32(file.data + end);
  if (length > end || !sub_bytes(file, end - length, length, footer) || !sf_lance_flatbuffer_root(*footer, root))
    return fail_arrow(error, "a footer");
  return SF_OK;
}

/* One column of 32-bit integers. */
static sf_code check_schema(sf_lance_bytes footer, size_t root, sf_error *error) {
  size_t schema;
  size_t field;
  size_t type;
  const uint8_t *fields;
  size_t count;
  uint64_t type_type;
  uint64_t bits;
  if (!sf_lance_flatbuffer_table(footer, root, FOOTER_SCHEMA, &schema) || schema == 0 ||
      !sf_lance_flatbuffer_vector(footer, schema, SCHEMA_FIELDS, 4, &fields, &count) || count != 1 ||
      !sf_lance_flatbuffer_vector_table(footer, fields, 0, &field) ||
      !sf_lance_flatbuffer_scalar(footer, field, FIELD_TYPE_TYPE, 1, 0, &type_type) || type_type != TYPE_INT ||
      !sf_lance_flatbuffer_table(footer, field, FIELD_TYPE, &type) || type == 0 ||
      !sf_lance_flatbuffer_scalar(footer, type, INT_BIT_WIDTH, 4, 0, &bits) || bits != 32)
    return fail_arrow(error, "one column of 32-bit integers");
  return SF_OK;
}

/* The only record batch: its header, and the body after it. */
static sf_code find_batch(sf_lance_bytes file, sf_lance_bytes footer, size_t root, sf_lance_bytes *message,
                          size_t *batch, sf_lance_bytes *body, sf_error *error) {
  const uint8_t *blocks;
  size_t count;
  if (!sf_lance_flatbuffer_vector(footer, root, FOOTER_RECORD_BATCHES, BLOCK_SIZE, &blocks, &count) || count != 1)
    return fail_arrow(error, "one record batch");
  uint64_t offset = sf_load_u64(blocks);
  uint32_t metadata_length = sf_load_u32(blocks + 8);
  sf_lance_bytes metadata;
  if (!sub_bytes(file, offset, metadata_length, &metadata) || metadata.length < 8 ||
      !sub_bytes(file, offset + metadata_length, sf_load_u64(blocks + 16), body))
    return fail_arrow(error, "a record batch within the file");
  /* Files from before 2019 have no continuation marker before the length. */
  size_t prefix = sf_load_u32(metadata.data) == CONTINUATION ? 8 : 4;
  *message = (sf_lance_bytes){metadata.data + prefix, metadata.length - prefix};
  size_t header;
  uint64_t type;
  if (!sf_lance_flatbuffer_root(*message, &header) ||
      !sf_lance_flatbuffer_scalar(*message, header, MESSAGE_HEADER_TYPE, 1, 0, &type) || type != HEADER_RECORD_BATCH ||
      !sf_lance_flatbuffer_table(*message, header, MESSAGE_HEADER, batch) || *batch == 0)
    return fail_arrow(error, "a record batch");
  return SF_OK;
}

/* A compressed buffer begins with its size as it was, or −1 where it was left as it is. */
static sf_code decompress_values(sf_lance_bytes message, size_t compression, sf_lance_deletions *deletions,
                                 sf_error *error) {
  uint64_t codec;
  if (!sf_lance_flatbuffer_scalar(message, compression, COMPRESSION_CODEC, 1, CODEC_LZ4_FRAME, &codec))
    return fail_arrow(error, "a codec");
  if (codec != CODEC_ZSTD)
    return SF_LANCE_BAD(error, "Arrow IPC file: codec %llu is not supported", (unsigned long long)codec);
  if (deletions->bytes.length == 0)
    return SF_OK;
  if (deletions->bytes.length < 8)
    return fail_arrow(error, "a size before a compressed buffer");
  if (sf_load_u64(deletions->bytes.data) == UINT64_MAX) {
    deletions->bytes = (sf_lance_bytes){deletions->bytes.data + 8, deletions->bytes.length - 8};
    return SF_OK;
  }
  SF_TRY(sf_lance_decompress(SF_LANCE_ZSTD, deletions->bytes, &deletions->decompressed, error));
  deletions->bytes = (sf_lance_bytes){deletions->decompressed.data, deletions->decompressed.length};
  return SF_OK;
}

sf_code sf_lance_deletions_parse_arrow(sf_lance_bytes file, sf_lance_deletions *deletions, sf_error *error) {
  sf_lance_bytes footer = {0};
  sf_lance_bytes message = {0};
  sf_lance_bytes body = {0};
  size_t root;
  size_t batch;
  SF_TRY(find_footer(file, &footer, &root, error));
  SF_TRY(check_schema(footer, root, error));
  SF_TRY(find_batch(file, footer, root, &message, &batch, &body, error));
  uint64_t length;
  const uint8_t *nodes;
  const uint8_t *buffers;
  size_t num_nodes;
  size_t num_buffers;
  size_t compression;
  if (!sf_lance_flatbuffer_scalar(message, batch, BATCH_LENGTH, 8, 0, &length) ||
      !sf_lance_flatbuffer_vector(message, batch, BATCH_NODES, NODE_SIZE, &nodes, &num_nodes) || num_nodes != 1 ||
      !sf_lance_flatbuffer_vector(message, batch, BATCH_BUFFERS, BUFFER_SIZE, &buffers, &num_buffers) ||
      num_buffers != 2 || !sf_lance_flatbuffer_table(message, batch, BATCH_COMPRESSION, &compression))
    return fail_arrow(error, "a record batch of one column");
  if (sf_load_u64(nodes + 8) != 0)
    return fail_arrow(error, "no null among the deleted rows");
  const uint8_t *values = buffers + BUFFER_SIZE;
  if (!sub_bytes(body, sf_load_u64(values), sf_load_u64(values + 8), &deletions->bytes))
    return fail_arrow(error, "a buffer within the record batch");
  if (compression != 0)
    SF_TRY(decompress_values(message, compression, deletions, error));
  if (length > deletions->bytes.length / 4)
    return SF_LANCE_BAD(error, "broken Arrow IPC file: %zu bytes don't hold %llu rows", deletions->bytes.length,
                        (unsigned long long)length);
  deletions->bytes.length = (size_t)length * 4;
  deletions->num_deleted = length;
  return SF_OK;
}

sf_code sf_lance_deletions_parse_bitmap(sf_lance_bytes file, sf_lance_deletions *deletions, sf_error *error) {
  deletions->is_bitmap = true;
  deletions->bytes = file;
  return sf_lance_roaring_check(file, &deletions->num_deleted, error);
}

void sf_lance_deletions_free(sf_lance_deletions *deletions) {
  sf_buffer_free(&deletions->decompressed);
  *deletions = (sf_lance_deletions){0};
}

void sf_lance_deletions_mark(const sf_lance_deletions *deletions, uint64_t first_row, size_t num_rows,
                             uint8_t *excluded) {
  if (deletions->is_bitmap) {
    sf_lance_roaring_mark(deletions->bytes, first_row, num_rows, excluded);
    return;
  }
  for (size_t i = 0; i < deletions->bytes.length; i += 4) {
    uint64_t row = sf_load_u32(deletions->bytes.data + i);
    if (row >= first_row && row - first_row < num_rows)
      sf_lance_set_bit(excluded, (size_t)(row - first_row));
  }
}
