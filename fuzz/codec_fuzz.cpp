// Decodes hostile bytes as a type chosen by the first byte. Whatever decodes must survive another round trip
// with the same bytes; the sanitizers watch the rest. Seeds: fuzz/corpus/codec, valid encodings of each type.

#include <fourfold/base/codec.hpp>

#include <algorithm>
#include <array>
#include <bitset>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace {

enum class colour : std::uint8_t { red, green };
enum class truth : bool { no, yes };
struct nothing {};

struct record {
  int id;
  bool flag;
  char name[7];
  std::string text;
  std::optional<double> weight;
  colour tint;
  nothing none;
};

struct tree {
  int value = 0;
  std::unique_ptr<tree> left{};
  std::vector<tree> children{};
  std::map<std::string, std::shared_ptr<tree>> named{};
};

// No default constructor, and fewer values than bytes.
class even {
 public:
  explicit even(unsigned value) : value_{value} {}
  [[nodiscard]] unsigned value() const { return value_; }

 private:
  unsigned value_;
};

} // namespace

template <> struct fourfold::codec<even> {
  static void encode(encoder& out, const even& e) { out.write(e.value()); }
  static even decode(decoder& in) {
    const auto value = in.read<unsigned>();
    if (value % 2 != 0)
      in.fail("an odd number");
    return even(value);
  }
};

namespace {

using sequences = std::tuple<std::string, std::u32string, std::vector<int>, std::vector<bool>,
                             std::deque<record>, std::list<std::string>, std::forward_list<even>,
                             std::vector<nothing>, std::vector<std::vector<std::tuple<>>>>;
using ordered = std::tuple<std::set<std::string>, std::multiset<int>, std::map<int, std::vector<std::string>>,
                           std::multimap<std::string, truth>>;
using hashed = std::tuple<std::unordered_set<std::string>, std::unordered_map<int, std::string>,
                          std::unordered_multiset<int>>;
using sums = std::vector<std::variant<std::monostate, bool, int, std::string, even, std::vector<truth>,
                                      std::optional<std::optional<bool>>>>;
using scalars = std::tuple<bool, long double, std::complex<double>, colour, truth, std::bitset<13>,
                           std::array<even, 2>, std::array<std::string, 2>, std::filesystem::path>;

// Hashed containers iterate in an order of their own, so there only the number of bytes stays the same.
template <class T, bool KeepsOrder = true> void check(std::span<const std::byte> input) {
  try {
    const fourfold::byte_buffer first = fourfold::encode(fourfold::decode<T>(input));
    const fourfold::byte_buffer second = fourfold::encode(fourfold::decode<T>(first));
    if (first.size() != input.size() || second.size() != first.size())
      std::abort();
    if (KeepsOrder && !std::ranges::equal(first, second))
      std::abort();
  } catch (const fourfold::decode_error&) { // NOLINT(bugprone-empty-catch): most inputs are refused, as they
                                            // should
  }
}

} // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::span<const std::byte> input = std::as_bytes(std::span{data + 1, size - 1});
  switch (data[0] % 7) {
  case 0: check<sequences>(input); break;
  case 1: check<ordered>(input); break;
  case 2: check<hashed, false>(input); break;
  case 3: check<sums>(input); break;
  case 4: check<scalars>(input); break;
  case 5: check<tree>(input); break;
  default: check<std::vector<record>>(input); break;
  }
  return 0;
}
