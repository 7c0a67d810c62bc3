#include "base/c_locale.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

/* Never freed. */
static void make_locale(void) {
  c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool sf_c_locale_enter(locale_t *previous) {
  pthread_once(&once, make_locale);
  if (c_locale == (locale_t)0)
    return false;
  *previous = uselocale(c_locale);
  return true;
}

void sf_c_locale_leave(locale_t previous) {
  uselocale(previous);
}
