/* Errors and log messages, the memory that calls return, and the macros that every topic header uses. */
#ifndef SHARDYFUSION_ERROR_H
#define SHARDYFUSION_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define SF_API
#elif defined(__GNUC__)
#define SF_API __attribute__((visibility("default")))
#else
#define SF_API
#endif

/*
 * The `_INIT` macros below expand to these: they set `size`, at most one other member whose default is not zero, and zero
 * everything else. C++ has designated initializers only since C++20, and its compilers warn when they omit members.
 */
#ifdef __cplusplus
extern "C++" {
namespace shardyfusion {
template <typename Struct> inline Struct initialized() {
  Struct made = Struct();
  made.size = sizeof(Struct);
  return made;
}
template <typename Struct, typename Member, typename Value>
inline Struct initialized_with(Member Struct::*member, Value value) {
  Struct made = initialized<Struct>();
  made.*member = value;
  return made;
}
} // namespace shardyfusion
}
#define SF_INITIALIZER(type) ::shardyfusion::initialized<type>()
#define SF_INITIALIZER_WITH(type, member, value) ::shardyfusion::initialized_with<type>(&type::member, value)
#else
#define SF_INITIALIZER(type)                                                                                           \
  { .size = sizeof(type) }
#define SF_INITIALIZER_WITH(type, member, value)                                                                       \
  { .size = sizeof(type), .member = value }
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------------------------------------------------- Errors */

/*
 * The table of all errors: X(constant, number, public name, public name of the base or "", retryable).
 * The command prints the public name; language bindings generate their exceptions from this table.
 */
#define SF_ERROR_TABLE(X)                                                                                              \
  X(SF_ERROR, 1, "ShardyfusionError", "", false)                                                                       \
  X(SF_READER_STATE_ERROR, 2, "ReaderStateError", "ShardyfusionError", false)                                          \
  X(SF_MANIFEST_PARSE_ERROR, 3, "ManifestParseError", "ShardyfusionError", false)                                      \
  X(SF_DB_ADAPTER_ERROR, 4, "DbAdapterError", "ShardyfusionError", false)                                              \
  X(SF_CONFIG_VALIDATION_ERROR, 5, "ConfigValidationError", "ShardyfusionError", false)                                \
  X(SF_UNKNOWN_ROUTING_TOKEN_ERROR, 6, "UnknownRoutingTokenError", "ShardyfusionError", false)                         \
  X(SF_S3_TRANSIENT_ERROR, 7, "S3TransientError", "ShardyfusionError", true)                                           \
  X(SF_MANIFEST_STORE_ERROR, 8, "ManifestStoreError", "ShardyfusionError", true)                                       \
  X(SF_POOL_EXHAUSTED_ERROR, 9, "PoolExhaustedError", "ShardyfusionError", true)                                       \
  X(SF_CANCELLED_ERROR, 10, "CancelledError", "", false)                                                               \
  X(SF_TIMEOUT_ERROR, 11, "TimeoutError", "", false)                                                                   \
  X(SF_OUT_OF_MEMORY_ERROR, 12, "MemoryError", "", false)

typedef enum sf_code {
  SF_OK = 0,
#define SF_ERROR_CONSTANT(constant, number, name, base, retryable) constant = number,
  SF_ERROR_TABLE(SF_ERROR_CONSTANT)
#undef SF_ERROR_CONSTANT
} sf_code;

/* Why a call failed. Owned by the caller; owns no memory itself, so it can be copied and discarded freely. */
typedef struct sf_error {
  sf_code code;
  bool retryable;     /* the same call may succeed later */
  char message[1024]; /* names the object, what was expected and what was found */
} sf_error;

/* The public name, such as "ReaderStateError"; "OK" for SF_OK. Static storage. */
SF_API const char *sf_code_name(sf_code code);
SF_API bool sf_code_retryable(sf_code code);

/* ----------------------------------------------------------------------------------------------------------- Memory */

/* Frees memory that the library returned and that its comment says to free with sf_free. NULL is allowed. */
SF_API void sf_free(void *memory);

/* -------------------------------------------------------------------------------------------------------------- Log */

typedef enum sf_log_level { SF_LOG_DEBUG = 0, SF_LOG_INFO = 1, SF_LOG_WARNING = 2, SF_LOG_ERROR = 3 } sf_log_level;

/* Called from any thread, never with a lock held. `message` is valid until the callback returns. */
typedef void (*sf_log_callback)(sf_log_level level, const char *message, void *user_data);

#ifdef __cplusplus
}
#endif

#endif
