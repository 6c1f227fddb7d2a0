// The pages' style sheet, style.css beside this file, as it was when Sandglass was built.
#pragma once

namespace sandglass {

extern const char* const kStyle;

}  // namespace sandglass
