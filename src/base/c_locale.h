/* The C locale, for numbers in files: the standard library reads and writes them with the decimal point of the thread's
 * locale. */
#ifndef SF_BASE_C_LOCALE_H
#define SF_BASE_C_LOCALE_H

#include <locale.h>
#include <stdbool.h>

#if defined(__APPLE__)
#include <xlocale.h>
#endif

/* Makes the C locale the calling thread's own until sf_c_locale_leave. False, with nothing changed, when memory is out. */
bool sf_c_locale_enter(locale_t *previous);
void sf_c_locale_leave(locale_t previous);

#endif
