/* Runs a fuzzer's entry point over every file of a corpus folder, in order of name: the corpora as tests. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    return 1;
  }
  uint8_t *bytes = NULL;
  size_t length = 0;
  size_t got = 0;
  do {
    uint8_t *larger = realloc(bytes, length + 65536);
    if (larger == NULL)
      abort();
    bytes = larger;
    got = fread(bytes + length, 1, 65536, file);
    length += got;
  } while (got > 0);
  int failed = ferror(file);
  fclose(file);
  /* An exact copy: the sanitizer then sees one byte too far. */
  uint8_t *exact = malloc(length > 0 ? length : 1);
  if (exact == NULL)
    abort();
  for (size_t i = 0; i < length; i++)
    exact[i] = bytes[i];
  free(bytes);
  LLVMFuzzerTestOneInput(exact, length);
  free(exact);
  return failed;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
    return 2;
  }
  struct dirent **entries;
  int count = scandir(argv[1], &entries, NULL, alphasort);
  if (count < 0) {
    perror(argv[1]);
    return 1;
  }
  int replayed = 0;
  int failed = 0;
  for (int i = 0; i < count; i++) {
    if (entries[i]->d_name[0] != '.') {
      char path[4096];
      snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name);
      failed |= replay_file(path);
      replayed++;
    }
    free(entries[i]);
  }
  free(entries);
  printf("%d inputs replayed\n", replayed);
  return failed != 0 || replayed == 0;
}
