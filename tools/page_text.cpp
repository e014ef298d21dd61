#include "page_text.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace fourfold::tool {
namespace {

constexpr std::size_t page_size = 10'000;

constexpr std::array<std::string_view, 64> words = {
    "await",  "thread", "process", "loop",   "queue",   "lock",   "event",  "future",   "task",   "worker",
    "signal", "socket", "page",    "memory", "kernel",  "timer",  "cancel", "deadline", "reader", "writer",
    "buffer", "packet", "server",  "client", "request", "answer", "header", "number",   "result", "error",
    "value",  "copy",   "the",     "a",      "of",      "and",    "to",     "in",       "is",     "that",
    "for",    "it",     "with",    "as",     "was",     "on",     "be",     "by",       "at",     "one",
    "all",    "from",   "has",     "not",    "are",     "but",    "had",    "when",     "which",  "they",
    "more",   "will",   "every",   "nothing"};

// Padded to one size, so that a word is copied by one fixed-size move: making a page must cost little beside
// fetching it.
constexpr std::size_t slot_size = 8;
struct padded_word {
  std::array<char, slot_size> text{};
  std::size_t size = 0;
};
constexpr std::array<padded_word, words.size()> padded_words = [] {
  std::array<padded_word, words.size()> padded{};
  for (std::size_t index = 0; index < words.size(); ++index) {
    padded[index].size = words[index].copy(padded[index].text.data(), slot_size);
  }
  return padded;
}();

// splitmix64 (Sebastiano Vigna, public domain): good enough bits from any counter.
std::uint64_t mixed(std::uint64_t state) {
  state += 0x9E3779B97F4A7C15U;
  state = (state ^ (state >> 30U)) * 0xBF58476D1CE4E5B9U;
  state = (state ^ (state >> 27U)) * 0x94D049BB133111EBU;
  return state ^ (state >> 31U);
}

} // namespace

std::string page_text(unsigned number) {
  constexpr int words_a_line = 10;
  constexpr std::size_t longest_line = words_a_line * (slot_size + 1);
  std::string text = "page " + std::to_string(number) + "\n";
  std::size_t size = text.size();
  text.resize(page_size + longest_line + slot_size);
  for (std::uint64_t step = 0; size < page_size; ++step) {
    std::uint64_t bits = mixed((static_cast<std::uint64_t>(number) << 32U) + step);
    for (int word = 0; word < words_a_line; ++word, bits >>= 6U) {
      const padded_word& chosen = padded_words[bits & 63U];
      std::memcpy(text.data() + size, chosen.text.data(), slot_size);
      size += chosen.size;
      text[size++] = word + 1 == words_a_line ? '\n' : ' ';
    }
  }
  text.resize(size);
  return text;
}

} // namespace fourfold::tool
