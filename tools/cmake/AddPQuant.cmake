# The four wrappers around LLVM's and MLIR's CMake functions that every room uses, and the settings they share.

include(HandleLLVMOptions)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  # LLVM's own Release flags bring -O3; -O2 halves the build time of pattern code.
  string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
endif()
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
include_directories(
  "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include"
  "${PROJECT_BINARY_DIR}" "${PROJECT_BINARY_DIR}/include")
link_directories(${LLVM_BUILD_LIBRARY_DIR})
separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND "${LLVM_DEFINITIONS}")
add_definitions(${LLVM_DEFINITIONS_LIST})
add_compile_options(-Wall -Wno-unused-parameter -fvisibility-inlines-hidden)
if(PQUANT_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
                      -fno-sanitize=vptr,function)
  add_link_options(-fsanitize=address,undefined)
endif()

if(PQUANT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# The headers that every MLIR source of ours includes, compiled once.
function(pquant_use_pch target)
  if(NOT TARGET pquant-pch)
    file(WRITE "${PROJECT_BINARY_DIR}/pch/pch.cpp" "// Holds the precompiled header.\n")
    add_library(pquant-pch OBJECT "${PROJECT_BINARY_DIR}/pch/pch.cpp")
    target_compile_options(pquant-pch PRIVATE -fno-rtti -fno-exceptions)
    target_precompile_headers(pquant-pch PRIVATE
      <mlir/Dialect/Arith/IR/Arith.h> <mlir/Dialect/Func/IR/FuncOps.h>
      <mlir/Dialect/Linalg/IR/Linalg.h> <mlir/Dialect/MemRef/IR/MemRef.h>
      <mlir/Dialect/Tensor/IR/Tensor.h> <mlir/IR/Builders.h>
      <mlir/IR/PatternMatch.h> <mlir/Pass/Pass.h>
      <mlir/Transforms/DialectConversion.h>)
  endif()
  target_compile_options(${target} PRIVATE -fno-rtti -fno-exceptions)
  target_precompile_headers(${target} REUSE_FROM pquant-pch)
endfunction()

# add_pquant_dialect(<Room>): generates ops, types, attributes, enums and interfaces from <Room>Ops.td; expects to
# run in the room's folder.
function(add_pquant_dialect room namespace)
  set(LLVM_TARGET_DEFINITIONS ${room}Ops.td)
  mlir_tablegen(${room}Ops.h.inc -gen-op-decls -dialect=${namespace})
  mlir_tablegen(${room}Ops.cpp.inc -gen-op-defs -dialect=${namespace})
  mlir_tablegen(${room}Types.h.inc -gen-typedef-decls -typedefs-dialect=${namespace})
  mlir_tablegen(${room}Types.cpp.inc -gen-typedef-defs -typedefs-dialect=${namespace})
  mlir_tablegen(${room}Attrs.h.inc -gen-attrdef-decls -attrdefs-dialect=${namespace})
  mlir_tablegen(${room}Attrs.cpp.inc -gen-attrdef-defs -attrdefs-dialect=${namespace})
  mlir_tablegen(${room}Enums.h.inc -gen-enum-decls)
  mlir_tablegen(${room}Enums.cpp.inc -gen-enum-defs)
  mlir_tablegen(${room}Dialect.h.inc -gen-dialect-decls -dialect=${namespace})
  mlir_tablegen(${room}Dialect.cpp.inc -gen-dialect-defs -dialect=${namespace})
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${room}Interfaces.td")
    set(LLVM_TARGET_DEFINITIONS ${room}Interfaces.td)
    mlir_tablegen(${room}AttrInterfaces.h.inc -gen-attr-interface-decls)
    mlir_tablegen(${room}AttrInterfaces.cpp.inc -gen-attr-interface-defs)
    mlir_tablegen(${room}OpInterfaces.h.inc -gen-op-interface-decls)
    mlir_tablegen(${room}OpInterfaces.cpp.inc -gen-op-interface-defs)
  endif()
  add_public_tablegen_target(PQuant${room}IncGen)
  add_dependencies(mlir-headers PQuant${room}IncGen)
endfunction()

# add_pquant_passes(<Room>): generates the pass declarations of include/pquant/<Room>/Passes.td.
function(add_pquant_passes room)
  set(LLVM_TARGET_DEFINITIONS ${PROJECT_SOURCE_DIR}/include/pquant/${room}/Passes.td)
  set(dir ${PROJECT_BINARY_DIR}/include/pquant/${room})
  file(MAKE_DIRECTORY ${dir})
  file(RELATIVE_PATH rel ${CMAKE_CURRENT_BINARY_DIR} ${dir})
  mlir_tablegen(${rel}/Passes.h.inc -gen-pass-decls -name PQuant${room})
  add_public_tablegen_target(PQuant${room}PassIncGen)
  add_dependencies(mlir-headers PQuant${room}PassIncGen)
endfunction()

if(NOT TARGET mlir-headers)
  add_custom_target(mlir-headers)
endif()

# add_pquant_library(<name> sources... LINK_LIBS libs... [NO_PCH]): an MLIR library of ours. Upstream MLIR and LLVM
# come from the shared libMLIR and libLLVM.
function(add_pquant_library name)
  cmake_parse_arguments(ARG "NO_PCH" "" "LINK_LIBS;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  add_dependencies(${name} mlir-headers ${ARG_DEPENDS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK_LIBS} MLIR LLVM)
  if(ARG_NO_PCH)
    target_compile_options(${name} PRIVATE -fno-rtti)
  else()
    pquant_use_pch(${name})
  endif()
endfunction()

# add_pquant_tool(<name> sources... LINK_LIBS libs...): a tool in <build>/bin.
function(add_pquant_tool name)
  cmake_parse_arguments(ARG "NO_PCH" "" "LINK_LIBS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${ARG_LINK_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  set_property(GLOBAL APPEND PROPERTY PQUANT_TOOLS ${name})
  if(NOT ARG_NO_PCH)
    target_link_libraries(${name} PRIVATE MLIR LLVM)
    add_dependencies(${name} mlir-headers)
    # The precompiled header was made with -fPIC; CMake would give -fPIE here.
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    pquant_use_pch(${name})
  endif()
endfunction()

# add_pquant_doc(<td> <output> <command>): the reference page <output>.md, generated beside the caller (docs/).
function(add_pquant_doc td output command)
  set(LLVM_TARGET_DEFINITIONS ${td})
  tablegen(MLIR ${output}.md ${command} ${ARGN} "-I${MLIR_MAIN_INCLUDE_DIR}"
    "-I${PROJECT_SOURCE_DIR}" "-I${PROJECT_SOURCE_DIR}/include")
  add_custom_target(${output}DocGen ALL DEPENDS "${CMAKE_CURRENT_BINARY_DIR}/${output}.md")
endfunction()
