#pragma once

#include <fourfold/base/priority.hpp>

namespace fourfold {

/// How one call is to be run; the first argument of a place's submit, where the place knows such options:
///
///   pool.submit({.priority = priority::high}, parse, text);
struct call_options {
  fourfold::priority priority = fourfold::priority::normal;
};

} // namespace fourfold
