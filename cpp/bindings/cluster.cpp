#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "register.hpp"
#include "vecrecall/assign.hpp"
#include "vecrecall/kmeans.hpp"

namespace vecrecall::python {
namespace {

MatrixView of_width(const Array<float>& a, std::size_t dim) {
    const MatrixView view = matrix(a);
    if (view.dim != dim) throw std::invalid_argument("expected matrices of one width");
    return view;
}

using Weights = std::optional<Array<double>>;
using Labels = std::optional<Array<std::int32_t>>;

// One per row, or null.
template <class T>
const T* per_row(const std::optional<Array<T>>& values, const RowsView& rows) {
    if (!values) return nullptr;
    if (static_cast<std::size_t>(values->size()) != rows.rows) {
        throw std::invalid_argument("expected as many as there are rows");
    }
    return values->data();
}

// Refuses labels of centers that are not there.
void check_held(const Labels& held, std::size_t k) {
    if (!held || held->size() == 0) return;
    const std::int32_t most = *std::max_element(held->data(), held->data() + held->size());
    if (most >= static_cast<std::int64_t>(k)) {
        throw std::invalid_argument("expected a center for each label that is held");
    }
}

py::tuple assigned(const py::array& points, const Array<float>& centroids, std::size_t m,
                   Metric metric, int threads) {
    const RowsView x = rows_of(points);
    const MatrixView c = of_width(centroids, x.dim);
    if (m > c.rows) throw std::invalid_argument("expected at most as many as there are centroids");
    Array<std::int32_t> labels({x.rows, m});
    Array<float> scores({x.rows, m});
    std::int32_t* to = labels.mutable_data();
    float* scored = scores.mutable_data();
    {
        const NoGil nogil;
        assign(x, c, metric, m, to, scored, threads);
    }
    return py::make_tuple(labels, scores);
}

py::tuple assigned_sums(const py::array& points, const Array<float>& centroids, Metric metric,
                        int threads, const Weights& weights, const Labels& held) {
    const RowsView x = rows_of(points);
    const MatrixView c = of_width(centroids, x.dim);
    if (c.rows == 0) throw std::invalid_argument("expected centroids");
    Array<std::int32_t> labels({x.rows, std::size_t{1}});
    Array<float> scores({x.rows, std::size_t{1}});
    Array<double> sums({c.rows, c.dim});
    Array<double> masses(static_cast<py::ssize_t>(c.rows));
    const double* weighed = per_row(weights, x);
    const std::int32_t* before = per_row(held, x);
    check_held(held, c.rows);
    std::int32_t* to = labels.mutable_data();
    float* scored = scores.mutable_data();
    const ClusterSums out{sums.mutable_data(), masses.mutable_data()};
    {
        const NoGil nogil;
        assign(x, c, metric, 1, to, scored, threads);
        if (before != nullptr) keep_ties(x, c, metric, before, to, scored, threads);
        sum_clusters(x, weighed, to, c.rows, metric, out, threads);
    }
    return py::make_tuple(labels, scores, sums, masses);
}

Array<std::int64_t> drawn(const py::array& points, const Array<double>& draws, Metric metric,
                          int threads, const Weights& weights) {
    const RowsView x = rows_of(points);
    const double* uniform = draws.data();
    const double* weighed = per_row(weights, x);
    if (draws.ndim() != 2 || draws.shape(1) == 0) {
        throw std::invalid_argument("expected draws for each row");
    }
    const auto k = static_cast<std::size_t>(draws.shape(0));
    const auto trials = static_cast<std::size_t>(draws.shape(1));
    Array<std::int64_t> rows(draws.shape(0));
    std::int64_t* to = rows.mutable_data();
    const NoGil nogil;
    plus_plus(x, weighed, uniform, k, trials, metric, to, threads);
    return rows;
}

// A run, and the points and weights that it borrows.
class Run {
  public:
    Run(const py::array& points, Metric metric, int threads, const Weights& weights,
        const Labels& held)
        : points_(points),
          weights_(weights),
          held_(held),
          lloyd_(rows_of(points_), metric, threads,
                 {.weights = per_row(weights_, rows_of(points_)),
                  .held = per_row(held_, rows_of(points_))}) {}

    py::tuple step(const Array<float>& centers) {
        const MatrixView c = checked(centers);
        Array<float> updated({c.rows, c.dim});
        float* to = updated.mutable_data();
        LloydStep result;
        {
            const NoGil nogil;
            result = lloyd_.step(c.data, c.rows, to);
        }
        return py::make_tuple(updated, result.inertia, result.shift2, result.relabeled);
    }

    py::tuple assign(const Array<float>& centers) const {
        const MatrixView c = checked(centers);
        Array<std::int32_t> labels(points_.shape(0));
        Array<float> scores(points_.shape(0));
        std::int32_t* to = labels.mutable_data();
        float* scored = scores.mutable_data();
        double inertia = 0;
        {
            const NoGil nogil;
            inertia = lloyd_.assign(c.data, c.rows, to, scored);
        }
        return py::make_tuple(labels, scores, inertia);
    }

  private:
    MatrixView checked(const Array<float>& centers) const {
        const MatrixView c = of_width(centers, rows_of(points_).dim);
        if (c.rows == 0) throw std::invalid_argument("expected centers");
        check_held(held_, c.rows);
        return c;
    }

    py::array points_;
    Weights weights_;
    Labels held_;
    Lloyd lloyd_;
};

}  // namespace

void register_clustering(py::module_& m) {
    m.def("assign", &assigned, py::arg("points").noconvert(), py::arg("centroids").noconvert(),
          py::arg("m"), py::arg("metric"), py::arg("threads"));
    m.def("assign_sums", &assigned_sums, py::arg("points").noconvert(),
          py::arg("centroids").noconvert(), py::arg("metric"), py::arg("threads"),
          py::arg("weights").noconvert() = py::none(), py::arg("held").noconvert() = py::none());
    m.def("plus_plus", &drawn, py::arg("points").noconvert(), py::arg("draws").noconvert(),
          py::arg("metric"), py::arg("threads"), py::arg("weights").noconvert() = py::none());
    py::class_<Run>(m, "Lloyd")
        .def(py::init<const py::array&, Metric, int, const Weights&, const Labels&>(),
             py::arg("points").noconvert(), py::arg("metric"), py::arg("threads"),
             py::arg("weights").noconvert() = py::none(), py::arg("held").noconvert() = py::none())
        .def("step", &Run::step, py::arg("centers").noconvert())
        .def("assign", &Run::assign, py::arg("centers").noconvert());
}

}  // namespace vecrecall::python
