// What the codec refuses at compile time.

#include <fourfold/base/codec.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <variant>
#include <vector>

namespace {

struct broken_hook {
  int value;
};

} // namespace

template <> struct fourfold::codec<broken_hook> {
  static void encode(encoder&, const broken_hook&) {}
};

namespace {

using fourfold::encodable;

struct nothing {};
struct plain {
  int a;
  float b;
};
struct holds_itself {
  int value;
  std::unique_ptr<holds_itself> next;
};
enum unfixed { one, two };
struct thirty_two {
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22,
      a23, a24, a25, a26, a27, a28, a29, a30, a31;
};
struct thirty_three {
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22,
      a23, a24, a25, a26, a27, a28, a29, a30, a31, a32;
};
struct with_pointer {
  int a;
  const char* b;
};
struct with_reference {
  int& a;
};
struct with_deep_pointer {
  std::vector<with_pointer> a;
};
struct with_base : plain {
  int d;
};
struct with_empty_base : nothing {
  int d;
};
struct with_view {
  std::string_view a;
};
struct with_recursive_pointer {
  std::unique_ptr<with_recursive_pointer> next;
  void* data;
};
union either {
  int a;
  float b;
};
struct with_union {
  either a;
};
class hides_pointer {
 public:
  hides_pointer() = default;
  [[nodiscard]] const void* get() const { return pointer_; }

 private:
  const void* pointer_ = nullptr;
};
class hides_bool {
 public:
  hides_bool() = default;
  [[nodiscard]] bool get() const { return flag_; }

 private:
  bool flag_ = false;
};
class not_trivial {
 public:
  not_trivial() = default;

 private:
  std::string text_;
};
struct more_than_a_vector : std::vector<int> {
  int extra;
};
struct closes {
  void operator()(int* p) const { delete p; }
};
struct by_state {
  bool operator()(int a, int b) const { return sign * a < sign * b; }
  int sign = 1;
};

template <class... T> constexpr bool all_refused = (... && !encodable<T>);
static_assert(
    all_refused<void, int&, const int&, int&&, int*, const char*, void*, std::nullptr_t, int with_pointer::*,
                void (*)(nothing), int(), char[4], int[], volatile int, unfixed>);
static_assert(all_refused<std::string_view, std::span<int>, std::span<int, 4>, std::reference_wrapper<int>,
                          std::error_code, std::weak_ptr<int>, std::function<void()>, std::atomic<int>,
                          std::vector<int>::iterator, std::initializer_list<int>>);
static_assert(all_refused<with_pointer, with_reference, with_deep_pointer, with_base, with_empty_base,
                          with_view, with_recursive_pointer, either, with_union, hides_pointer, hides_bool,
                          not_trivial, more_than_a_vector, thirty_three, broken_hook>);
static_assert(all_refused<std::vector<int*>, std::map<int, char*>, std::pair<int, int&>, std::tuple<int&>,
                          std::optional<int*>, std::variant<int, int*>, std::unique_ptr<int*>,
                          std::unique_ptr<int[]>, std::shared_ptr<int[]>, std::shared_ptr<void>,
                          std::unique_ptr<int, closes>, std::unique_ptr<int, void (*)(int*)>,
                          std::set<int, by_state>, std::set<int, bool (*)(int, int)>, std::array<int*, 2>>);
static_assert(encodable<const int> && encodable<thirty_two> && encodable<holds_itself> &&
              encodable<std::vector<holds_itself>>);

TEST(codec, refuses_lambdas_that_capture_references) {
  int x = 0;
  const auto by_reference = [&x] { return x; };
  const auto by_pointer = [p = &x] { return *p; };
  static_assert(!encodable<decltype(by_reference)>);
  static_assert(!encodable<decltype(by_pointer)>);
}

} // namespace
