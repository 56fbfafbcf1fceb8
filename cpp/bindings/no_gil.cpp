#include "no_gil.hpp"

#include <exception>

#include "cancel_token.hpp"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <pthread.h>
#endif

namespace vecrecall::python {

namespace py = pybind11;
namespace {

// Python runs handlers in the thread that started it: the first of the process, in a child the one
// that forked. Others must not wait for the lock in vain. PyErr_CheckSignals looks again itself.
bool may_handle_signals() {
#if defined(__linux__)
    return syscall(SYS_gettid) == getpid();
#elif defined(__APPLE__)
    return pthread_main_np() != 0;
#else
    return true;
#endif
}

// Looked at first, since a scope is asked only after a while: many short calls would all run.
PyThreadState* begin_call() {
    if (token_canceled()) throw Canceled();
    return PyEval_SaveThread();
}

}  // namespace

NoGil::NoGil()
    : state_(begin_call()), scope_([this] { return token_canceled() || handler_raised(); }) {}

NoGil::~NoGil() { PyEval_RestoreThread(state_); }

bool NoGil::handler_raised() {
    if (!may_handle_signals()) return false;
    PyEval_RestoreThread(state_);
    const bool raised = PyErr_CheckSignals() != 0;
    state_ = PyEval_SaveThread();
    return raised;
}

void register_cancelled() {
    py::register_local_exception_translator([](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const Canceled& canceled) {
            if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_RuntimeError, canceled.what());
        }
    });
}

}  // namespace vecrecall::python
