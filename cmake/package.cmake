# The Debian package of a build: `cpack -G DEB` in its folder. Included at the end, when all that is installed is known.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS LICENSE docs/licences.md)
file(READ LICENSE licence)
file(READ docs/licences.md libraries)
file(CONFIGURE OUTPUT copyright CONTENT "${licence}\n${libraries}" @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/sandglass/configs COMPONENT program)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME sandglass)
set(CPACK_PACKAGE_VENDOR "The Sandglass authors")
set(CPACK_PACKAGE_CONTACT "The Sandglass authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Action Units of faces: their intensities and where they show")
set(CPACK_PACKAGE_DESCRIPTION
"Trains and runs heatmap networks that read the intensities of facial Action
Units from photographs and videos, and show where in the face they are.
The program, and the library for C and C++ programs. Contains no weights.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# What is read or loaded while it runs, which dpkg-shlibdeps does not see: the landmark model, and FFmpeg's libraries
# of the version that the build knows.
set(recommended)
if(SANDGLASS_DLIB)
  list(APPEND recommended libdlib-data)
endif()
if(SANDGLASS_FFMPEG)
  foreach(library avformat avcodec swscale avutil)
    string(REGEX MATCH "^[0-9]+" major "${FFMPEG_lib${library}_VERSION}")
    list(APPEND recommended lib${library}${major})
  endforeach()
  string(REGEX MATCH "^[0-9]+" major "${FFMPEG_libavformat_VERSION}")
  set(CPACK_DEBIAN_PACKAGE_SUGGESTS libavdevice${major})  # for cameras
endif()
list(JOIN recommended ", " CPACK_DEBIAN_PACKAGE_RECOMMENDS)
# A package is for other machines, too.
set(CPACK_SANDGLASS_NATIVE ${SANDGLASS_NATIVE})
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/package_check.cmake)
include(CPack)
