#include <shardyfusion.h>

#include <stdio.h>

static void print_results(const sf_search_response *response) {
  for (size_t i = 0; i < sf_search_response_count(response); i++) {
    const sf_search_result *result = sf_search_response_result(response, i);
    printf("%lld %g %s\n", (long long)result->id_integer, result->score, result->payload);
  }
}

int main(int argc, char **argv) {
  const char *root = argc > 1 ? argv[1] : "examples/words/snapshot";
  sf_error error;
  sf_reader *reader = NULL;
  sf_code code = sf_reader_open(root, NULL, &reader, &error);
  if (code == SF_OK) {
    float query[100] = {0.5f, -0.25f, 0.125f}; /* the other components are zero */
    sf_search_request request = SF_SEARCH_REQUEST_INIT;
    request.query = query;
    request.dim = 100;
    request.top_k = 5;
    sf_search_response *response = NULL;
    code = sf_reader_search(reader, &request, &response, &error);
    if (code == SF_OK) {
      print_results(response);
      sf_search_response_free(response);
    }
    sf_reader_free(reader);
  }
  if (code != SF_OK)
    fprintf(stderr, "%s: %s\n", sf_code_name(code), error.message);
  return code == SF_OK ? 0 : 1;
}
