/* UTF-8 as The Unicode Standard, section 3.9, table 3-7 has it: nothing overlong, no surrogates, at most U+10FFFF. */
#ifndef SF_FORMATS_LANCE_UTF8_H
#define SF_FORMATS_LANCE_UTF8_H

#include "formats/lance/bytes.h"

bool sf_lance_is_utf8(sf_lance_bytes text);

#endif
