#include "cancel_token.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "register.hpp"

namespace vecrecall::python {
namespace {

thread_local std::vector<std::shared_ptr<CancelToken>> t_entered;

void enter(std::shared_ptr<CancelToken> token) { t_entered.push_back(std::move(token)); }

void exit(const std::shared_ptr<CancelToken>& token, const py::args& /*error*/) {
    const auto last = std::find(t_entered.rbegin(), t_entered.rend(), token);
    if (last == t_entered.rend()) throw std::logic_error("expected a token that was entered");
    t_entered.erase(std::next(last).base());
}

}  // namespace

bool token_canceled() {
    return std::any_of(t_entered.begin(), t_entered.end(),
                       [](const auto& token) { return token->canceled(); });
}

void register_cancel_token(py::module_& m) {
    py::class_<CancelToken, std::shared_ptr<CancelToken>>(m, "CancelToken")
        .def(py::init<>())
        .def("cancel", &CancelToken::cancel)
        .def_property_readonly("canceled", &CancelToken::canceled)
        .def("__enter__", &enter)
        .def("__exit__", &exit);
}

}  // namespace vecrecall::python
