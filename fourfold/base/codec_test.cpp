#include <fourfold/base/codec.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <limits>
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

namespace outside {

// A class with an invariant, taught to the codec by its hook; it has no default constructor.
class even {
 public:
  explicit even(int value) : value_{value} {}
  [[nodiscard]] int value() const { return value_; }
  bool operator==(const even&) const = default;

 private:
  int value_;
  std::string note_ = "even";
};

class money {
 public:
  money() = default;
  constexpr explicit money(std::int64_t cents) : cents_{cents} {}
  bool operator==(const money&) const = default;

 private:
  std::int64_t cents_ = 0;
};

class with_padding {
 public:
  with_padding() = default;
  with_padding(char c, long n) : c_{c}, n_{n} {}
  bool operator==(const with_padding&) const = default;

 private:
  char c_ = 0;
  long n_ = 0;
};

// Recurses through its hook only.
struct chain {
  std::unique_ptr<chain> next;
};

} // namespace outside

template <> struct fourfold::codec<outside::even> {
  static void encode(encoder& out, const outside::even& e) { out.write(e.value()); }
  static outside::even decode(decoder& in) {
    const int value = in.read<int>();
    if (value % 2 != 0)
      in.fail("an odd number");
    return outside::even(value);
  }
};
template <> struct fourfold::codec<outside::with_padding> : fourfold::codec_as_bytes<outside::with_padding> {
};
template <> struct fourfold::codec<outside::chain> {
  static void encode(encoder& out, const outside::chain& c) { out.write(c.next); }
  static outside::chain decode(decoder& in) { return {in.read<std::unique_ptr<outside::chain>>()}; }
};

// As the process floor will: function pointers by a partial specialisation, here for one signature only.
template <class R> struct fourfold::codec<R (*)(std::byte)> {
  static void encode(encoder& out, R (*const& f)(std::byte)) {
    out.write(reinterpret_cast<std::uintptr_t>(f));
  }
  static auto decode(decoder& in) -> R (*)(std::byte) {
    return reinterpret_cast<R (*)(std::byte)>(in.read<std::uintptr_t>());
  }
};

namespace {

using fourfold::byte_buffer;
using fourfold::decode;
using fourfold::decode_error;
using fourfold::encodable;
using fourfold::encode;

template <class T> T there_and_back(const T& value) { return decode<T>(encode(value)); }

template <class T> void expect_kept(const T& value) {
  EXPECT_TRUE(there_and_back(value) == value) << __PRETTY_FUNCTION__;
}

std::vector<std::byte> bytes_of(const byte_buffer& buffer) { return {buffer.begin(), buffer.end()}; }

enum class colour : std::uint8_t { red, green };
enum class truth : bool { no, yes };
__extension__ using wide = unsigned __int128;

struct nothing {
  bool operator==(const nothing&) const = default;
};
struct plain {
  int a;
  float b;
  std::array<std::int16_t, 2> c;
  bool operator==(const plain&) const = default;
};
struct padded {
  char a;
  double b;
  bool c;
  char name[6];
  int grid[2][3];
  bool operator==(const padded&) const = default;
};
struct nested {
  plain first;
  std::string second;
  nothing third;
  std::optional<padded> fourth;
  const int fifth;
  bool operator==(const nested&) const = default;
};
struct without_defaults {
  outside::even a;
  std::string b;
  outside::even c;
  bool operator==(const without_defaults&) const = default;
};
struct tree {
  int value = 0;
  std::unique_ptr<tree> left{};
  std::vector<tree> children{};
};
struct thirty_two {
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22,
      a23, a24, a25, a26, a27, a28, a29, a30;
  std::string a31;
  bool operator==(const thirty_two&) const = default;
};

using rich = std::tuple<padded, std::vector<std::string>, std::map<int, std::set<std::string>>,
                        std::variant<int, std::string, std::vector<bool>>, std::unique_ptr<std::string>,
                        std::optional<bool>, std::bitset<11>, outside::even, tree, std::vector<nothing>>;

rich make_rich() {
  tree t{1, std::make_unique<tree>(), {}};
  t.children.push_back(tree{2, nullptr, {}});
  return {padded{'x', 2.5, true, "abcde", {{1, 2, 3}, {4, 5, 6}}},
          std::vector<std::string>{"one", "", "three"},
          std::map<int, std::set<std::string>>{{1, {"a", "b"}}, {2, {}}},
          std::vector<bool>{true, false, true},
          std::make_unique<std::string>("owned"),
          false,
          std::bitset<11>{0x5a5},
          outside::even{42},
          std::move(t),
          std::vector<nothing>(3)};
}

TEST(codec, keeps_scalars) {
  expect_kept(-7);
  expect_kept(std::numeric_limits<std::uint64_t>::max());
  expect_kept(static_cast<wide>(1) << 100);
  expect_kept(true);
  expect_kept('c');
  expect_kept(u8'c');
  expect_kept(U'\U0001F600');
  expect_kept(std::byte{200});
  expect_kept(2.5f);
  expect_kept(-0.1);
  expect_kept(1.0L / 3);
  expect_kept(colour::green);
  expect_kept(truth::yes);
  expect_kept(std::complex<double>{1, -2});
  expect_kept(std::complex<long double>{1, -2});
  expect_kept(std::chrono::milliseconds{5});
  expect_kept(std::chrono::duration<double>{0.25});
  expect_kept(std::chrono::steady_clock::now());
  expect_kept(std::chrono::year_month_day{std::chrono::year{2024}, std::chrono::May, std::chrono::day{3}});
}

TEST(codec, keeps_strings_and_sequences) {
  expect_kept(std::string{});
  expect_kept(std::string(1000, 'x'));
  expect_kept(std::wstring{L"wide"});
  expect_kept(std::u8string{u8"eight"});
  expect_kept(std::u32string{U"thirty-two"});
  expect_kept(std::vector<int>{});
  expect_kept(std::vector<int>{1, 2, 3});
  expect_kept(std::vector<unsigned char>{1, 2, 3});
  expect_kept(std::vector<std::byte>(3, std::byte{9}));
  expect_kept(std::vector<colour>{colour::red, colour::green});
  expect_kept(std::vector<plain>{{1, 2, {3, 4}}, {5, 6, {7, 8}}});
  expect_kept(std::vector<std::vector<std::string>>{{"a"}, {}, {"b", "c"}});
  expect_kept(std::vector<bool>{});
  expect_kept(std::vector<bool>{true, false, true, true, false, false, false, true, true});
  expect_kept(std::deque<int>{1, 2, 3});
  expect_kept(std::list<std::string>{"a", "b"});
  expect_kept(std::forward_list<int>{1, 2, 3});
  expect_kept(std::array<int, 3>{1, 2, 3});
  expect_kept(std::array<std::string, 2>{"a", "b"});
  expect_kept(std::array<outside::even, 2>{outside::even{2}, outside::even{4}});
  expect_kept(std::array<int, 0>{});
  expect_kept(std::vector<outside::even>{outside::even{2}, outside::even{4}});
  expect_kept(std::bitset<0>{});
  expect_kept(std::bitset<70>{0x123456789abcdefULL});
  expect_kept(std::filesystem::path{"/usr/share/doc"});
}

TEST(codec, keeps_sets_and_maps) {
  expect_kept(std::set<std::string>{"b", "a"});
  expect_kept(std::set<int, std::greater<>>{1, 2, 3});
  expect_kept(std::multiset<int>{1, 1, 2});
  expect_kept(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  expect_kept(std::multimap<int, int>{{1, 2}, {1, 3}, {0, 0}});
  expect_kept(std::unordered_set<std::string>{"a", "b", "c"});
  expect_kept(std::unordered_multiset<int>{1, 1, 2});
  expect_kept(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
  expect_kept(std::unordered_multimap<int, int>{{1, 2}, {1, 3}});
  const auto owners = there_and_back(std::map<int, std::unique_ptr<int>>{});
  EXPECT_TRUE(owners.empty());
}

TEST(codec, keeps_sums_and_products) {
  expect_kept(std::pair{1, std::string{"two"}});
  expect_kept(std::tuple<>{});
  expect_kept(std::tuple{1, std::string{"two"}, 3.0});
  expect_kept(std::tuple{std::tuple{std::tuple{1}}});
  expect_kept(std::optional<int>{});
  expect_kept(std::optional<std::string>{"full"});
  expect_kept(std::optional<std::optional<int>>{std::optional<int>{}});
  expect_kept(std::variant<int, std::string>{"text"});
  expect_kept(std::variant<std::monostate, int, int>{std::in_place_index<2>, 5});
  expect_kept(std::variant<std::monostate, outside::even>{});
  expect_kept(std::monostate{});
}

TEST(codec, keeps_aggregates_without_a_line_from_the_user) {
  expect_kept(nothing{});
  expect_kept(plain{1, 2, {3, 4}});
  expect_kept(padded{'x', 2.5, true, "abcde", {{1, 2, 3}, {4, 5, 6}}});
  expect_kept(nested{{1, 2, {3, 4}}, "s", {}, padded{'x', 2.5, true, "abc", {}}, 5});
  expect_kept(without_defaults{outside::even{2}, "b", outside::even{4}});
  expect_kept(thirty_two{1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                         17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, "32"});
}

TEST(codec, keeps_bit_fields) {
  struct packed {
    unsigned a : 3;
    int b : 5;
    std::string c;
  };
  const packed there = there_and_back(packed{5, -7, "c"});
  EXPECT_EQ(there.a, 5U);
  EXPECT_EQ(there.b, -7);
  EXPECT_EQ(there.c, "c");
}

TEST(codec, keeps_what_smart_pointers_own) {
  EXPECT_EQ(there_and_back(std::unique_ptr<int>{}), nullptr);
  EXPECT_EQ(*there_and_back(std::make_unique<std::string>("owned")), "owned");
  EXPECT_EQ(*there_and_back(std::make_unique<const int>(3)), 3);
  EXPECT_EQ(*there_and_back(std::make_unique<outside::even>(4)), outside::even{4});
  EXPECT_EQ(there_and_back(std::shared_ptr<int>{}), nullptr);
  const auto shared = std::make_shared<int>(7);
  const auto [a, b] = there_and_back(std::pair{shared, shared});
  EXPECT_EQ(*a, 7);
  EXPECT_EQ(*b, 7);
  EXPECT_NE(a, b) << "sharing is not kept";
}

TEST(codec, keeps_a_tree_that_holds_itself) {
  tree root{1, std::make_unique<tree>(2), {}};
  root.children.emplace_back(3);
  const tree copy = there_and_back(root);
  EXPECT_EQ(copy.value, 1);
  EXPECT_EQ(copy.left->value, 2);
  EXPECT_EQ(copy.children.at(0).value, 3);
}

TEST(codec, carries_classes_by_hook_or_by_proof) {
  expect_kept(outside::even{12});
  expect_kept(outside::with_padding{'c', 5});
  expect_kept(outside::money{1299});
  expect_kept(std::vector<outside::money>{outside::money{1}, outside::money{2}});
  EXPECT_THROW(static_cast<void>(decode<outside::even>(encode(13))), decode_error);
}

TEST(codec, carries_lambdas_that_capture_values) {
  int base = 40;
  const auto with_capture = [base](int n) { return base + n; };
  EXPECT_EQ(there_and_back(with_capture)(2), 42);
  const auto without = [] { return 7; };
  EXPECT_EQ(there_and_back(without)(), 7);
}

TEST(codec, carries_function_pointers_only_by_a_hook) {
  int (*const function)(std::byte) = [](std::byte b) { return std::to_integer<int>(b) + 1; };
  EXPECT_EQ(decode<int (*)(std::byte)>(encode(function))(std::byte{1}), 2);
  static_assert(encodable<std::tuple<int (*)(std::byte), int>>);
  static_assert(!encodable<int (*)(nothing)>);
}

TEST(codec, reads_a_pack_as_a_tuple) {
  const byte_buffer bytes = encode(1, std::string{"two"}, true);
  EXPECT_EQ((decode<std::tuple<int, std::string, bool>>(bytes)), (std::tuple{1, std::string{"two"}, true}));
  EXPECT_TRUE(encode().empty());
}

TEST(codec, writes_plain_blocks_without_padding) {
  EXPECT_EQ(encode(1, 2, 3).size(), 12U);
  EXPECT_EQ(encode(padded{}).size(), 1 + 8 + 1 + 6 + 24U);
  EXPECT_EQ(encode(std::vector<plain>(2)).size(), 8 + 24U);
  EXPECT_EQ(encode(nothing{}, std::monostate{}).size(), 0U);
}

TEST(codec, writes_a_span_as_a_vector) {
  const std::vector<std::string> source{"a", "b"};
  byte_buffer out;
  fourfold::encoder{out}.write_sequence(std::span{source});
  EXPECT_EQ(decode<std::vector<std::string>>(out), source);
}

TEST(codec, is_deterministic) {
  EXPECT_EQ(bytes_of(encode(make_rich())), bytes_of(encode(there_and_back(make_rich()))));
}

TEST(codec, bytes_cut_short_anywhere_are_an_error) {
  const byte_buffer bytes = encode(make_rich());
  for (std::size_t size = 0; size != bytes.size(); ++size) {
    // A copy of exactly this size, so that the address sanitizer sees every byte read beyond it.
    const std::vector<std::byte> cut{bytes.begin(), bytes.begin() + size};
    EXPECT_THROW(static_cast<void>(decode<rich>(cut)), decode_error) << size;
  }
}

TEST(codec, changed_bytes_decode_or_are_an_error) {
  const std::vector<std::byte> good = bytes_of(encode(make_rich()));
  std::size_t decoded = 0;
  std::size_t refused = 0;
  for (std::size_t at = 0; at != good.size(); ++at) {
    for (unsigned flip = 1; flip != 256; ++flip) {
      std::vector<std::byte> bad = good;
      bad[at] ^= static_cast<std::byte>(flip);
      try {
        EXPECT_EQ(bytes_of(encode(decode<rich>(bad))).size(), bad.size());
        ++decoded;
      } catch (const decode_error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(decoded, 0U);
  EXPECT_GT(refused, 0U);
}

TEST(codec, bytes_left_over_are_an_error) {
  EXPECT_THROW(static_cast<void>(decode<int>(encode(1, 'x'))), decode_error);
}

TEST(codec, a_length_beyond_the_bytes_is_an_error) {
  for (const std::uint64_t length :
       {std::uint64_t{1}, std::uint64_t{1} << 32, std::uint64_t{1} << 61, ~std::uint64_t{0}}) {
    const byte_buffer bytes = encode(length);
    EXPECT_THROW(static_cast<void>(decode<std::string>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::vector<int>>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::vector<bool>>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::vector<nothing>>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::vector<outside::even>>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::vector<std::tuple<>>>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::forward_list<std::string>>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::set<std::string>>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::map<int, int>>(bytes)), decode_error);
    EXPECT_THROW(static_cast<void>(decode<std::filesystem::path>(bytes)), decode_error);
  }
}

// Notes the largest request.
std::size_t most_bytes_asked = 0;
template <class T> struct noting_allocator {
  using value_type = T;
  noting_allocator() = default;
  template <class U> explicit noting_allocator(const noting_allocator<U>&) {}
  T* allocate(std::size_t count) {
    most_bytes_asked = std::max(most_bytes_asked, count * sizeof(T));
    return std::allocator<T>{}.allocate(count);
  }
  void deallocate(T* place, std::size_t count) { std::allocator<T>{}.deallocate(place, count); }
  bool operator==(const noting_allocator&) const = default;
};

TEST(codec, a_false_length_does_not_take_memory_in_proportion) {
  const byte_buffer huge = encode(std::uint64_t{1} << 40);
  most_bytes_asked = 0;
  EXPECT_THROW(static_cast<void>(decode<std::vector<int, noting_allocator<int>>>(huge)), decode_error);
  EXPECT_EQ(most_bytes_asked, 0U);

  // The length is possible, since an optional may take one byte; but the first element is full and does not
  // end.
  using large = std::optional<std::array<char, 1 << 20>>;
  std::vector<std::byte> bytes = bytes_of(encode(std::uint64_t{1000}));
  bytes.resize(bytes.size() + 1000, std::byte{1});
  EXPECT_THROW(static_cast<void>(decode<std::vector<large, noting_allocator<large>>>(bytes)), decode_error);
  EXPECT_EQ(most_bytes_asked, sizeof(large));
}

TEST(codec, a_tag_that_cannot_be_is_an_error) {
  const byte_buffer two = encode(std::uint8_t{2}, std::uint8_t{0});
  const auto first = two.bytes().first(1);
  EXPECT_THROW(static_cast<void>(decode<bool>(first)), decode_error);
  EXPECT_THROW(static_cast<void>(decode<truth>(first)), decode_error);
  EXPECT_THROW(static_cast<void>(decode<std::optional<char>>(two)), decode_error);
  EXPECT_THROW(static_cast<void>(decode<std::unique_ptr<char>>(two)), decode_error);
  EXPECT_THROW(static_cast<void>(decode<std::shared_ptr<char>>(two)), decode_error);
  EXPECT_THROW(static_cast<void>(decode<std::variant<char, bool>>(two)), decode_error);
  EXPECT_THROW(static_cast<void>(decode<std::bitset<1>>(first)), decode_error);
  EXPECT_THROW(static_cast<void>(decode<std::vector<bool>>(encode(std::uint64_t{1}, std::uint8_t{2}))),
               decode_error);
}

TEST(codec, a_key_that_occurs_twice_is_an_error) {
  const byte_buffer twice = encode(std::vector<std::string>{"a", "a"});
  EXPECT_THROW(static_cast<void>(decode<std::set<std::string>>(twice)), decode_error);
  EXPECT_THROW(static_cast<void>(decode<std::unordered_set<std::string>>(twice)), decode_error);
  EXPECT_EQ(decode<std::multiset<std::string>>(twice).size(), 2U);
  EXPECT_THROW(
      static_cast<void>(decode<std::map<int, int>>(encode(std::vector<std::pair<int, int>>{{1, 2}, {1, 3}}))),
      decode_error);
}

tree make_line(std::size_t levels) {
  tree root;
  tree* last = &root;
  for (std::size_t i = 1; i < levels; ++i) {
    last->left = std::make_unique<tree>();
    last = last->left.get();
  }
  return root;
}

TEST(codec, nesting_beyond_the_limit_is_an_error_on_both_sides) {
  EXPECT_NO_THROW(static_cast<void>(there_and_back(make_line(fourfold::default_nesting_limit))));
  const tree deep = make_line(fourfold::default_nesting_limit + 1);
  EXPECT_THROW(static_cast<void>(encode(deep)), fourfold::error);
  byte_buffer out;
  fourfold::encoder{out, 5000}.write(deep);
  EXPECT_THROW(static_cast<void>(decode<tree>(out)), decode_error);
  fourfold::decoder in{out, 5000};
  EXPECT_NO_THROW(static_cast<void>(in.read<tree>()));
}

TEST(codec, nesting_through_a_hook_is_limited_too) {
  const std::vector<std::byte> bytes(100'000, std::byte{1});
  EXPECT_THROW(static_cast<void>(decode<outside::chain>(bytes)), decode_error);
}

// Its copy may throw too, so that a variant cannot keep its old value when the constructor throws.
struct throws {
  std::string text{};
  throws() = default;
  explicit throws(int) { throw 1; }
  throws(const throws& other) noexcept(false) : text{other.text} {}
  throws& operator=(const throws&) = default;
};
} // namespace
template <> struct fourfold::codec<throws> {
  static void encode(encoder& out, const throws& value) { out.write(value.text); }
  static throws decode(decoder&) { return {}; }
};
namespace {

TEST(codec, a_variant_without_a_value_is_not_encoded) {
  std::variant<int, throws> v = 1;
  EXPECT_THROW(v.emplace<throws>(1), int);
  ASSERT_TRUE(v.valueless_by_exception());
  EXPECT_THROW(static_cast<void>(encode(v)), fourfold::error);
}

TEST(codec, large_blocks_are_kept) {
  std::vector<int> numbers(1'000'000);
  for (std::size_t i = 0; i != numbers.size(); ++i)
    numbers[i] = static_cast<int>(i);
  expect_kept(numbers);
}

TEST(byte_buffer, starts_in_lent_memory_and_leaves_it_when_full) {
  std::array<std::byte, 8> slot{};
  byte_buffer out{slot};
  encode_into(out, std::uint64_t{1});
  EXPECT_TRUE(out.is_lent());
  EXPECT_EQ(out.data(), slot.data());
  encode_into(out, 'x');
  EXPECT_FALSE(out.is_lent());
  EXPECT_EQ((decode<std::pair<std::uint64_t, char>>(out)), (std::pair{std::uint64_t{1}, 'x'}));
}

TEST(byte_buffer, keeps_its_bytes_when_moved) {
  for (const std::size_t size : {0U, 10U, 88U, 89U, 1000U}) {
    const std::string text(size, 'x');
    byte_buffer first;
    first.append(std::as_bytes(std::span{text}));
    byte_buffer second{std::move(first)};
    byte_buffer third;
    third.append(std::as_bytes(std::span{text}));
    third = std::move(second);
    EXPECT_EQ(bytes_of(third).size(), size);
    EXPECT_TRUE(std::ranges::equal(third, std::as_bytes(std::span{text})));
    EXPECT_TRUE(first.empty() && second.empty());
    first.append(std::as_bytes(std::span{text}));
    EXPECT_EQ(first.size(), size);
  }
}

} // namespace
