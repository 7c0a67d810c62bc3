/*
 * The Common Expression Language (https://github.com/google/cel-spec, langdef) over its scalar types, lists and maps:
 * compiled once, evaluated often, from any thread. Neither an expression nor its input can make either take more than
 * bounded time, memory or stack; the bounds are in limits.h, and an error names the one that was met.
 *
 * All standard operators, macros (has, all, exists, exists_one, map, filter), conversions and functions of these types
 * are there, and one more:
 *   shard_hash(int|uint|string|bytes) -> uint   XXH3-64, seed 0, of the UTF-8 of a string, of bytes, or of an integer
 *                                               as eight bytes, little-endian and signed; a uint above 2^63-1 is an error
 * Timestamps, durations, protocol buffer messages, optional values and the extension libraries are not; an expression
 * that uses them is refused by their name. Patterns of matches() are RE2's and mean what they mean there, but for \C
 * and for \p under the flag i, which are refused.
 */
#ifndef SF_CEL_CEL_H
#define SF_CEL_CEL_H

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
      /* list: `count` items; map: `count` pairs, key then value. Of a key that is there twice, the first counts. */
      const sf_cel_value *items;
      size_t count;
    } list;
  } as;
};

/* A variable's type in a declaration. LIST and MAP declare list(dyn) and map(dyn, dyn). A name may have dots. */
typedef struct sf_cel_declaration {
  const char *name;
  sf_cel_kind type;
  bool is_dyn; /* any type, which only the evaluation knows; `type` is ignored */
} sf_cel_declaration;

typedef struct sf_cel_binding {
  const char *name;
  sf_cel_value value;
} sf_cel_binding;

typedef struct sf_cel_program sf_cel_program; /* immutable: any thread */

typedef struct sf_cel_options {
  bool skip_type_check; /* parse and resolve only; types are found out when evaluating */
  bool expects_bool;    /* an expression whose type can't be bool is refused */
  const char *known;    /* said after a name that nothing has, of the names that there are; NULL: nothing */
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

/* The memory that a program takes, but for its regular expressions. */
size_t sf_cel_program_num_bytes(const sf_cel_program *program);

/* Whether the expression may read the variable. */
bool sf_cel_program_reads(const sf_cel_program *program, const char *name);

/* A result and the memory behind it. */
typedef struct sf_cel_result sf_cel_result;

/*
 * Evaluates with the given variables. A declared one may be missing, which is an error only if it is needed; one that
 * the expression does not name is not looked at. Of those it names, kinds and UTF-8 are checked. Errors of the
 * evaluation are SF_CONFIG_VALIDATION_ERROR, their text as that of sf_cel_compile's.
 */
sf_code sf_cel_evaluate(const sf_cel_program *program, const sf_cel_binding *bindings, size_t num_bindings,
                        sf_cel_result **result, sf_error *error);
const sf_cel_value *sf_cel_result_value(const sf_cel_result *result); /* lives as long as the result */
void sf_cel_result_free(sf_cel_result *result);

/*
 * Evaluates one program over and over, with what an evaluation needs allocated once. One thread at a time; the program
 * must outlive it.
 */
typedef struct sf_cel_evaluator sf_cel_evaluator;

sf_code sf_cel_evaluator_create(const sf_cel_program *program, sf_cel_evaluator **evaluator, sf_error *error);
void sf_cel_evaluator_free(sf_cel_evaluator *evaluator); /* NULL is allowed */

/*
 * As sf_cel_evaluate, but the bindings are trusted: kinds are as declared, strings are UTF-8, and nothing is nested deeper
 * than SF_CEL_MAX_BINDING_DEPTH. The value lives until the next call, and may point into the bindings. Where *is_limit is
 * true after a failure, it was a limit's or memory's, and not the expression's. `steps`, of which no more than
 * SF_CEL_MAX_STEPS are used, is lowered by those that were taken.
 */
sf_code sf_cel_evaluator_run(sf_cel_evaluator *evaluator, const sf_cel_binding *bindings, size_t num_bindings,
                             uint64_t *steps, const sf_cel_value **value, bool *is_limit, sf_error *error);

/* "int", "string", …: the language's own names. */
const char *sf_cel_kind_name(sf_cel_kind kind);

#endif
