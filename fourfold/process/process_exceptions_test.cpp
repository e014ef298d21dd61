// How exceptions come back from workers.

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/register_exception.hpp>

#include <gtest/gtest.h>

#include <any>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

template <class E>
void throw_plain() {
  throw E();
}
template <class E>
void throw_text(std::string text) {
  throw E(text);
}

template <class... E>
void expect_plain(process_pool& pool) {
  const auto one = [&]<class Type>(std::type_identity<Type>) {
    try {
      pool.submit(&throw_plain<Type>).get(30s);
      ADD_FAILURE();
    } catch (const std::exception& e) {
      EXPECT_EQ(typeid(e), typeid(Type));
    }
  };
  (..., one(std::type_identity<E>()));
}
template <class... E>
void expect_text(process_pool& pool) {
  const auto one = [&]<class Type>(std::type_identity<Type>) {
    try {
      pool.submit(&throw_text<Type>, "what was wrong").get(30s);
      ADD_FAILURE();
    } catch (const Type& e) {
      EXPECT_EQ(typeid(e), typeid(Type));
      EXPECT_STREQ(e.what(), "what was wrong");
    }
  };
  (..., one(std::type_identity<E>()));
}

TEST(process_exceptions, of_the_standard_library_arrive_as_themselves) {
  process_pool pool({.workers = 1});
  expect_text<std::runtime_error, std::logic_error, std::invalid_argument, std::out_of_range,
              std::domain_error, std::length_error, std::range_error, std::overflow_error,
              std::underflow_error>(pool);
  expect_plain<std::exception, std::bad_alloc, std::bad_array_new_length, std::bad_cast, std::bad_any_cast,
               std::bad_typeid, std::bad_exception, std::bad_function_call, std::bad_weak_ptr,
               std::bad_optional_access, std::bad_variant_access>(pool);
}

TEST(process_exceptions, of_the_standard_library_keep_their_codes_and_paths) {
  process_pool pool({.workers = 1});
  try {
    pool.submit([] { std::filesystem::create_directory("/proc/none/such"); }).get(30s);
    FAIL();
  } catch (const std::filesystem::filesystem_error& e) {
    EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
    EXPECT_EQ(e.path1(), "/proc/none/such");
    try {
      std::filesystem::create_directory("/proc/none/such");
    } catch (const std::filesystem::filesystem_error& here) {
      EXPECT_STREQ(e.what(), here.what());
    }
  }
  const auto code = std::make_error_code(std::errc::no_such_file_or_directory);
  const std::filesystem::filesystem_error none("no path", code);
  const std::filesystem::filesystem_error two("two paths", "/a", "/b", code);
  const std::filesystem::filesystem_error empty("an empty path", "/a", "", code);
  for (const auto& [paths, here] : {std::pair(0, &none), std::pair(2, &two), std::pair(3, &empty)}) {
    auto fail = [](int number) {
      const auto missing = std::make_error_code(std::errc::no_such_file_or_directory);
      if (number == 0)
        throw std::filesystem::filesystem_error("no path", missing);
      if (number == 2)
        throw std::filesystem::filesystem_error("two paths", "/a", "/b", missing);
      throw std::filesystem::filesystem_error("an empty path", "/a", "", missing);
    };
    try {
      pool.submit(fail, paths).get(30s);
      FAIL();
    } catch (const std::filesystem::filesystem_error& e) {
      EXPECT_STREQ(e.what(), here->what());
      EXPECT_EQ(e.path1(), here->path1());
      EXPECT_EQ(e.path2(), here->path2());
    }
  }
  try {
    pool.submit([] { throw std::ios_base::failure("a stream", std::io_errc::stream); }).get(30s);
    FAIL();
  } catch (const std::ios_base::failure& e) {
    EXPECT_EQ(e.code(), std::io_errc::stream);
    EXPECT_STREQ(e.what(), std::ios_base::failure("a stream", std::io_errc::stream).what());
  }
  try {
    pool.submit([] { throw std::future_error(std::future_errc::no_state); }).get(30s);
    FAIL();
  } catch (const std::future_error& e) {
    EXPECT_EQ(e.code(), std::future_errc::no_state);
  }
  try {
    pool.submit([] { std::regex("("); }).get(30s);
    FAIL();
  } catch (const std::regex_error& e) {
    EXPECT_EQ(e.code(), std::regex_constants::error_paren);
  }
}

TEST(process_exceptions, of_fourfold_arrive_as_themselves) {
  process_pool pool({.workers = 1});
  expect_text<error, cancelled, timed_out, pool_closed, wrong_thread, decode_error, released_too_often>(pool);
  expect_plain<queue_closed, broken_promise>(pool);
  try {
    pool.submit([] { throw worker_died(12, 9, 0, 34); }).get(30s);
    FAIL();
  } catch (const worker_died& e) {
    EXPECT_EQ(e.pid(), 12);
    EXPECT_EQ(e.signal(), 9);
    EXPECT_EQ(e.task_id(), 34U);
  }
  auto several = [] {
    throw exception_group({std::make_exception_ptr(std::out_of_range("first")),
                           std::make_exception_ptr(interrupted(2)), std::make_exception_ptr(5)});
  };
  try {
    pool.submit(several).get(30s);
    FAIL();
  } catch (const exception_group& e) {
    ASSERT_EQ(e.exceptions().size(), 3U);
    EXPECT_THROW(std::rethrow_exception(e.exceptions()[0]), std::out_of_range);
    EXPECT_THROW(std::rethrow_exception(e.exceptions()[1]), interrupted);
    EXPECT_THROW(std::rethrow_exception(e.exceptions()[2]), remote_error);
  }
}

class parse_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
class stranger_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
struct wrong_line {
  int line;
  std::string text;
};
const register_exception<parse_error> parse_error_travels;
const register_exception<wrong_line> wrong_line_travels;

TEST(process_exceptions, of_registered_types_arrive_as_themselves) {
  process_pool pool({.workers = 1});
  try {
    pool.submit(&throw_text<parse_error>, "line 3").get(30s);
    FAIL();
  } catch (const parse_error& e) {
    EXPECT_STREQ(e.what(), "line 3");
  }
  try {
    pool.submit([] { throw wrong_line{.line = 4, .text = "x = ="}; }).get(30s);
    FAIL();
  } catch (const wrong_line& e) {
    EXPECT_EQ(e.line, 4);
    EXPECT_EQ(e.text, "x = =");
  }
}

struct stubborn {
  int value = 0;
};

} // namespace
} // namespace fourfold

/// Writes what it cannot read again, or fails to write.
template <>
struct fourfold::codec<fourfold::stubborn> {
  static void encode(encoder& out, const stubborn& s) {
    if (s.value < 0)
      throw std::length_error("it cannot be written");
    out.write(s.value);
  }
  static stubborn decode(decoder& in) {
    if (in.read<int>() > 0)
      in.fail("it cannot be read");
    return {};
  }
};

namespace fourfold {
namespace {

const register_exception<stubborn> stubborn_travels;

TEST(process_exceptions, that_cannot_be_written_or_read_fail_their_call_and_never_hang) {
  process_pool pool({.workers = 1});
  EXPECT_THROW(pool.submit([](int n) { throw stubborn{n}; }, 1).get(30s), decode_error);
  EXPECT_THROW(pool.submit([](int n) { throw stubborn{n}; }, -1).get(30s), remote_error);
  EXPECT_EQ(pool.submit([] { return 5; }).get(30s), 5);
}

TEST(process_exceptions, of_results_that_cannot_be_written_or_read_fail_their_call_and_never_hang) {
  process_pool pool({.workers = 1});
  auto give = [](int n) { return stubborn{n}; };
  try {
    pool.submit(give, 1).get(30s);
    FAIL();
  } catch (const decode_error& e) {
    EXPECT_NE(std::string(e.what()).find("it cannot be read"), std::string::npos) << e.what();
  }
  EXPECT_THROW(pool.submit(give, -1).get(30s), std::length_error);
  EXPECT_EQ(pool.submit([] { return 5; }).get(30s), 5);
}

__attribute__((noinline)) void fail_deep_down(int level) {
  if (level == 0)
    throw stranger_error("deep down");
  fail_deep_down(level - 1);
  asm volatile(""); // no tail call: the frame is to be seen
}
__attribute__((noinline)) void fail_and_explain() {
  try {
    fail_deep_down(2);
  } catch (...) {
    std::throw_with_nested(stranger_error("on the way"));
  }
}

TEST(process_exceptions, of_other_types_tell_where_they_were_thrown) {
  process_pool pool({.workers = 1});
  try {
    pool.submit(fail_deep_down, 3).get(30s);
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_NE(e.type_name().find("stranger_error"), std::string::npos) << e.type_name();
    EXPECT_EQ(e.message(), "deep down");
    EXPECT_NE(e.backtrace().find("fail_deep_down"), std::string::npos) << e.backtrace();
    EXPECT_EQ(e.backtrace().find("_Unwind_"), std::string::npos) << e.backtrace();
    EXPECT_EQ(e.backtrace().rfind("fourfold::(anonymous namespace)::fail_deep_down(int)", 0), 0U)
        << e.backtrace();
  }
}

TEST(process_exceptions, nested_in_others_are_told_in_the_message) {
  process_pool pool({.workers = 1});
  try {
    pool.submit(fail_and_explain).get(30s);
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_NE(e.message().find("on the way; caused by"), std::string::npos) << e.message();
    EXPECT_NE(e.message().find("deep down"), std::string::npos) << e.message();
  }
}

TEST(process_exceptions, of_coroutines_do_not_show_where_another_call_threw) {
  process_pool pool({.workers = 1});
  EXPECT_THROW(pool.submit(&throw_text<std::out_of_range>, "x").get(30s), std::out_of_range);
  auto fail = []() -> task<> {
    co_await yield();
    throw stranger_error("in a coroutine");
  };
  try {
    pool.submit(fail).get(30s);
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_EQ(e.message(), "in a coroutine");
    EXPECT_EQ(e.backtrace(), "");
  }
}

TEST(process_exceptions, that_are_caught_in_the_worker_cost_nothing_and_leave_nothing) {
  process_pool pool({.workers = 1});
  auto catches = [](int n) {
    try {
      fail_deep_down(n);
    } catch (const stranger_error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(pool.submit(catches, 1).get(30s), "deep down");
}

} // namespace
} // namespace fourfold
