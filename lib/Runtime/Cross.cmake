# The runtime for the other systems that pquant-compile can link for, in <build>/lib/<system>/, with the static zlib and
# minizip that executables need. A system whose C++ compiler or libraries are missing is left out: pquant-compile then
# writes objects for it only. tools/dev/install-aarch64.sh installs what is looked for here.
include(ExternalProject)

set(PQUANT_AARCH64_LIBRARIES "${PROJECT_SOURCE_DIR}/build/debian-arm64" CACHE PATH
    "Root of Debian's zlib1g-dev and libminizip-dev for arm64")

function(add_pquant_cross_runtime system processor libraries)
  find_program(PQUANT_GXX_${processor} NAMES ${system}-g++ DOC "GCC for ${system}")
  set(hints HINTS "${libraries}/usr/lib/${system}" "/usr/lib/${system}" NO_DEFAULT_PATH)
  find_library(PQUANT_ZLIB_${processor} NAMES libz.a ${hints})
  find_library(PQUANT_MINIZIP_${processor} NAMES libminizip.a ${hints})
  if(NOT PQUANT_GXX_${processor} OR NOT PQUANT_ZLIB_${processor} OR NOT PQUANT_MINIZIP_${processor})
    message(STATUS "No runtime for ${system}: expected ${system}-g++, libz.a and libminizip.a of that system")
    return()
  endif()
  set(output "${PROJECT_BINARY_DIR}/lib/${system}")
  file(COPY "${PQUANT_ZLIB_${processor}}" "${PQUANT_MINIZIP_${processor}}" DESTINATION "${output}")
  ExternalProject_Add(runtime-${system}
    SOURCE_DIR "${PROJECT_SOURCE_DIR}/tools/cmake/CrossRuntime"
    BINARY_DIR "${CMAKE_CURRENT_BINARY_DIR}/${system}"
    CMAKE_ARGS -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=${processor}
      "-DCMAKE_CXX_COMPILER=${PQUANT_GXX_${processor}}" "-DPQUANT_GXX=${PQUANT_GXX_${processor}}"
      "-DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}"
      "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY" "-DPQUANT_RUNTIME_OUTPUT=${output}"
      "-DZLIB_LIBRARY=${PQUANT_ZLIB_${processor}}" "-DZLIB_INCLUDE_DIR=${ZLIB_INCLUDE_DIR}"
      "-DPQUANT_MINIZIP_INCLUDE=${PQUANT_MINIZIP_INCLUDE}"
    BUILD_ALWAYS ON
    USES_TERMINAL_BUILD OFF
    INSTALL_COMMAND "")
endfunction()

add_pquant_cross_runtime(aarch64-linux-gnu aarch64 "${PQUANT_AARCH64_LIBRARIES}")
