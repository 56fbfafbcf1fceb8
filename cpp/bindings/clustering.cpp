#include <pybind11/stl.h>

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

py::tuple assigned(const Array<float>& points, const Array<float>& centroids, std::size_t m,
                   Metric metric, int threads) {
    const MatrixView x = matrix(points);
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

py::tuple assigned_sums(const Array<float>& points, const Array<float>& centroids, Metric metric,
                        int threads) {
    const MatrixView x = matrix(points);
    const MatrixView c = of_width(centroids, x.dim);
    if (c.rows == 0) throw std::invalid_argument("expected centroids");
    Array<std::int32_t> labels({x.rows, std::size_t{1}});
    Array<float> scores({x.rows, std::size_t{1}});
    Array<double> sums({c.rows, c.dim});
    Array<std::int64_t> counts(static_cast<py::ssize_t>(c.rows));
    std::int32_t* to = labels.mutable_data();
    float* scored = scores.mutable_data();
    const ClusterSums out{sums.mutable_data(), counts.mutable_data()};
    {
        const NoGil nogil;
        assign(x, c, metric, 1, to, scored, threads);
        sum_clusters(x, to, c.rows, metric, out, threads);
    }
    return py::make_tuple(labels, scores, sums, counts);
}

Array<std::int64_t> drawn(const Array<float>& points, const Array<double>& draws, Metric metric,
                          int threads) {
    const MatrixView x = matrix(points);
    const double* uniform = draws.data();
    if (draws.ndim() != 2 || draws.shape(1) == 0) {
        throw std::invalid_argument("expected draws for each row");
    }
    const auto k = static_cast<std::size_t>(draws.shape(0));
    const auto trials = static_cast<std::size_t>(draws.shape(1));
    Array<std::int64_t> rows(draws.shape(0));
    std::int64_t* to = rows.mutable_data();
    const NoGil nogil;
    plus_plus(x, uniform, k, trials, metric, to, threads);
    return rows;
}

// A run and the points that it borrows.
class Run {
  public:
    Run(const Array<float>& points, Metric metric, int threads)
        : points_(points), lloyd_(matrix(points_), metric, threads) {}

    py::tuple step(const Array<float>& centers) {
        const MatrixView c = checked(centers);
        Array<float> updated({c.rows, c.dim});
        float* to = updated.mutable_data();
        LloydStep result;
        {
            const NoGil nogil;
            result = lloyd_.step(c.data, c.rows, to);
        }
        return py::make_tuple(updated, result.inertia, result.shift2, result.relabelled);
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
        const MatrixView c = of_width(centers, matrix(points_).dim);
        if (c.rows == 0) throw std::invalid_argument("expected centers");
        return c;
    }

    Array<float> points_;
    Lloyd lloyd_;
};

}  // namespace

void register_clustering(py::module_& m) {
    m.def("assign", &assigned, py::arg("points").noconvert(), py::arg("centroids").noconvert(),
          py::arg("m"), py::arg("metric"), py::arg("threads"));
    m.def("assign_sums", &assigned_sums, py::arg("points").noconvert(),
          py::arg("centroids").noconvert(), py::arg("metric"), py::arg("threads"));
    m.def("plus_plus", &drawn, py::arg("points").noconvert(), py::arg("draws").noconvert(),
          py::arg("metric"), py::arg("threads"));
    py::class_<Run>(m, "Lloyd")
        .def(py::init<const Array<float>&, Metric, int>(), py::arg("points").noconvert(),
             py::arg("metric"), py::arg("threads"))
        .def("step", &Run::step, py::arg("centers").noconvert())
        .def("assign", &Run::assign, py::arg("centers").noconvert());
}

}  // namespace vecrecall::python
