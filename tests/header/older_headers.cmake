# Copies the headers in FROM to TO, without the last member of each struct that the library returns in arrays.
file(GLOB_RECURSE headers RELATIVE ${FROM} ${FROM}/*.h)
foreach(header ${headers})
  file(READ ${FROM}/${header} text)
  foreach(struct sf_search_result sf_shard_detail sf_published_manifest sf_built_shard)
    string(REGEX REPLACE "\n[^\n]*\n} ${struct};" "\n} ${struct};" text "${text}")
  endforeach()
  file(WRITE ${TO}/${header} "${text}")
endforeach()
