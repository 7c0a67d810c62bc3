/*
 * Apache Arrow's C data and C stream interfaces: https://arrow.apache.org/docs/format/CDataInterface.html and
 * https://arrow.apache.org/docs/format/CStreamInterface.html, whose structures these are; layouts as
 * https://arrow.apache.org/docs/format/Columnar.html has them.
 */
#ifndef SF_PYTHON_ARROW_H
#define SF_PYTHON_ARROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
  int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
  const char *(*get_last_error)(struct ArrowArrayStream *);
  void (*release)(struct ArrowArrayStream *);
  void *private_data;
};

/* What a column holds, as far as rows are made of it. */
typedef enum sf_py_arrow_kind {
  SF_PY_ARROW_OTHER, /* none of these: refused by name */
  SF_PY_ARROW_NULL,
  SF_PY_ARROW_BOOL,
  SF_PY_ARROW_INTEGER,   /* signed or not, 1 to 8 bytes */
  SF_PY_ARROW_FLOAT,     /* 2, 4 or 8 bytes */
  SF_PY_ARROW_TEXT,      /* UTF-8; also binary: see is_binary */
  SF_PY_ARROW_TEXT_VIEW, /* the same as views */
  SF_PY_ARROW_BINARY,    /* of a fixed size */
  SF_PY_ARROW_UUID,      /* the extension of that name */
  SF_PY_ARROW_DECIMAL,   /* 4, 8, 16 or 32 bytes */
  SF_PY_ARROW_DATE,
  SF_PY_ARROW_TIME,
  SF_PY_ARROW_TIMESTAMP,
  SF_PY_ARROW_DURATION,
  SF_PY_ARROW_LIST,      /* with 32-bit or 64-bit offsets */
  SF_PY_ARROW_LIST_VIEW, /* with offsets and sizes */
  SF_PY_ARROW_FIXED_SIZE_LIST,
  SF_PY_ARROW_MAP,
  SF_PY_ARROW_STRUCT,
  SF_PY_ARROW_DICTIONARY, /* `width` and `is_signed` are the indices' */
  SF_PY_ARROW_RUN_ENDS,
  SF_PY_ARROW_NUM_KINDS,
} sf_py_arrow_kind;

typedef struct sf_py_arrow_type {
  sf_py_arrow_kind kind;
  size_t width; /* of an element or an offset, in bytes */
  bool is_signed;
  bool is_binary;
  int64_t list_size; /* of a fixed-size list */
  int64_t unit;      /* of a date or time: so many make a second; of a date in days: 0 */
  int32_t scale;     /* of a decimal: digits after the point */
  const char *zone;  /* of a timestamp: the schema's, "" where it has none */
} sf_py_arrow_type;

static inline const char *sf_py_arrow_name(const struct ArrowSchema *schema) {
  return schema->name != NULL ? schema->name : "";
}

/* arrow_type.c ---------------------------------------------------------------------------------------------------- */

sf_py_arrow_type sf_py_arrow_type_of(const struct ArrowSchema *schema);

/* The schema of the values, after dictionaries and run ends are followed. */
const struct ArrowSchema *sf_py_arrow_values(const struct ArrowSchema *schema);

/* Whether a schema has the members that its interface asks for, and is nested no deeper than 64. */
bool sf_py_arrow_is_schema(const struct ArrowSchema *schema);

/* Whether an array has the buffers and children that its schema asks for. */
bool sf_py_arrow_has_layout(const struct ArrowSchema *schema, const struct ArrowArray *array);

/* arrow_column.c -------------------------------------------------------------------------------------------------- */

/* A column of one chunk: `row` in what follows counts from 0 and has the array's offset still to be added. */
typedef struct sf_py_arrow_column {
  const struct ArrowSchema *schema;
  const struct ArrowArray *array;
  sf_py_arrow_type type;
} sf_py_arrow_column;

sf_py_arrow_column sf_py_arrow_child(const sf_py_arrow_column *parent, int64_t index);

/* Follows dictionaries and run ends to the column that holds a row's value, and its row there; a null index leads to a column
 * of nulls. False if the row is outside of that column. The functions below take no dictionaries. */
bool sf_py_arrow_resolve(sf_py_arrow_column *column, int64_t *row);

bool sf_py_arrow_is_null(const sf_py_arrow_column *column, int64_t row);
/* False where it is above INT64_MAX. */
bool sf_py_arrow_integer(const sf_py_arrow_column *column, int64_t row, int64_t *value);
double sf_py_arrow_float(const sf_py_arrow_column *column, int64_t row);
bool sf_py_arrow_bool(const sf_py_arrow_column *column, int64_t row);
/* The bytes of a value of a fixed width. */
const char *sf_py_arrow_bytes(const sf_py_arrow_column *column, int64_t row);
/* False if it is outside of the column's buffers, as far as their sizes are known. */
bool sf_py_arrow_text(const sf_py_arrow_column *column, int64_t row, const char **text, size_t *length);
/* The elements of a list or map, by their rows in the child. False if they are outside of it. */
bool sf_py_arrow_list(const sf_py_arrow_column *column, int64_t row, int64_t *first, int64_t *count);

/* arrow_text.c: values that JSON has no form for, as Python's str() has them. -------------------------------------- */

enum { SF_PY_ARROW_MAX_TEXT = 128 };

/* Decimals, UUIDs, dates, times, durations; timestamps as well, in a zone that is so many seconds east of Greenwich, which
 * follows where `has_zone`. */
void sf_py_arrow_put_text(const sf_py_arrow_column *column, int64_t row, bool has_zone, int64_t zone_seconds,
                          char text[SF_PY_ARROW_MAX_TEXT]);

/* A timestamp's zone where its name says the seconds: "UTC", "+01:00". */
bool sf_py_arrow_fixed_zone(const char *zone, int64_t *seconds);
/* Whole seconds since 1970, rounded down. */
int64_t sf_py_arrow_seconds(const sf_py_arrow_column *column, int64_t row);

/* arrow_json.c ---------------------------------------------------------------------------------------------------- */

/* JSON of what columns hold: text that grows, in memory of Python. Zero-initialise. */
typedef struct sf_py_json {
  char *text;
  size_t length;
  size_t capacity;
} sf_py_json;

void sf_py_json_free(sf_py_json *json);

/* Whether values of the type can be written; if not, *format names their type. */
bool sf_py_json_can_write(const struct ArrowSchema *schema, const char **format);
/* Appends the object that has a member for each column; columns whose value is null are left out. -1 with an exception
 * set. */
int sf_py_json_put_object(sf_py_json *json, const sf_py_arrow_column *columns, size_t count, int64_t row);
/* Appends a value. */
int sf_py_json_put(sf_py_json *json, const sf_py_arrow_column *column, int64_t row);

#endif
