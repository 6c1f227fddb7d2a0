// How this program was built.
#pragma once

namespace sandglass {

extern const char* const kVersion;     ///< "0.1.0"
extern const char* const kCommit;      ///< as `git describe --always --dirty` said; empty if not known
extern const char* const kCompiler;    ///< "GNU 12.2.0"
extern const char* const kBuildType;   ///< "Release"
extern const bool kNative;             ///< compiled for the building machine's processor
extern const char* const kSanitizers;  ///< "address,undefined"; empty if none

}  // namespace sandglass
