# Writes a C++ source that holds files as constants, for a program that must work without them at run time.
#   cmake -DOUTPUT=file.cpp -DNAMES=a,b -DFILES=path_a,path_b -P embed.cmake
# Each file becomes `extern const std::string_view <name>` in fourfold::tool::embedded (see embedded.hpp).
string(REPLACE "," ";" names "${NAMES}")
string(REPLACE "," ";" files "${FILES}")
set(text "#include \"report/embedded.hpp\"\n\nnamespace fourfold::tool::embedded {\n")
foreach(name file IN ZIP_LISTS names files)
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND text "static constexpr char ${name}_bytes[] = {${bytes}'\\0'};\n"
    "const std::string_view ${name}(${name}_bytes, sizeof ${name}_bytes - 1);\n")
endforeach()
string(APPEND text "}  // namespace fourfold::tool::embedded\n")
file(WRITE "${OUTPUT}" "${text}")
