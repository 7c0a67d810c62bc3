#include "base/json_writer.h"

#include "base/utf8.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------------------------ Strings */

static bool append_escaped(sf_buffer *buffer, char character) {
  switch (character) {
  case '"':
    return sf_buffer_append_text(buffer, "\\\"");
  case '\\':
    return sf_buffer_append_text(buffer, "\\\\");
  case '\n':
    return sf_buffer_append_text(buffer, "\\n");
  case '\r':
    return sf_buffer_append_text(buffer, "\\r");
  case '\t':
    return sf_buffer_append_text(buffer, "\\t");
  default:
    return sf_buffer_append_format(buffer, "\\u%04x", (unsigned)(unsigned char)character);
  }
}

static bool is_plain(char character) {
  return (unsigned char)character >= 0x20 && (unsigned char)character < 0x7F && character != '"' && character != '\\';
}

bool sf_json_append_string(sf_buffer *buffer, const char *text, size_t length) {
  bool appended = sf_buffer_append_text(buffer, "\"");
  for (size_t at = 0; appended && at < length;) {
    size_t plain = 0;
    while (at + plain < length && is_plain(text[at + plain]))
      plain++;
    uint32_t code_point = 0;
    size_t sequence = plain == 0 ? sf_utf8_decode(text + at, length - at, &code_point) : plain;
    if (plain == 0 && sequence == 1)
      appended = append_escaped(buffer, text[at]);
    else if (sequence == 0)
      appended = sf_buffer_append_text(buffer, "\\ufffd");
    else if (plain == 0 && code_point < 0xA0) /* terminals interpret U+0080 to U+009F */
      appended = sf_buffer_append_format(buffer, "\\u%04x", (unsigned)code_point);
    else
      appended = sf_buffer_append(buffer, text + at, sequence);
    at += sequence > 0 ? sequence : 1;
  }
  return appended && sf_buffer_append_text(buffer, "\"");
}

/* ------------------------------------------------------------------------------------------------------------ Objects */

static void note(sf_json_writer *writer, bool appended) {
  writer->is_out_of_memory = writer->is_out_of_memory || !appended;
}

void sf_json_writer_begin(sf_json_writer *writer) {
  *writer = (sf_json_writer){0};
  note(writer, sf_buffer_append_text(&writer->text, "{"));
}

static void write_name(sf_json_writer *writer, const char *name) {
  note(writer, !writer->needs_comma || sf_buffer_append_text(&writer->text, ","));
  note(writer, sf_json_append_string(&writer->text, name, strlen(name)) && sf_buffer_append_text(&writer->text, ":"));
  writer->needs_comma = true;
}

void sf_json_write_json(sf_json_writer *writer, const char *name, const char *json) {
  write_name(writer, name);
  note(writer, sf_buffer_append_text(&writer->text, json));
}

void sf_json_write_text(sf_json_writer *writer, const char *name, const char *text) {
  write_name(writer, name);
  note(writer, text == NULL ? sf_buffer_append_text(&writer->text, "null")
                            : sf_json_append_string(&writer->text, text, strlen(text)));
}

void sf_json_write_integer(sf_json_writer *writer, const char *name, int64_t integer) {
  write_name(writer, name);
  note(writer, sf_buffer_append_format(&writer->text, "%lld", (long long)integer));
}

void sf_json_write_begin(sf_json_writer *writer, const char *name) {
  sf_json_write_json(writer, name, "{");
  writer->needs_comma = false;
}

void sf_json_write_end(sf_json_writer *writer) {
  note(writer, sf_buffer_append_text(&writer->text, "}"));
  writer->needs_comma = true;
}

sf_code sf_json_writer_end(sf_json_writer *writer, const char *what, sf_buffer *text, sf_error *error) {
  sf_json_write_end(writer);
  bool made = !writer->is_out_of_memory && sf_buffer_append(text, writer->text.data, writer->text.length);
  sf_buffer_free(&writer->text);
  return made ? SF_OK : sf_fail_memory(error, what);
}
