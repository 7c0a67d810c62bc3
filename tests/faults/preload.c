/*
 * Faults in a process that knows nothing of them: this library is preloaded, and armed before the program's main.
 *
 *     FAULTS_POINT=n         the n-th call fails; 0: none
 *     FAULTS_MODE=once|from  it alone, or it and all that come after it
 *     FAULTS_CALLERS=a,b     only calls from modules whose path holds one of these words count
 *     FAULTS_REPORT=path     at the end, "counted failed" are written there, and where the first failed call was made
 */
#include "faults/faults.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void arm(void) {
  const char *point = getenv("FAULTS_POINT");
  const char *mode = getenv("FAULTS_MODE");
  if (point == NULL)
    return;
  faults_restrict_callers(getenv("FAULTS_CALLERS"));
  faults_arm(strtoull(point, NULL, 10), mode != NULL && strcmp(mode, "from") == 0 ? FAULT_FROM_THERE_ON : FAULT_ONCE);
}

__attribute__((destructor)) static void report(void) {
  char line[64];
  const char *path = getenv("FAULTS_REPORT");
  uint64_t failed = faults_disarm();
  int descriptor = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return;
  int length =
      snprintf(line, sizeof(line), "%llu %llu\n", (unsigned long long)faults_counted(), (unsigned long long)failed);
  if (write(descriptor, line, (size_t)length) == length)
    faults_report(descriptor);
  close(descriptor);
}
