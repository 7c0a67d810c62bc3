/*
 * The Common Expression Language (https://github.com/google/cel-spec, langdef) over its scalar types, lists and maps:
 * compiled once, evaluated often, from any thread. Neither an expression nor its input can make either take more than
 * bounded time, memory or stack.
 */
#ifndef SF_ROUTING_CEL_CEL_H
#define SF_ROUTING_CEL_CEL_H

#include "base/error.h"

typedef enum sf_cel_kind {
  SF_CEL_NULL,
  SF_CEL_BOOL,
  SF_CEL_INT,
  SF_CEL_UINT,
  SF_CEL_DOUBLE,
  SF_CEL_STRING,
  SF_CEL_BYTES,
  SF_CEL_LIST,
  SF_CEL_MAP,
  SF_CEL_TYPE,
} sf_cel_kind;

typedef struct sf_cel_value sf_cel_value;

/* A value. Strings, bytes, lists and maps borrow what they point to. */
struct sf_cel_value {
  sf_cel_kind kind;
  union {
    bool boolean;
    int64_t integer;
    uint64_t unsigned_integer;
    double number;
    struct {
      const char *data; /* string: valid UTF-8; bytes: any; type: its name. No NUL is promised. */
      size_t length;
    } text;
    struct {
      const sf_cel_value *items; /* list: `count` items; map: `count` pairs, key then value */
      size_t count;
    } list;
  } as;
};

/* A variable's type in a declaration. LIST and MAP declare list(dyn) and map(dyn, dyn). */
typedef struct sf_cel_declaration {
  const char *name;
  sf_cel_kind type;
} sf_cel_declaration;

typedef struct sf_cel_binding {
  const char *name;
  sf_cel_value value;
} sf_cel_binding;

typedef struct sf_cel_program sf_cel_program; /* immutable: any thread */

typedef struct sf_cel_options {
  bool skip_type_check; /* parse and resolve only; types are found out when evaluating */
} sf_cel_options;

/*
 * Parses, expands macros and checks types against the declarations. SF_CONFIG_VALIDATION_ERROR names the place
 * ("CEL: 1:7: …") and, for what the language has but this implementation leaves out, its name.
 * `expression` is `length` bytes of UTF-8. `options` may be NULL.
 */
sf_code sf_cel_compile(const char *expression, size_t length, const sf_cel_declaration *declarations,
                       size_t num_declarations, const sf_cel_options *options, sf_cel_program **program,
                       sf_error *error);
void sf_cel_program_free(sf_cel_program *program);

/* A result and the memory behind it. */
typedef struct sf_cel_result sf_cel_result;

/* Evaluates with the given variables (a declared one may be missing: an error only if it is needed). Errors of the
 * evaluation are SF_CONFIG_VALIDATION_ERROR. */
sf_code sf_cel_evaluate(const sf_cel_program *program, const sf_cel_binding *bindings, size_t num_bindings,
                        sf_cel_result **result, sf_error *error);
const sf_cel_value *sf_cel_result_value(const sf_cel_result *result); /* lives as long as the result */
void sf_cel_result_free(sf_cel_result *result);

/* "int", "string", …: the language's own names. */
const char *sf_cel_kind_name(sf_cel_kind kind);

#endif
