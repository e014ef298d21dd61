#include <fourfold/process/detail/template_process.hpp>
#include <fourfold/process/worker_template.hpp>

namespace fourfold {

worker_template::worker_template() : use_(std::make_unique<detail::template_use>()) {}
worker_template::~worker_template() = default;

} // namespace fourfold
