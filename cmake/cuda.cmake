# The CUDA language for the cuda device. Included at the top, before any target.
if(NOT CMAKE_CUDA_COMPILER)
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "SANDGLASS_CUDA is ON but there is no nvcc; install the CUDA toolkit or name it with "
                        "-DCMAKE_CUDA_COMPILER=/path/to/nvcc")
  endif()
endif()
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80;90a" CACHE STRING "GPU architectures, or native: this machine's")
endif()
if(CMAKE_CUDA_ARCHITECTURES STREQUAL native)
  # Not CMake's own `native`: that takes 90 for a Hopper GPU, whose wgmma instructions need 90a, and is silent where no
  # GPU is.
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
    OUTPUT_VARIABLE capabilities OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed OR NOT capabilities MATCHES "^[0-9]+\\.[0-9]+")
    message(FATAL_ERROR "CMAKE_CUDA_ARCHITECTURES is native but nvidia-smi names no GPU here; name the architecture "
                        "instead, for example -DCMAKE_CUDA_ARCHITECTURES=80 (A100) or 90a (H100)")
  endif()
  string(REGEX MATCHALL "[0-9]+\\.[0-9]+" architectures "${capabilities}")
  list(REMOVE_DUPLICATES architectures)
  list(TRANSFORM architectures REPLACE "\\." "")
  list(TRANSFORM architectures REPLACE "^90$" "90a")
  set(CMAKE_CUDA_ARCHITECTURES ${architectures})
  message(STATUS "GPU architectures of this machine: ${architectures}")
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
# CMake 3.25 does not know that nvcc has C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
if(CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
# Keeps ptxas's report of each object for scripts/kernel_resources.py.
list(PREPEND CMAKE_CUDA_COMPILER_LAUNCHER ${PROJECT_SOURCE_DIR}/cmake/keep_ptxas_report.sh)

# cuDNN and cuBLAS, to compare with: beside the toolkit, where the system keeps libraries, or where PyPI's nvidia
# packages put them, in the Python that is first on the path. Those have the libraries under their versioned names only.
get_filename_component(toolkit ${CMAKE_CUDA_COMPILER} REALPATH)
get_filename_component(toolkit ${toolkit}/../.. ABSOLUTE)
execute_process(COMMAND python3 -c "import sysconfig; print(sysconfig.get_paths()['purelib'])"
  OUTPUT_VARIABLE site_packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(GLOB nvidia_packages ${site_packages}/nvidia/cudnn ${site_packages}/nvidia/cublas ${site_packages}/nvidia/cu[0-9]*)
set(nvidia_folders ${toolkit} ${toolkit}/targets/x86_64-linux ${nvidia_packages})
function(find_nvidia_library NAME header library)
  set(folders ${${NAME}_ROOT} ${nvidia_folders})
  list(TRANSFORM folders APPEND /lib/lib${library}.so.* OUTPUT_VARIABLE patterns)
  file(GLOB versioned ${patterns})
  list(TRANSFORM versioned REPLACE ".*/" "")
  find_path(${NAME}_INCLUDE ${header} HINTS ${folders} PATH_SUFFIXES include)
  find_library(${NAME}_LIBRARY NAMES ${library} ${versioned} HINTS ${folders} PATH_SUFFIXES lib lib64)
  if(${NAME}_INCLUDE AND ${NAME}_LIBRARY)
    message(STATUS "${NAME}: ${${NAME}_LIBRARY}")
    add_library(sandglass_${NAME} INTERFACE IMPORTED GLOBAL)
    target_link_libraries(sandglass_${NAME} INTERFACE ${${NAME}_LIBRARY})
  else()
    message(STATUS "Left out: convolutions by ${NAME} (${header} or lib${library}.so not found; name its folder with "
                   "-D${NAME}_ROOT=...)")
  endif()
endfunction()
find_nvidia_library(CUDNN cudnn.h cudnn)
find_nvidia_library(CUBLAS cublas_v2.h cublas)

# fmt 9 believes that nvcc cannot do constexpr, and then does not compile. Line numbers serve profilers. A kernel that
# spills registers or keeps an array in local memory does not build.
target_compile_options(sandglass_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:-DFMT_USE_CONSTEXPR=1;-lineinfo;-Xptxas=-v,-warn-spills,-warn-lmem-usage,-Werror>")
