#include "shard/shard_writer.h"

#include <string.h>

/* Every format that can be written. */
static const sf_shard_writer_format *const formats[] = {&sf_lance_writer};

sf_code sf_shard_writer_create(const char *format_name, const sf_shard_writer_options *options,
                               sf_shard_writer **writer, sf_error *error) {
  for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
    if (strcmp(formats[i]->name, format_name) == 0)
      return formats[i]->create(options, writer, error);
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected the name of a shard format that can be written, found %s",
                 format_name);
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
