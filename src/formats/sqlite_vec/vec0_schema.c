/* Checks a shard.db before it is read: the length in its header, its tables, and the declaration of its virtual
 * table. */
#include "formats/sqlite_vec/vec0_tables.h"

#include "base/memory.h"
#include "formats/sqlite_vec/database_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char what[] = "shard.db";
static const sf_code corrupt = SF_DB_ADAPTER_ERROR;

/* SQLite file format, section 1.3: page size at 16 (1 stands for 65536), number of pages at 28. */
static sf_code check_header(const uint8_t *header, uint64_t size, sf_error *error) {
  static const char magic[16] = "SQLite format 3";
  if (memcmp(header, magic, sizeof(magic)) != 0)
    return sf_fail(error, corrupt, "%s: expected a SQLite database, found something else", what);
  uint32_t page_size = sf_load_big_u16(header + 16);
  if (page_size == 1)
    page_size = 65536;
  uint64_t expected = (uint64_t)page_size * sf_load_big_u32(header + 28);
  if (size < expected)
    return sf_fail(error, corrupt, "%s is truncated: expected %llu bytes, found %llu", what,
                   (unsigned long long)expected, (unsigned long long)size);
  return SF_OK;
}

sf_code sf_vec0_check_length(const char *path, sf_error *error) {
  uint8_t header[100];
  struct stat status;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return sf_fail(error, sf_errno_code(errno, corrupt), "can't open %s: %s", path, strerror(errno));
  ssize_t length = pread(descriptor, header, sizeof(header), 0);
  bool known = fstat(descriptor, &status) == 0;
  close(descriptor);
  if (!known || length < (ssize_t)sizeof(header))
    return sf_fail(error, corrupt, "%s is truncated: expected at least %zu bytes, found %zd", what, sizeof(header),
                   length < 0 ? 0 : length);
  return check_header(header, (uint64_t)status.st_size, error);
}

/* The number in brackets after "float" in "embedding float[100]", or 0. */
static unsigned long declared_dim(const char *declaration) {
  const char *bracket = strchr(declaration, '[');
  if (bracket == NULL || bracket - declaration < 5 || strncasecmp(bracket - 5, "float", 5) != 0)
    return 0;
  return strtoul(bracket + 1, NULL, 10);
}

static bool is_word_character(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
         (character >= '0' && character <= '9') || character == '_';
}

/* The word after "distance_metric=", or "l2", the default of vec0. */
static void declared_metric(const char *declaration, char *name, size_t size) {
  static const char option[] = "distance_metric";
  const char *found = declaration;
  while (*found != '\0' && strncasecmp(found, option, sizeof(option) - 1) != 0)
    found++;
  if (*found == '\0') {
    snprintf(name, size, "l2");
    return;
  }
  found += sizeof(option) - 1;
  found += strspn(found, " \t\r\n=");
  size_t length = 0;
  while (is_word_character(found[length]))
    length++;
  snprintf(name, size, "%.*s", (int)(length < size ? length : size - 1), found);
}

static sf_code check_declaration(const char *declaration, uint32_t dim, sf_metric metric, sf_error *error) {
  unsigned long found_dim = declared_dim(declaration);
  if (found_dim != dim)
    return sf_fail(error, corrupt, "%s: vec_index: expected vectors float[%u], found %.120s", what, (unsigned)dim,
                   declaration);
  char name[32];
  declared_metric(declaration, name, sizeof(name));
  if (strcasecmp(name, sf_metric_name(metric)) != 0)
    return sf_fail(error, corrupt, "%s: vec_index: expected distance_metric %s, as the manifest has it, found %s", what,
                   sf_metric_name(metric), name);
  return SF_OK;
}

sf_code sf_vec0_check_schema(sqlite3 *database, uint32_t dim, sf_metric metric, sf_error *error) {
  static const char *const tables[] = {"vec_index_chunks", "vec_index_vector_chunks00", "vec_id_map", "vec_payloads"};
  for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
    SF_TRY(sf_sqlite_require_table(database, tables[i], what, corrupt, error));
  sqlite3_stmt *row = NULL;
  SF_TRY(sf_sqlite_prepare(database, "SELECT sql FROM sqlite_master WHERE type='table' AND name='vec_index'", what,
                           corrupt, &row, error));
  int status = sqlite3_step(row);
  const char *declaration;
  size_t length;
  sf_code code;
  if (status != SQLITE_ROW && status != SQLITE_DONE)
    code = sf_sqlite_fail(database, status, what, "can't read the schema", corrupt, error);
  else if (status == SQLITE_DONE || sqlite3_column_type(row, 0) == SQLITE_NULL)
    code = sf_fail(error, corrupt, "%s: expected a virtual table vec_index, found none", what);
  else
    code = sf_sqlite_text(row, 0, what, &declaration, &length, error);
  if (code == SF_OK)
    code = check_declaration(declaration, dim, metric, error);
  sqlite3_finalize(row);
  return code;
}
