/* Numbers as text are read and written with the decimal point of the thread's locale; files have it as C does. */
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
