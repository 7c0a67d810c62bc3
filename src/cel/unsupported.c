#include "cel/unsupported.h"

/* Timestamps and durations (langdef, "Timestamps and Durations"), and the network extension. */
static const char *const unsupported_functions[] = {"timestamp", "duration", "ip", "cidr", "isIP"};

static const char *const unsupported_members[] = {
    /* timestamps and durations */
    "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds",
    "getMinutes", "getMonth", "getSeconds",
    /* the extension of strings */
    "charAt", "format", "indexOf", "join", "lastIndexOf", "lowerAscii", "replace", "reverse", "split", "substring",
    "trim", "upperAscii",
    /* the extensions of lists and sets, and the macros with two variables */
    "distinct", "first", "flatten", "last", "slice", "sort", "sortBy", "existsOne", "transformList", "transformMap",
    "transformMapEntry",
    /* optional values */
    "hasValue", "optFlatMap", "optMap", "or", "orValue", "value",
    /* the network extension */
    "containsCIDR", "containsIP", "family", "isCanonical", "isGlobalUnicast", "isLinkLocalMulticast",
    "isLinkLocalUnicast", "isLoopback", "isUnspecified", "masked", "prefixLength"};

static const char *const unsupported_namespaces[] = {"base64",   "cel",   "json",  "lists", "math",   "net",
                                                     "optional", "proto", "regex", "sets",  "strings"};

static bool is_among(sf_cel_text name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (sf_cel_text_equals(name, names[i]))
      return true;
  }
  return false;
}

bool sf_cel_unsupported_function(sf_cel_text name) {
  return is_among(name, unsupported_functions, sizeof(unsupported_functions) / sizeof(unsupported_functions[0]));
}

bool sf_cel_unsupported_member(sf_cel_text name) {
  return is_among(name, unsupported_members, sizeof(unsupported_members) / sizeof(unsupported_members[0]));
}

bool sf_cel_unsupported_namespace(sf_cel_text name) {
  return is_among(name, unsupported_namespaces, sizeof(unsupported_namespaces) / sizeof(unsupported_namespaces[0]));
}
