#include "formats/lance/data_file.h"

#include "formats/lance/wire.h"

#define FOOTER_LENGTH 40
#define COLUMN_ENTRY_LENGTH 16

static sf_code read_version(sf_lance_data_file *file, const uint8_t *footer, sf_error *error) {
  static const struct {
    uint16_t major;
    uint16_t minor;
    sf_lance_file_version version;
  } versions[] = {
      {0, 3, SF_LANCE_FILE_2_0},
      {2, 0, SF_LANCE_FILE_2_0},
      {2, 1, SF_LANCE_FILE_2_1},
      {2, 2, SF_LANCE_FILE_2_2},
  };
  uint16_t major = sf_load_u16(footer + 32);
  uint16_t minor = sf_load_u16(footer + 34);
  for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
    if (versions[i].major == major && versions[i].minor == minor) {
      file->version = versions[i].version;
      return SF_OK;
    }
  return SF_LANCE_BAD(error, "file version %u.%u is not supported, expected 2.0, 2.1 or 2.2", major, minor);
}

static sf_code read_footer(sf_lance_data_file *file, const sf_cancellation *cancellation, sf_error *error) {
  uint64_t size = sf_lance_object_size(file->object);
  if (size < FOOTER_LENGTH)
    return SF_LANCE_BAD(error, "expected a Lance file, found %llu bytes", (unsigned long long)size);
  uint8_t footer[FOOTER_LENGTH];
  SF_TRY(sf_lance_object_copy(file->object, size - FOOTER_LENGTH, FOOTER_LENGTH, cancellation, footer, error));
  if (memcmp(footer + 36, "LANC", 4) != 0)
    return SF_LANCE_BAD(error, "expected a file that ends in LANC");
  SF_TRY(read_version(file, footer, error));
  file->column_table = sf_load_u64(footer + 8);
  file->num_columns = sf_load_u32(footer + 28);
  uint64_t end = size - FOOTER_LENGTH;
  if (file->column_table > end || file->num_columns > (end - file->column_table) / COLUMN_ENTRY_LENGTH)
    return SF_LANCE_BAD(error, "the table of %u columns at %llu lies outside the %llu bytes", file->num_columns,
                        (unsigned long long)file->column_table, (unsigned long long)size);
  return SF_OK;
}

sf_code sf_lance_data_file_open(sf_lance_object *object, const sf_cancellation *cancellation, sf_lance_data_file *file,
                                sf_error *error) {
  *file = (sf_lance_data_file){.object = object};
  if (read_footer(file, cancellation, error) == SF_OK)
    return SF_OK;
  sf_code code = sf_error_prefix(error, "%s", sf_lance_object_name(object));
  sf_lance_data_file_close(file);
  return code;
}

void sf_lance_data_file_close(sf_lance_data_file *file) {
  sf_lance_object_close(file->object);
  *file = (sf_lance_data_file){0};
}

/* The bytes in the google.protobuf.Any that says how a page is encoded. */
static sf_code unpack_encoding(const sf_lance_column *column, const Sf__Lance__Page *message, sf_lance_page *page,
                               sf_error *error) {
  const Sf__Lance__Encoding *encoding = message->encoding;
  if (encoding == NULL || encoding->location_case == SF__LANCE__ENCODING__LOCATION__NOT_SET)
    return SF_LANCE_BAD(error, "the page has no encoding");
  if (encoding->location_case == SF__LANCE__ENCODING__LOCATION_INDIRECT)
    return SF_LANCE_BAD(error, "an encoding that is kept elsewhere in the file is not supported");
  sf_lance_bytes bytes = {encoding->direct->encoding.data, encoding->direct->encoding.len};
  Sf__Lance__AnyMessage *any = NULL;
  SF_TRY(sf_lance_wire_unpack(&sf__lance__any_message__descriptor, bytes, "encoding", &any, error));
  bool is_array = column->file->version == SF_LANCE_FILE_2_0;
  const char *expected = is_array ? "lance.encodings.ArrayEncoding" : "lance.encodings21.PageLayout";
  const char *slash = any->type_url != NULL ? strrchr(any->type_url, '/') : NULL;
  sf_code code;
  if (slash == NULL || strcmp(slash + 1, expected) != 0)
    code = SF_LANCE_BAD(error, "expected an encoding of type %s, found '%.80s'", expected,
                        any->type_url != NULL ? any->type_url : "");
  else if (is_array)
    code = sf_lance_wire_unpack(&sf__lance__array_encoding__descriptor,
                                (sf_lance_bytes){any->value.data, any->value.len}, "encoding", &page->array, error);
  else
    code = sf_lance_wire_unpack(&sf__lance__page_layout__descriptor, (sf_lance_bytes){any->value.data, any->value.len},
                                "encoding", &page->layout, error);
  sf_lance_wire_free(any);
  return code;
}

static sf_code read_page(sf_lance_column *column, const Sf__Lance__Page *message, sf_lance_page *page,
                         sf_error *error) {
  page->first_row = column->num_rows;
  page->num_rows = message->length;
  page->num_buffers = message->n_buffer_offsets;
  page->buffer_offsets = message->buffer_offsets;
  page->buffer_sizes = message->buffer_sizes;
  if (message->n_buffer_offsets != message->n_buffer_sizes)
    return SF_LANCE_BAD(error, "%zu buffers with %zu sizes", message->n_buffer_offsets, message->n_buffer_sizes);
  uint64_t size = sf_lance_object_size(column->file->object);
  for (size_t i = 0; i < page->num_buffers; i++)
    if (page->buffer_offsets[i] > size || page->buffer_sizes[i] > size - page->buffer_offsets[i])
      return SF_LANCE_BAD(error, "buffer %zu of %llu bytes at %llu lies outside the %llu bytes of the file", i,
                          (unsigned long long)page->buffer_sizes[i], (unsigned long long)page->buffer_offsets[i],
                          (unsigned long long)size);
  if (__builtin_add_overflow(column->num_rows, page->num_rows, &column->num_rows) || page->num_rows > INT64_MAX)
    return SF_LANCE_BAD(error, "%llu rows are too many", (unsigned long long)page->num_rows);
  return unpack_encoding(column, message, page, error);
}

static sf_code read_metadata(const sf_lance_data_file *file, uint32_t index, const sf_cancellation *cancellation,
                             sf_lance_column *column, sf_error *error) {
  if (index >= file->num_columns)
    return SF_LANCE_BAD(error, "column %u is not among the file's %u", index, file->num_columns);
  uint8_t entry[COLUMN_ENTRY_LENGTH];
  SF_TRY(sf_lance_object_copy(file->object, file->column_table + (uint64_t)index * COLUMN_ENTRY_LENGTH,
                              COLUMN_ENTRY_LENGTH, cancellation, entry, error));
  sf_lance_slice slice = {0};
  sf_code code =
      sf_lance_object_read(file->object, sf_load_u64(entry), sf_load_u64(entry + 8), cancellation, &slice, error);
  if (code == SF_OK)
    code = sf_lance_wire_unpack(&sf__lance__column_metadata__descriptor, slice.bytes, "column metadata",
                                &column->metadata, error);
  sf_lance_slice_release(&slice);
  return code;
}

static sf_code read_pages(sf_lance_column *column, sf_error *error) {
  column->pages = sf_calloc(column->metadata->n_pages, sizeof(*column->pages));
  if (column->pages == NULL)
    return sf_fail_memory(error, "pages of a column");
  for (size_t i = 0; i < column->metadata->n_pages; i++) {
    column->num_pages = i + 1;
    if (read_page(column, column->metadata->pages[i], &column->pages[i], error) != SF_OK)
      return sf_error_prefix(error, "page %zu", i);
  }
  return SF_OK;
}

sf_code sf_lance_column_open(const sf_lance_data_file *file, uint32_t index, const char *name,
                             const sf_cancellation *cancellation, sf_lance_column *column, sf_error *error) {
  *column = (sf_lance_column){.file = file, .name = name};
  sf_code code = read_metadata(file, index, cancellation, column, error);
  if (code == SF_OK)
    code = read_pages(column, error);
  if (code == SF_OK)
    return SF_OK;
  code = sf_error_prefix(error, "%s: column %s", sf_lance_object_name(file->object), name);
  sf_lance_column_close(column);
  return code;
}

void sf_lance_column_close(sf_lance_column *column) {
  for (size_t i = 0; i < column->num_pages; i++) {
    sf_lance_wire_free(column->pages[i].array);
    sf_lance_wire_free(column->pages[i].layout);
  }
  free(column->pages);
  sf_lance_wire_free(column->metadata);
  *column = (sf_lance_column){0};
}

const sf_lance_page *sf_lance_column_page(const sf_lance_column *column, uint64_t row) {
  if (row >= column->num_rows)
    return NULL;
  /* The last page that begins at or before the row: pages of no rows begin where the next does. */
  size_t low = 0;
  size_t high = column->num_pages;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (column->pages[middle].first_row <= row)
      low = middle;
    else
      high = middle;
  }
  return &column->pages[low];
}

sf_code sf_lance_page_error(const sf_lance_column *column, const sf_lance_page *page, sf_error *error) {
  return sf_error_prefix(error, "%s: column %s: page %zu", sf_lance_object_name(column->file->object), column->name,
                         (size_t)(page - column->pages));
}

sf_code sf_lance_page_read(const sf_lance_column *column, const sf_lance_page *page, size_t buffer, uint64_t offset,
                           uint64_t length, const sf_cancellation *cancellation, sf_lance_slice *slice,
                           sf_error *error) {
  if (buffer >= page->num_buffers)
    return SF_LANCE_BAD(error, "buffer %zu is not among the page's %zu", buffer, page->num_buffers);
  if (offset > page->buffer_sizes[buffer] || length > page->buffer_sizes[buffer] - offset)
    return SF_LANCE_BAD(error, "%llu bytes at %llu lie outside the %llu bytes of buffer %zu",
                        (unsigned long long)length, (unsigned long long)offset,
                        (unsigned long long)page->buffer_sizes[buffer], buffer);
  return sf_lance_object_read(column->file->object, page->buffer_offsets[buffer] + offset, length, cancellation, slice,
                              error);
}

sf_code sf_lance_page_read_all(const sf_lance_column *column, const sf_lance_page *page, size_t buffer,
                               const sf_cancellation *cancellation, sf_lance_slice *slice, sf_error *error) {
  uint64_t length = buffer < page->num_buffers ? page->buffer_sizes[buffer] : 0;
  return sf_lance_page_read(column, page, buffer, 0, length, cancellation, slice, error);
}
