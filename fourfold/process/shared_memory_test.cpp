#include <fourfold/base/errors.hpp>
#include <fourfold/base/sanitizers.hpp>
#include <fourfold/process/killed_child_test.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/shared_memory.hpp>
#include <fourfold/process/shared_vector.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using test::forked_child;

std::string name_of(const char* test) { return std::string(test) + "-" + std::to_string(::getpid()); }

std::error_code reason_of(auto&& action) {
  try {
    action();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(shared_memory, is_the_same_in_every_process_it_is_sent_to) {
  const auto memory = shared_memory::anonymous(10'000);
  EXPECT_EQ(memory.size(), 10'000U);
  EXPECT_EQ(std::ranges::count(memory.bytes(), std::byte{}), 10'000);
  process_pool pool({.workers = 2});
  auto write = [](shared_memory m, int i) { m.data()[i] = static_cast<std::byte>(i); };
  for (int i = 0; i < 20; ++i)
    pool.submit(write, memory, i).get(60s);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(memory.data()[i], static_cast<std::byte>(i));
}

TEST(shared_memory, with_a_name_is_found_by_others_and_gone_with_its_last_user) {
  const std::string name = name_of("found");
  auto memory = shared_memory::create(name, 5000);
  memory.data()[4999] = std::byte{42};
  EXPECT_EQ(reason_of([&] { static_cast<void>(shared_memory::create(name, 5000)); }), std::errc::file_exists);
  EXPECT_EQ(reason_of([&] { static_cast<void>(shared_memory::open(name, 5001)); }),
            std::errc::invalid_argument);
  forked_child other([&] {
    const auto same = shared_memory::open(name, 5000);
    ::_exit(same.data()[4999] == std::byte{42} ? 3 : 4);
  });
  EXPECT_EQ(other.wait(), 3);
  auto again = shared_memory::open_or_create(name, 5000);
  EXPECT_EQ(again.data()[4999], std::byte{42});
  memory = {};
  EXPECT_EQ(shared_memory::open(name, 5000).data()[4999], std::byte{42});
  again = {};
  EXPECT_EQ(reason_of([&] { static_cast<void>(shared_memory::open(name, 5000)); }),
            std::errc::no_such_file_or_directory);
}

TEST(shared_memory, with_a_name_is_gone_when_all_users_are_killed) {
  const std::string name = name_of("killed");
  const auto ready = shared_memory::anonymous(1);
  auto* const count = reinterpret_cast<std::atomic<std::uint8_t>*>(ready.data());
  {
    const auto use = [&] {
      const auto mine = shared_memory::open_or_create(name, 100'000);
      count->fetch_add(1);
      ::pause();
    };
    forked_child one(use);
    forked_child two(use);
    while (count->load() != 2)
      ::usleep(100);
    one.kill();
    EXPECT_TRUE(shared_memory::open(name, 100'000)) << "the other one still has it";
  }
  EXPECT_EQ(reason_of([&] { static_cast<void>(shared_memory::open(name, 100'000)); }),
            std::errc::no_such_file_or_directory);
}

TEST(shared_memory, with_a_name_is_made_once_however_many_ask_at_once) {
  const std::string name = name_of("race");
  const auto counts = shared_memory::anonymous(2);
  auto* const created = reinterpret_cast<std::atomic<std::uint8_t>*>(counts.data());
  for (int round = 0; round < 20; ++round) {
    created[0] = created[1] = 0;
    std::vector<std::unique_ptr<forked_child>> children;
    for (int i = 0; i < 4; ++i) {
      children.push_back(std::make_unique<forked_child>([&] {
        const auto reason = reason_of([&] {
          const auto mine = shared_memory::create(name, 64);
          created[0].fetch_add(1);
          while (created[0].load() + created[1].load() < 4)
            ::usleep(50);
        });
        if (reason == std::errc::file_exists)
          created[1].fetch_add(1);
      }));
    }
    for (auto& child : children)
      child->wait();
    EXPECT_EQ(created[0].load(), 1);
    EXPECT_EQ(created[1].load(), 3);
  }
}

TEST(shared_memory, says_what_is_wrong) {
  EXPECT_EQ(reason_of([] { static_cast<void>(shared_memory::open("never-made", 10)); }),
            std::errc::no_such_file_or_directory);
  EXPECT_EQ(reason_of([] { static_cast<void>(shared_memory::create("", 10)); }), std::errc::invalid_argument);
  EXPECT_EQ(reason_of([] { static_cast<void>(shared_memory::anonymous(0)); }), std::errc::invalid_argument);
  EXPECT_EQ(reason_of([] { static_cast<void>(shared_memory::anonymous(std::size_t{1} << 50)); }),
            std::errc::not_enough_memory);
  const auto too_large = [] {
    static_cast<void>(shared_memory::create(name_of("large"), std::size_t{1} << 50));
  };
  EXPECT_EQ(reason_of(too_large), std::errc::not_enough_memory);
  const auto named = shared_memory::create(name_of("travels"), 64);
  EXPECT_THROW(static_cast<void>(encode(named)), error) << "its name travels";
}

TEST(shared_memory, is_refused_if_its_sender_could_pull_it_away) {
  unique_fd file(::memfd_create("unsealed", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
  byte_buffer bytes = encode(std::size_t{4096});
  bytes.attach(std::make_shared<const attachment>(std::move(file)));
  decoder in(bytes.bytes(), bytes.attachments());
  EXPECT_THROW(static_cast<void>(in.read<shared_memory>()), decode_error);
}

TEST(shared_memory, is_refused_with_another_size_than_said_or_without_its_descriptor) {
  const auto memory = shared_memory::anonymous(4096);
  byte_buffer honest = encode(memory);
  byte_buffer lie = encode(std::size_t{8192});
  lie.attach(honest.attachments()[0]);
  decoder in(lie.bytes(), lie.attachments());
  EXPECT_THROW(static_cast<void>(in.read<shared_memory>()), decode_error);
  decoder without(honest.bytes());
  EXPECT_THROW(static_cast<void>(without.read<shared_memory>()), decode_error);
}

TEST(shared_memory, leaves_no_descriptors_and_no_mappings) {
  process_pool pool({.workers = 1});
  auto touch = [](shared_memory m) {
    m.data()[0] = std::byte{1};
    return m;
  };
  auto count = [] { return open_descriptors(); };
  const auto once = [&] {
    const auto memory = shared_memory::anonymous(100'000);
    EXPECT_EQ(pool.submit(touch, memory).get(60s).data()[0], std::byte{1});
  };
  once();
  while (pool.worker_pids().empty()) // the result may be there before the pool has the worker's descriptor
    std::this_thread::yield();
  const std::size_t here = open_descriptors();
  const std::size_t there = pool.submit(count).get(60s);
  for (int i = 0; i < 50; ++i)
    once();
  EXPECT_EQ(pool.submit(count).get(60s), there);
  // The pool lets go of the last one when its call has ended, so perhaps after get().
  const auto until = clock::now() + 30s;
  while (open_descriptors() > here && clock::now() < until)
    std::this_thread::yield();
  EXPECT_LE(open_descriptors(), here);
}

TEST(shared_vector, grows_like_a_vector) {
  shared_vector<int> v;
  EXPECT_TRUE(v.empty());
  for (int i = 0; i < 100'000; ++i)
    v.push_back(i);
  EXPECT_EQ(v.size(), 100'000U);
  EXPECT_EQ(std::accumulate(v.begin(), v.end(), 0L), 99'999L * 50'000L);
  v.resize(10);
  v.resize(20);
  EXPECT_EQ(v[9], 9);
  EXPECT_EQ(v[10], 0) << "not what an earlier, longer size has left";
  v.push_back(v[3]);
  EXPECT_EQ(v.back(), 3);
  const shared_vector<int> list{1, 2, 3};
  EXPECT_EQ(list.size(), 3U);
}

TEST(shared_vector, goes_to_a_worker_and_comes_back_in_the_same_memory) {
  process_pool pool({.workers = 1});
  shared_vector<long> v(1'000'000);
  std::iota(v.begin(), v.end(), 0L);
  const long* const place = v.data();
  auto change = [](shared_vector<long> w) {
    w[7] = -7;
    return w;
  };
  v = pool.submit(change, std::move(v)).get(60s);
  EXPECT_EQ(v.data(), place);
  EXPECT_EQ(v.size(), 1'000'000U);
  EXPECT_EQ(v[7], -7);
  EXPECT_EQ(v[999'999], 999'999);
}

TEST(shared_vector, that_grew_in_the_worker_comes_back_grown) {
  process_pool pool({.workers = 1});
  shared_vector<long> v(10);
  auto extend = [](shared_vector<long> w) {
    w.resize(100'000);
    w.back() = 5;
    return w;
  };
  v = pool.submit(extend, std::move(v)).get(60s);
  EXPECT_EQ(v.size(), 100'000U);
  EXPECT_EQ(v.back(), 5);
  EXPECT_EQ(v[50'000], 0);
}

TEST(shared_vector, is_made_in_a_worker) {
  process_pool pool({.workers = 1});
  auto make = [](std::size_t n) { return shared_vector<double>(n, 0.5); };
  const shared_vector<double> v = pool.submit(make, std::size_t{1000}).get(60s);
  EXPECT_EQ(std::accumulate(v.begin(), v.end(), 0.0), 500.0);
}

TEST(shared_vector, of_an_empty_size_travels) {
  process_pool pool({.workers = 1});
  auto back = [](shared_vector<int> v) { return v; };
  EXPECT_TRUE(pool.submit(back, shared_vector<int>()).get(60s).empty());
}

TEST(frozen_vector, is_read_by_all_and_written_by_none) {
  process_pool pool({.workers = 2});
  shared_vector<int> v(1000, 3);
  const frozen_vector<int> frozen = std::move(v).freeze();
  EXPECT_TRUE(v.empty()); // NOLINT(bugprone-use-after-move): it has given everything away
  auto sum = [](frozen_vector<int> w) { return std::accumulate(w.begin(), w.end(), 0); };
  std::vector<future<int>> sums;
  for (int i = 0; i < 10; ++i)
    sums.push_back(pool.submit(sum, frozen));
  for (auto& s : sums)
    EXPECT_EQ(s.get(60s), 3000);
  // Not even on purpose.
  auto force = [](frozen_vector<int> w) {
    ::signal(SIGSEGV, SIG_DFL);
    *const_cast<volatile int*>(w.data()) = 4;
  };
  EXPECT_THROW(pool.submit(force, frozen).get(60s), worker_died);
  EXPECT_EQ(frozen[0], 3);
}

TEST(shared_vector, is_gone_with_the_worker_that_died_with_it) {
  process_pool pool({.workers = 1});
  shared_vector<int> v(1000, 3);
  auto die = [](shared_vector<int> w) {
    w[0] = 1;
    ::raise(SIGKILL);
  };
  EXPECT_THROW(pool.submit(die, std::move(v)).get(60s), worker_died);
  auto add = [](int a) { return a + 1; };
  EXPECT_EQ(pool.submit(add, 1).get(60s), 2);
}

TEST(shared_memory_death_test, that_cannot_be_mapped_leaves_nothing_under_its_name) {
  if (under_address_sanitizer || under_thread_sanitizer)
    GTEST_SKIP() << "the sanitizer itself needs the address space that this test takes away";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto create_too_much = [] {
    const std::string name = "fourfold-test-unmapped-" + std::to_string(::getpid());
    rlimit before{};
    ::getrlimit(RLIMIT_AS, &before);
    const rlimit little{256 << 20, before.rlim_max};
    ::setrlimit(RLIMIT_AS, &little);
    try {
      static_cast<void>(shared_memory::create(name, 300 << 20));
      std::_Exit(1);
    } catch (const std::exception&) {
    }
    ::setrlimit(RLIMIT_AS, &before);
    std::_Exit(shared_memory::open_or_create(name, 4096).size() == 4096 ? 0 : 2);
  };
  EXPECT_EXIT(create_too_much(), testing::ExitedWithCode(0), "");
}

} // namespace
} // namespace fourfold
