/* Expressions over some declared variables, and what is expected of them. */
#ifndef SF_SUPPORT_CEL_EXPRESSIONS_H
#define SF_SUPPORT_CEL_EXPRESSIONS_H

#include "cel/cel.h"
#include "cel/value.h"

enum { CEL_NUM_DECLARATIONS = 12, CEL_NUM_BINDINGS = 11 };

extern const sf_cel_declaration cel_declarations[CEL_NUM_DECLARATIONS];
/* All that is declared but `absent`. */
extern const sf_cel_binding cel_bindings[CEL_NUM_BINDINGS];

/* `lenient`: without the type check. */
sf_code cel_compile_bytes(const char *expression, size_t length, bool lenient, sf_cel_program **program,
                          sf_error *error);
sf_code cel_run_bytes(const char *expression, size_t length, bool lenient, sf_cel_result **result, sf_error *error);
void cel_expect_result(const char *expression, sf_cel_value expected);
void cel_expect_text(const char *expression, const char *expected);
void cel_expect_true(const char *expression);
void cel_expect_failure_of_bytes(const char *expression, size_t length, bool lenient, const char *message);
void cel_expect_failure(const char *expression, const char *message);
void cel_expect_compile_failure(const char *expression, const char *message);
/* `count` times `text`, between two others; to be freed. */
char *cel_repeated(const char *before, const char *text, size_t count, const char *after);
void cel_expect_repeated_failure(const char *before, const char *text, size_t count, const char *after,
                                 const char *message);

#endif
