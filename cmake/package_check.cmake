# Read by cpack before it packs.
if(CPACK_SANDGLASS_NATIVE)
  message(FATAL_ERROR "this build is for the processor of this machine (SANDGLASS_NATIVE); "
                      "pack one that others can run: cmake --preset portable")
endif()
