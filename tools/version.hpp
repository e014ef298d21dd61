#pragma once

namespace fourfold::tool {

// Set by the build from the project's version.
#ifdef FOURFOLD_VERSION
inline constexpr const char* version = FOURFOLD_VERSION;
#else
inline constexpr const char* version = "unknown";
#endif

} // namespace fourfold::tool
