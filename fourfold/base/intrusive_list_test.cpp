#include <fourfold/base/intrusive_list.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace fourfold {
namespace {

struct item : list_links {
  explicit item(int n) : number(n) {}
  int number;
};

std::vector<int> numbers(intrusive_list<item>& list) {
  std::vector<int> result;
  list.for_each([&](item& i) { result.push_back(i.number); });
  return result;
}

TEST(intrusive_list, hands_out_items_in_the_order_in_which_they_came) {
  item a(1);
  item b(2);
  item c(3);
  intrusive_list<item> list;
  EXPECT_TRUE(list.empty());
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  EXPECT_EQ(list.front().number, 1);
  EXPECT_EQ(list.back().number, 3);
  EXPECT_EQ(&list.pop_front(), &a);
  EXPECT_EQ(&list.pop_front(), &b);
  EXPECT_EQ(&list.pop_front(), &c);
  EXPECT_TRUE(list.empty());
}

TEST(intrusive_list, item_knows_whether_it_is_in_a_list) {
  item a(1);
  intrusive_list<item> list;
  EXPECT_FALSE(a.linked());
  list.push_back(a);
  EXPECT_TRUE(a.linked());
  list.pop_front();
  EXPECT_FALSE(a.linked());
  list.push_back(a);
  a.unlink();
  EXPECT_FALSE(a.linked());
  EXPECT_TRUE(list.empty());
}

TEST(intrusive_list, item_leaves_from_the_front_the_middle_and_the_back) {
  item a(1);
  item b(2);
  item c(3);
  item d(4);
  intrusive_list<item> list;
  for (item* i : {&a, &b, &c, &d})
    list.push_back(*i);
  b.unlink();
  EXPECT_EQ(numbers(list), (std::vector{1, 3, 4}));
  a.unlink();
  EXPECT_EQ(numbers(list), (std::vector{3, 4}));
  d.unlink();
  EXPECT_EQ(numbers(list), (std::vector{3}));
  list.push_back(a);
  EXPECT_EQ(numbers(list), (std::vector{3, 1}));
}

TEST(intrusive_list, sorted_insertion_goes_behind_what_is_equal) {
  item two(2);
  item four(4);
  item equal(2);
  item one(1);
  item five(5);
  intrusive_list<item> list;
  const auto before = [](const item& a, const item& b) { return a.number < b.number; };
  for (item* i : {&two, &four, &equal, &one, &five})
    list.insert_sorted(*i, before);
  EXPECT_EQ(numbers(list), (std::vector{1, 2, 2, 4, 5}));
  list.pop_front();
  EXPECT_EQ(&list.pop_front(), &two);
  EXPECT_EQ(&list.pop_front(), &equal);
}

TEST(intrusive_list, splice_appends_all_of_the_other_in_order_and_empties_it) {
  item a(1);
  item b(2);
  item c(3);
  intrusive_list<item> list;
  intrusive_list<item> other;
  list.splice_back(other);
  EXPECT_TRUE(list.empty());
  list.push_back(a);
  other.push_back(b);
  other.push_back(c);
  list.splice_back(other);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(numbers(list), (std::vector{1, 2, 3}));
  other.splice_back(list);
  EXPECT_EQ(numbers(other), (std::vector{1, 2, 3}));
}

TEST(intrusive_list, walk_may_unlink_the_item_it_stands_on) {
  item a(1);
  item b(2);
  item c(3);
  intrusive_list<item> list;
  for (item* i : {&a, &b, &c})
    list.push_back(*i);
  list.for_each([](item& i) {
    if (i.number != 2)
      i.unlink();
  });
  EXPECT_EQ(numbers(list), (std::vector{2}));
}

} // namespace
} // namespace fourfold
