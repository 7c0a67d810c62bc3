/* wcwidth is of the X/Open part of POSIX. */
#define _XOPEN_SOURCE 700

#include "cli/table.h"

#include "base/memory.h"

#include "cli/json_text.h"

#include <string.h>
#include <wchar.h>

enum { GAP = 2, MIN_WIDTH = 8 };

bool sf_cli_table_begin(sf_cli_table *table, size_t num_columns) {
  *table = (sf_cli_table){.num_columns = num_columns, .is_numeric = sf_calloc(num_columns, sizeof(bool))};
  for (size_t i = 0; table->is_numeric != NULL && i < num_columns; i++)
    table->is_numeric[i] = true;
  return table->is_numeric != NULL;
}

bool sf_cli_table_add(sf_cli_table *table, char *cell, bool is_numeric) {
  if (cell == NULL)
    return false;
  if (!sf_array_make_room(&table->cells, table->num_cells, &table->capacity, sizeof(*table->cells))) {
    free(cell);
    return false;
  }
  table->is_numeric[table->num_cells % table->num_columns] &= is_numeric;
  table->cells[table->num_cells++] = cell;
  return true;
}

void sf_cli_table_free(sf_cli_table *table) {
  for (size_t i = 0; i < table->num_cells; i++)
    free(table->cells[i]);
  free(table->cells);
  free(table->is_numeric);
  *table = (sf_cli_table){0};
}

/* The character of a sequence that sf_cli_utf8_sequence found. */
static wchar_t decode(const char *text, size_t sequence) {
  static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  unsigned long character = (unsigned char)text[0] & lead_bits[sequence];
  for (size_t i = 1; i < sequence; i++)
    character = character << 6 | ((unsigned char)text[i] & 0x3F);
  return (wchar_t)character;
}

/* The columns that text takes, and through *bytes how much of it fits `limit` columns. */
static size_t measure(const char *text, size_t limit, size_t *bytes) {
  size_t columns = 0;
  size_t position = 0;
  size_t length = strlen(text);
  *bytes = 0;
  while (position < length) {
    size_t sequence = sf_cli_utf8_sequence(text + position, length - position);
    int width = sequence < 2 ? 1 : wcwidth(decode(text + position, sequence));
    columns += width < 0 ? 1 : (size_t)width;
    position += sequence > 0 ? sequence : 1;
    if (columns <= limit)
      *bytes = position;
  }
  return columns;
}

static size_t column_width(const sf_cli_table *table, size_t column) {
  size_t widest = 0;
  for (size_t i = column; i < table->num_cells; i += table->num_columns) {
    size_t bytes;
    size_t width = measure(table->cells[i], SIZE_MAX, &bytes);
    widest = width > widest ? width : widest;
  }
  return widest;
}

/* Takes what is too much from the widest column of text, until it fits or nothing is left to take. */
static void fit_widths(const sf_cli_table *table, size_t *widths, size_t limit) {
  for (;;) {
    size_t total = 0;
    size_t widest = table->num_columns;
    for (size_t i = 0; i < table->num_columns; i++) {
      total += widths[i] + (i > 0 ? GAP : 0);
      if (!table->is_numeric[i] && (widest == table->num_columns || widths[i] > widths[widest]))
        widest = i;
    }
    if (limit == 0 || total <= limit || widest == table->num_columns || widths[widest] <= MIN_WIDTH)
      return;
    widths[widest]--;
  }
}

/* Paths and URLs, whose ends tell them apart. */
static bool ends_tell(const char *cell) {
  size_t scheme = strspn(cell, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
  return cell[0] == '/' || (scheme > 0 && strncmp(cell + scheme, "://", 3) == 0);
}

/* The end of `text` that takes at most `limit` columns. */
static const char *find_tail(const char *text, size_t limit) {
  size_t bytes;
  while (measure(text, SIZE_MAX, &bytes) > limit) {
    size_t sequence = sf_cli_utf8_sequence(text, bytes);
    text += sequence > 0 ? sequence : 1;
  }
  return text;
}

/* Prints what fits `width` columns, with an ellipsis for what does not: in the middle of a path or URL, else at the end.
 * Returns the columns that this took. */
static size_t print_cut(const char *cell, size_t width, FILE *stream) {
  size_t tail_width = ends_tell(cell) ? width * 2 / 3 : 0;
  size_t head;
  size_t bytes;
  size_t columns = measure(cell, width - 1 - tail_width, &head);
  const char *tail = find_tail(cell + head, tail_width);
  fwrite(cell, 1, head, stream);
  fputs("\xE2\x80\xA6", stream);
  fputs(tail, stream);
  return columns - measure(cell + head, SIZE_MAX, &bytes) + 1 + measure(tail, SIZE_MAX, &bytes);
}

static void print_cell(const char *cell, size_t width, bool flush_right, bool is_last, FILE *stream) {
  size_t bytes;
  size_t columns = measure(cell, width, &bytes);
  if (flush_right && columns < width)
    fprintf(stream, "%*s", (int)(width - columns), "");
  if (columns > width)
    columns = print_cut(cell, width, stream);
  else
    fputs(cell, stream);
  if (!flush_right && !is_last)
    fprintf(stream, "%*s", (int)(width - columns), "");
  fputs(is_last ? "\n" : "  ", stream);
}

bool sf_cli_table_print(const sf_cli_table *table, size_t width, FILE *stream) {
  size_t *widths = sf_calloc(table->num_columns, sizeof(size_t));
  if (widths == NULL)
    return false;
  for (size_t i = 0; i < table->num_columns; i++)
    widths[i] = column_width(table, i);
  fit_widths(table, widths, width);
  for (size_t row = 0; row < table->num_cells; row += table->num_columns) {
    for (size_t i = 0; i < table->num_columns; i++)
      print_cell(table->cells[row + i], widths[i], table->is_numeric[i], i + 1 == table->num_columns, stream);
  }
  free(widths);
  return !ferror(stream);
}
