#include "formats/lance/write_file.h"

#include "base/assert.h"
#include "base/files.h"

#include "lance_file.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_PAGE_BUFFERS 2

bool sf_lance_append_integer(sf_buffer *buffer, uint64_t value, size_t size) {
  uint8_t bytes[8];
  for (size_t i = 0; i < size; i++)
    bytes[i] = (uint8_t)(value >> (8 * i));
  return sf_buffer_append(buffer, bytes, size);
}

sf_code sf_lance_append_message(sf_buffer *buffer, const void *message, sf_error *error) {
  size_t length = protobuf_c_message_get_packed_size(message);
  if (!sf_buffer_reserve(buffer, length))
    return sf_fail_memory(error, "a protobuf message");
  buffer->length += protobuf_c_message_pack(message, buffer->data + buffer->length);
  return SF_OK;
}

sf_code sf_lance_append_any(sf_buffer *buffer, const char *type_url, const void *message, sf_error *error) {
  sf_buffer value = {0};
  Sf__Lance__AnyMessage any = SF__LANCE__ANY_MESSAGE__INIT;
  char url[64];
  snprintf(url, sizeof(url), "%s", type_url);
  sf_code code = sf_lance_append_message(&value, message, error);
  any.type_url = url;
  any.has_value = true;
  any.value = (ProtobufCBinaryData){value.length, value.data};
  if (code == SF_OK)
    code = sf_lance_append_message(buffer, &any, error);
  sf_buffer_free(&value);
  return code;
}

/* An encoding that refers to `any`, which must live as long. */
static void describe_encoding(const sf_buffer *any, Sf__Lance__DirectEncoding *direct, Sf__Lance__Encoding *encoding) {
  *direct = (Sf__Lance__DirectEncoding)SF__LANCE__DIRECT_ENCODING__INIT;
  *encoding = (Sf__Lance__Encoding)SF__LANCE__ENCODING__INIT;
  direct->has_encoding = true;
  direct->encoding = (ProtobufCBinaryData){any->length, any->data};
  encoding->location_case = SF__LANCE__ENCODING__LOCATION_DIRECT;
  encoding->direct = direct;
}

/* A column's metadata begins with how its pages make a column. */
static sf_code begin_column(sf_lance_written_column *column, sf_error *error) {
  Sf__Lance__PlainColumn plain = SF__LANCE__PLAIN_COLUMN__INIT;
  Sf__Lance__ColumnEncoding pages = SF__LANCE__COLUMN_ENCODING__INIT;
  Sf__Lance__ColumnMetadata metadata = SF__LANCE__COLUMN_METADATA__INIT;
  Sf__Lance__DirectEncoding direct;
  Sf__Lance__Encoding encoding;
  sf_buffer any = {0};
  pages.values = &plain;
  sf_code code = sf_lance_append_any(&any, "/lance.encodings.ColumnEncoding", &pages, error);
  describe_encoding(&any, &direct, &encoding);
  metadata.encoding = &encoding;
  if (code == SF_OK)
    code = sf_lance_append_message(&column->metadata, &metadata, error);
  sf_buffer_free(&any);
  return code;
}

sf_code sf_lance_file_create(const char *path, size_t num_columns, sf_lance_file_writer *writer, sf_error *error) {
  SF_ASSERT(num_columns <= SF_LANCE_NUM_COLUMNS);
  *writer = (sf_lance_file_writer){.path = sf_strdup(path), .descriptor = -1, .num_columns = num_columns};
  if (writer->path == NULL)
    return sf_fail_memory(error, path);
  writer->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (writer->descriptor < 0)
    return sf_fail_errno(error, "make", path, errno);
  for (size_t i = 0; i < num_columns; i++)
    SF_TRY(begin_column(&writer->columns[i], error));
  return SF_OK;
}

static sf_code append(sf_lance_file_writer *writer, const void *bytes, size_t length, sf_error *error) {
  SF_TRY(sf_write_at(writer->descriptor, writer->path, bytes, length, writer->position, error));
  writer->position += length;
  return SF_OK;
}

static sf_code align(sf_lance_file_writer *writer, sf_error *error) {
  static const uint8_t zeros[SF_LANCE_ALIGNMENT];
  size_t past = (size_t)(writer->position % SF_LANCE_ALIGNMENT);
  return past == 0 ? SF_OK : append(writer, zeros, SF_LANCE_ALIGNMENT - past, error);
}

/* Repeated fields of messages that follow one another are joined: a page is added by appending a message with just
 * it. */
static sf_code append_page(sf_lance_written_column *column, const Sf__Lance__Page *page,
                           Sf__Lance__ArrayEncoding *array, sf_error *error) {
  Sf__Lance__Page encoded = *page;
  Sf__Lance__Page *pages = &encoded;
  Sf__Lance__ColumnMetadata metadata = SF__LANCE__COLUMN_METADATA__INIT;
  Sf__Lance__DirectEncoding direct;
  Sf__Lance__Encoding encoding;
  sf_buffer any = {0};
  sf_code code = sf_lance_append_any(&any, "/lance.encodings.ArrayEncoding", array, error);
  describe_encoding(&any, &direct, &encoding);
  encoded.encoding = &encoding;
  metadata.n_pages = 1;
  metadata.pages = &pages;
  if (code == SF_OK)
    code = sf_lance_append_message(&column->metadata, &metadata, error);
  sf_buffer_free(&any);
  return code;
}

sf_code sf_lance_file_add_page(sf_lance_file_writer *writer, size_t column_index, const sf_buffer *buffers,
                               size_t num_buffers, uint64_t num_rows, Sf__Lance__ArrayEncoding *encoding,
                               sf_error *error) {
  sf_lance_written_column *column = &writer->columns[column_index];
  uint64_t offsets[MAX_PAGE_BUFFERS];
  uint64_t sizes[MAX_PAGE_BUFFERS];
  for (size_t i = 0; i < num_buffers; i++) {
    SF_TRY(align(writer, error));
    offsets[i] = writer->position;
    sizes[i] = buffers[i].length;
    SF_TRY(append(writer, buffers[i].data, buffers[i].length, error));
  }
  Sf__Lance__Page page = SF__LANCE__PAGE__INIT;
  page.n_buffer_offsets = page.n_buffer_sizes = num_buffers;
  page.buffer_offsets = offsets;
  page.buffer_sizes = sizes;
  page.has_length = page.has_priority = true;
  page.length = num_rows;
  page.priority = column->num_rows;
  column->num_rows += num_rows;
  return append_page(column, &page, encoding, error);
}

/* The offset and size of a part of the file's end, as the tables have it. */
static sf_code append_piece(sf_lance_file_writer *writer, const sf_buffer *piece, sf_buffer *table, sf_error *error) {
  if (!sf_lance_append_integer(table, writer->position, 8) || !sf_lance_append_integer(table, piece->length, 8))
    return sf_fail_memory(error, "a table of a data file");
  return append(writer, piece->data, piece->length, error);
}

static sf_code append_tables(sf_lance_file_writer *writer, const sf_buffer *columns, const sf_buffer *buffers,
                             uint64_t metadata, sf_error *error) {
  sf_buffer footer = {0};
  uint64_t column_table = writer->position;
  uint64_t buffer_table = column_table + columns->length;
  bool appended = sf_buffer_append(&footer, columns->data, columns->length) &&
                  sf_buffer_append(&footer, buffers->data, buffers->length) &&
                  sf_lance_append_integer(&footer, metadata, 8) && sf_lance_append_integer(&footer, column_table, 8) &&
                  sf_lance_append_integer(&footer, buffer_table, 8) &&
                  sf_lance_append_integer(&footer, buffers->length / 16, 4) &&
                  sf_lance_append_integer(&footer, writer->num_columns, 4) && sf_lance_append_integer(&footer, 0, 2) &&
                  sf_lance_append_integer(&footer, 3, 2) && sf_buffer_append(&footer, "LANC", 4);
  sf_code code =
      appended ? append(writer, footer.data, footer.length, error) : sf_fail_memory(error, "the footer of a data file");
  sf_buffer_free(&footer);
  return code;
}

sf_code sf_lance_file_finish(sf_lance_file_writer *writer, const sf_buffer *buffers, size_t num_buffers, uint64_t *size,
                             sf_error *error) {
  sf_buffer column_table = {0};
  sf_buffer buffer_table = {0};
  sf_code code = align(writer, error);
  for (size_t i = 0; i < num_buffers && code == SF_OK; i++)
    code = append_piece(writer, &buffers[i], &buffer_table, error);
  uint64_t metadata = writer->position;
  for (size_t i = 0; i < writer->num_columns && code == SF_OK; i++)
    code = append_piece(writer, &writer->columns[i].metadata, &column_table, error);
  if (code == SF_OK)
    code = append_tables(writer, &column_table, &buffer_table, metadata, error);
  if (code == SF_OK && fsync(writer->descriptor) != 0)
    code = sf_fail_errno(error, "sync", writer->path, errno);
  sf_buffer_free(&column_table);
  sf_buffer_free(&buffer_table);
  *size = writer->position;
  return code;
}

void sf_lance_file_close(sf_lance_file_writer *writer) {
  if (writer->path != NULL && writer->descriptor >= 0)
    close(writer->descriptor);
  free(writer->path);
  for (size_t i = 0; i < SF_LANCE_NUM_COLUMNS; i++)
    sf_buffer_free(&writer->columns[i].metadata);
  *writer = (sf_lance_file_writer){.descriptor = -1};
}
