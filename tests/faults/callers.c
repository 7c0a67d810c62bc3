/* Which module a call comes from: address ranges of the loaded modules, read anew when an address is in none of them. */
#define _GNU_SOURCE
#include "faults/faults.h"

#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { MAX_RANGES = 4096 };

typedef struct range {
  uintptr_t begin;
  uintptr_t end;
  bool counts;
} range;

static const char *allowed; /* NULL: all callers count */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static range ranges[MAX_RANGES];
static size_t num_ranges;

static bool holds_a_word(const char *path) {
  for (const char *word = allowed; *word != '\0';) {
    size_t length = strcspn(word, ",");
    for (const char *at = path; length > 0 && *at != '\0'; at++)
      if (strncmp(at, word, length) == 0)
        return true;
    word += length + (word[length] == ',');
  }
  return false;
}

static int add_module(struct dl_phdr_info *module, size_t size, void *unused) {
  (void)size, (void)unused;
  /* The program itself has no path here. */
  bool counts = holds_a_word(module->dlpi_name[0] == '\0' ? "program" : module->dlpi_name);
  for (size_t i = 0; i < module->dlpi_phnum && num_ranges < MAX_RANGES; i++) {
    const ElfW(Phdr) *header = &module->dlpi_phdr[i];
    uintptr_t begin = module->dlpi_addr + header->p_vaddr;
    if (header->p_type == PT_LOAD && (header->p_flags & PF_X) != 0)
      ranges[num_ranges++] = (range){.begin = begin, .end = begin + header->p_memsz, .counts = counts};
  }
  return 0;
}

static const range *find(uintptr_t address) {
  for (size_t i = 0; i < num_ranges; i++)
    if (address >= ranges[i].begin && address < ranges[i].end)
      return &ranges[i];
  return NULL;
}

void faults_restrict_callers(const char *words) {
  allowed = words;
}

bool faults_caller_counts(const void *caller) {
  static _Thread_local bool is_reading; /* what reads the modules may allocate, too */
  if (allowed == NULL)
    return true;
  if (is_reading)
    return false;
  is_reading = true;
  pthread_mutex_lock(&mutex);
  const range *found = find((uintptr_t)caller);
  if (found == NULL) {
    num_ranges = 0;
    dl_iterate_phdr(add_module, NULL);
    found = find((uintptr_t)caller);
  }
  bool counts = found != NULL && found->counts;
  pthread_mutex_unlock(&mutex);
  is_reading = false;
  return counts;
}
