// The interpreter's lock, let go of for the time of a call that signals and other threads can end.
#pragma once

#include <pybind11/pybind11.h>

#include "vecrecall/cancel.hpp"

namespace vecrecall::python {

// As py::gil_scoped_release; and what is called in its scope runs Python's signal handlers now and
// then, in the thread that does so. One that raises ends the call by Canceled, with the error set.
// So does a token that this thread is in, once canceled; before the call begins, if it was by then.
class NoGil {
  public:
    NoGil();
    ~NoGil();
    NoGil(const NoGil&) = delete;
    NoGil& operator=(const NoGil&) = delete;

  private:
    bool handler_raised();

    PyThreadState* state_;
    CancelScope scope_;
};

// Makes of Canceled the error that is set, or a RuntimeError.
void register_cancelled();

}  // namespace vecrecall::python
