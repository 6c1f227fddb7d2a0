#include "kernels/simt/architecture.h"

#include <cstdlib>

#include "engine/error.h"

namespace sandglass::simt {
namespace {

Architecture& current_architecture() {
  static Architecture current = [] {
    const char* text = std::getenv("SANDGLASS_SIMT_ARCHITECTURE");
    return text ? parse_architecture(text) : Architecture::sm_80;
  }();
  return current;
}

}  // namespace

Architecture architecture() { return current_architecture(); }
void set_architecture(Architecture architecture) { current_architecture() = architecture; }

Architecture parse_architecture(std::string_view text) {
  if (text == "sm_80") return Architecture::sm_80;
  if (text == "sm_90") return Architecture::sm_90;
  fail("SANDGLASS_SIMT_ARCHITECTURE is '{}': choose sm_80 or sm_90", text);
}

}  // namespace sandglass::simt
