// SHA-256 by OpenSSL.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fourfold::tool {

using digest = std::array<unsigned char, 32>;

class sha256 {
 public:
  sha256() : context_(::EVP_MD_CTX_new()) {
    // The algorithm is looked up once: OpenSSL 3 takes locks shared by all threads for every look-up.
    static EVP_MD* const algorithm = ::EVP_MD_fetch(nullptr, "SHA256", nullptr);
    check(context_ != nullptr && ::EVP_DigestInit_ex(context_.get(), algorithm, nullptr) == 1);
  }
  void add(const void* data, std::size_t size) { check(::EVP_DigestUpdate(context_.get(), data, size) == 1); }
  void add(std::string_view text) { add(text.data(), text.size()); }
  digest finish() {
    digest value;
    check(::EVP_DigestFinal_ex(context_.get(), value.data(), nullptr) == 1);
    return value;
  }

 private:
  struct release {
    void operator()(EVP_MD_CTX* context) const { ::EVP_MD_CTX_free(context); }
  };
  static void check(bool good) {
    if (!good)
      throw std::runtime_error("OpenSSL cannot compute SHA-256");
  }
  std::unique_ptr<EVP_MD_CTX, release> context_;
};

inline digest sha256_of(std::string_view text) {
  sha256 sum;
  sum.add(text);
  return sum.finish();
}

inline std::string hexadecimal(const digest& value) {
  std::string text;
  for (const unsigned char byte : value) {
    text += "0123456789abcdef"[byte >> 4U];
    text += "0123456789abcdef"[byte & 15U];
  }
  return text;
}

} // namespace fourfold::tool
