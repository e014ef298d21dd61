// The pages that the page server serves. A page is a function of its number, so both ends know every byte of
// it.
#pragma once

#include <string>

namespace fourfold::tool {

// About 10 kB of words, as compressible as prose.
std::string page_text(unsigned number);

} // namespace fourfold::tool
