#include "shardyfusion/types.h"
#include "vectors/distance.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#define ON_X86_64(entry) entry
#else
#define ON_X86_64(entry)
#endif
#if defined(__aarch64__)
#define ON_AARCH64(entry) entry
#else
#define ON_AARCH64(entry)
#endif

/* Every kernel, best first: its file defines `sf_<name>_kernels`. */
#define KERNEL_TABLE(X)                                                                                                \
  ON_X86_64(X(sf_avx512vnni_kernels))                                                                                  \
  ON_X86_64(X(sf_avx512_kernels))                                                                                      \
  ON_X86_64(X(sf_avx2_kernels))                                                                                        \
  ON_AARCH64(X(sf_neon_kernels))                                                                                       \
  X(sf_portable_kernels)

#define DECLARE_KERNELS(kernels) extern const sf_kernels kernels;
KERNEL_TABLE(DECLARE_KERNELS)

#define POINTER_TO_KERNELS(kernels) &kernels,
static const sf_kernels *const all_kernels[] = {KERNEL_TABLE(POINTER_TO_KERNELS) NULL};

const sf_kernels *const *sf_kernels_all(void) {
  return all_kernels;
}

static const sf_kernels *find_supported(const char *name) {
  for (size_t i = 0; all_kernels[i] != NULL; i++) {
    bool wanted = name == NULL || strcmp(all_kernels[i]->name, name) == 0;
    if (wanted && all_kernels[i]->supported())
      return all_kernels[i];
  }
  return NULL;
}

static const sf_kernels *pick(void) {
  const char *forced = getenv("SHARDYFUSION_KERNEL");
  const sf_kernels *kernels = forced == NULL ? NULL : find_supported(forced);
  return kernels != NULL ? kernels : find_supported(NULL);
}

const sf_kernels *sf_kernels_get(void) {
  static _Atomic(const sf_kernels *) picked;
  const sf_kernels *kernels = atomic_load_explicit(&picked, memory_order_acquire);
  if (kernels != NULL)
    return kernels;
  /* Threads may race here: the first to store decides for all, even if the environment changed in between. */
  const sf_kernels *mine = pick();
  return atomic_compare_exchange_strong(&picked, &kernels, mine) ? mine : kernels;
}

const char *sf_kernel_name(void) {
  return sf_kernels_get()->name;
}
