#include "formats/shard_writer.h"

#include "base/memory.h"
#include "formats/formats.h"

static sf_code fail_unknown(const char *name, sf_error *error) {
  sf_buffer names = {0};
  bool made = true;
  for (size_t i = 0; i < SF_NUM_FORMATS && made; i++)
    if (sf_formats[i]->writer != NULL)
      made = sf_buffer_append_format(&names, "%s%s", names.length == 0 ? "" : " or ", sf_formats[i]->name);
  sf_code code = made ? sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                                "backend: expected %s, which can be written, found %s", (const char *)names.data, name)
                      : sf_fail_memory(error, "backend");
  sf_buffer_free(&names);
  return code;
}

sf_code sf_shard_writer_find(const char *name, const sf_shard_writer_format **format, sf_error *error) {
  const sf_shard_format *found = sf_format_find(name);
  *format = found == NULL ? NULL : found->writer;
  return *format != NULL ? SF_OK : fail_unknown(name, error);
}

sf_code sf_shard_writer_check_sidecar(const sf_shard_writer_format *format, sf_error *error) {
  if (format->sidecar != NULL)
    return SF_OK;
  const char *found = "another";
  for (size_t i = 0; i < SF_NUM_FORMATS; i++)
    if (sf_formats[i]->writer == format)
      found = sf_formats[i]->name;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                 "emit_sidecar: expected backend sqlite-vec, whose shards have one, found %s", found);
}

sf_code sf_shard_writer_create(const char *format_name, const sf_shard_writer_options *options,
                               sf_shard_writer **writer, sf_error *error) {
  const sf_shard_writer_format *format;
  SF_TRY(sf_shard_writer_find(format_name, &format, error));
  return format->create(options, writer, error);
}

sf_code sf_shard_writer_add(sf_shard_writer *writer, const sf_shard_row *rows, size_t count, sf_error *error) {
  return writer->format->add(writer, rows, count, error);
}

sf_code sf_shard_writer_finish(sf_shard_writer *writer, sf_error *error) {
  return writer->format->finish(writer, error);
}

void sf_shard_writer_free(sf_shard_writer *writer) {
  if (writer != NULL)
    writer->format->free(writer);
}
