#include "http_message.hpp"

#include <stdexcept>

namespace fourfold::tool {
namespace {

http_reader& reader_of(http_parser* parser) { return *static_cast<http_reader*>(parser->data); }

// A page of this program is 10 kB; more than this is not its server.
constexpr std::size_t largest_message = 1 << 20;

} // namespace

const http_parser_settings& http_reader::callbacks() {
  static const http_parser_settings settings = [] {
    http_parser_settings made;
    ::http_parser_settings_init(&made);
    made.on_url = &http_reader::on_url;
    made.on_body = &http_reader::on_body;
    made.on_message_complete = &http_reader::on_complete;
    return made;
  }();
  return settings;
}

http_reader::http_reader(side reads) {
  ::http_parser_init(&parser_, reads == side::requests ? HTTP_REQUEST : HTTP_RESPONSE);
  parser_.data = this;
}

std::size_t http_reader::feed(std::string_view bytes) {
  const std::size_t taken = ::http_parser_execute(&parser_, &callbacks(), bytes.data(), bytes.size());
  // on_complete pauses the parser, so that it does not run on into the next message.
  if (HTTP_PARSER_ERRNO(&parser_) == HPE_PAUSED)
    ::http_parser_pause(&parser_, 0);
  check();
  return taken;
}

void http_reader::end_of_stream() {
  ::http_parser_execute(&parser_, &callbacks(), nullptr, 0);
  check();
}

void http_reader::next() {
  complete_ = false;
  target_.clear();
  body_.clear();
}

int http_reader::on_url(http_parser* parser, const char* at, std::size_t length) {
  http_reader& self = reader_of(parser);
  self.target_.append(at, length);
  return self.target_.size() > largest_message ? 1 : 0;
}

int http_reader::on_body(http_parser* parser, const char* at, std::size_t length) {
  http_reader& self = reader_of(parser);
  self.body_.append(at, length);
  return self.body_.size() > largest_message ? 1 : 0;
}

int http_reader::on_complete(http_parser* parser) {
  http_reader& self = reader_of(parser);
  self.complete_ = true;
  self.keeps_alive_ = ::http_should_keep_alive(parser) != 0;
  ::http_parser_pause(parser, 1);
  return 0;
}

void http_reader::check() const {
  const http_errno code = HTTP_PARSER_ERRNO(&parser_);
  if (code == HPE_OK || code == HPE_PAUSED)
    return;
  throw std::runtime_error(std::string("not a valid HTTP message: ") + ::http_errno_description(code));
}

} // namespace fourfold::tool
