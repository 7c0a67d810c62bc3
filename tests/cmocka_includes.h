/* cmocka wants these before it. */
#ifndef SF_TESTS_CMOCKA_INCLUDES_H
#define SF_TESTS_CMOCKA_INCLUDES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#endif
