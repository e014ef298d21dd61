#pragma once

#include <string>

/// Lives in a shared library of the program's.
int twice_in_library(int n);
std::string name_of_library();
