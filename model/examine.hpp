#pragma once

#include <model/explorer.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace interleavings {

/// A scenario made of functions that share an object: each party gets it, and `verdict` looks at it in the end.
template <class Shared>
class of_parties final : public scenario {
 public:
  using action = std::function<void(Shared&)>;
  of_parties(std::vector<action> actions, std::function<std::string(Shared&)> verdict)
      : actions_(std::move(actions)), verdict_(std::move(verdict)) {}

  std::vector<std::function<void()>> parties() override {
    std::vector<std::function<void()>> all;
    for (action& one : actions_)
      all.emplace_back([this, &one] { one(shared_); });
    return all;
  }
  std::string verdict() override { return verdict_ ? verdict_(shared_) : std::string(); }

 private:
  Shared shared_;
  std::vector<action> actions_;
  std::function<std::string(Shared&)> verdict_;
};

template <class Shared>
exploration explore_parties(std::vector<std::function<void(Shared&)>> actions,
                            std::function<std::string(Shared&)> verdict = {}) {
  return explore([&] { return std::make_unique<of_parties<Shared>>(actions, verdict); });
}

/// Expects that every order ends well, and prints how many there were.
template <class Shared>
void examine(std::vector<std::function<void(Shared&)>> actions,
             std::function<std::string(Shared&)> verdict = {}) {
  const std::size_t parties = actions.size();
  const exploration seen = explore_parties<Shared>(std::move(actions), std::move(verdict));
  EXPECT_EQ(seen.failure, "");
  EXPECT_GT(seen.orders, 1U);
  std::cout << parties << " parties, " << seen.orders << " orders, at most " << seen.longest << " steps ("
            << seen.repeats << " repeats)\n";
}

} // namespace interleavings
