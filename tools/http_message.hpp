// Reads one HTTP/1.1 message after another from a stream of bytes, by http_parser.
#pragma once

#include <http_parser.h>

#include <string>
#include <string_view>

namespace fourfold::tool {

class http_reader {
 public:
  enum class side { requests, responses };

  explicit http_reader(side reads);
  http_reader(const http_reader&) = delete;
  http_reader& operator=(const http_reader&) = delete;

  // Takes bytes up to the end of the current message and returns how many those were. Throws
  // std::runtime_error for what is no HTTP.
  std::size_t feed(std::string_view bytes);
  // The stream has ended. Throws std::runtime_error when that cuts a message off.
  void end_of_stream();

  bool complete() const { return complete_; }
  bool keeps_alive() const { return keeps_alive_; }
  unsigned status() const { return parser_.status_code; }
  const std::string& target() const { return target_; }
  const std::string& body() const { return body_; }
  // Forgets the message, so that the next one can be fed.
  void next();

 private:
  static int on_url(http_parser* parser, const char* at, std::size_t length);
  static int on_body(http_parser* parser, const char* at, std::size_t length);
  static int on_complete(http_parser* parser);
  void check() const;

  static const http_parser_settings& callbacks();
  http_parser parser_{};
  bool complete_ = false;
  bool keeps_alive_ = false;
  std::string target_;
  std::string body_;
};

} // namespace fourfold::tool
