# Messages of the formats that are read with protobuf-c: each .proto of the library becomes a .pb-c.c and a .pb-c.h.
find_program(PROTOC_C_COMPILER NAMES protoc-c)
if(NOT PROTOC_C_COMPILER)
  message(FATAL_ERROR "protoc-c is needed (Debian: protobuf-c-compiler)")
endif()

# Appends the sources that are made from `protos` to `sources`; their headers can be included by name.
function(sf_generate_protobuf sources directory)
  set(generated ${${sources}})
  file(MAKE_DIRECTORY ${directory})
  foreach(proto ${ARGN})
    get_filename_component(name ${proto} NAME_WE)
    get_filename_component(folder ${proto} DIRECTORY)
    add_custom_command(OUTPUT ${directory}/${name}.pb-c.c ${directory}/${name}.pb-c.h
      COMMAND ${PROTOC_C_COMPILER} --proto_path=${folder} --c_out=${directory} ${proto}
      DEPENDS ${proto} VERBATIM)
    # What is generated is held to its own standard, not to ours.
    set_source_files_properties(${directory}/${name}.pb-c.c PROPERTIES COMPILE_OPTIONS -w)
    list(APPEND generated ${directory}/${name}.pb-c.c ${directory}/${name}.pb-c.h)
  endforeach()
  set(${sources} ${generated} PARENT_SCOPE)
endfunction()
