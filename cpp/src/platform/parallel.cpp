#include "vecrecall/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "platform/at_fork.hpp"
#include "platform/canceling.hpp"
#include "platform/cpu_count.hpp"
#include "platform/fp_env.hpp"

namespace vecrecall {
namespace {

using Task = std::function<void(std::size_t)>;

// One parallel_for, on its caller's stack. Threads claim task numbers until none are left.
struct Job {
    const Task& task;
    const std::size_t n;
    const int threads;  // most threads at once, the caller included
    CancelScope* const scope = canceling::scope();
    std::atomic<std::size_t> next{0};
    int helpers_wanted = 0;  // guarded by the pool's mutex, as all below
    int helpers_active = 0;
    std::condition_variable helpers_left;
    std::exception_ptr error;

    Job(const Task& t, std::size_t count, int most) : task(t), n(count), threads(most) {}

    void work(std::mutex& mutex) {
        const FpEnvScope env;
        for (std::size_t i = next.fetch_add(1); i < n; i = next.fetch_add(1)) {
            try {
                check_cancelled();
                task(i);
            } catch (...) {
                next.store(n);
                const std::lock_guard lock(mutex);
                if (!error) error = std::current_exception();
            }
        }
    }
};

class Pool {
  public:
    const std::uint64_t generation = at_fork::generation();

    void run(Job& job) {
        const int helpers = static_cast<int>(std::min<std::size_t>(job.threads, job.n)) - 1;
        {
            const std::lock_guard lock(mutex_);
            job.helpers_wanted = helpers;
            start_workers(helpers);
            jobs_.push_back(&job);
            ++running_;
        }
        for (int i = 0; i < helpers; ++i) work_ready_.notify_one();
        job.work(mutex_);
        std::unique_lock lock(mutex_);
        jobs_.remove(&job);
        const auto alone = [&] { return job.helpers_active == 0; };
        if (!canceling::wait(job.helpers_left, lock, alone)) {
            job.next.store(job.n);
            job.helpers_left.wait(lock, alone);
        }
        --running_;
        if (!jobs_.empty()) work_ready_.notify_one();  // a processor is free for another caller
    }

  private:
    // The mutex is held. A system out of threads is served by those that exist.
    void start_workers(int wanted) {
        while (workers_ < wanted) {
            try {
                std::thread([this] { serve(); }).detach();
            } catch (const std::system_error&) {
                return;
            }
            ++workers_;
        }
    }

    // A job takes a helper only while fewer threads run than it may use by itself: callers side by
    // side share the processors instead of multiplying the threads.
    Job* pick() {
        for (Job* job : jobs_) {
            if (job->helpers_wanted > 0 && running_ < job->threads && job->next.load() < job->n) {
                return job;
            }
        }
        return nullptr;
    }

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            Job* job = nullptr;
            work_ready_.wait(lock, [&] { return (job = pick()) != nullptr; });
            --job->helpers_wanted;
            ++job->helpers_active;
            ++running_;
            lock.unlock();
            {
                const canceling::Working for_its_caller(job->scope);
                job->work(mutex_);
            }
            lock.lock();
            --running_;
            if (--job->helpers_active == 0) job->helpers_left.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable work_ready_;
    std::list<Job*> jobs_;
    int workers_ = 0;
    int running_ = 0;  // callers and workers that are computing
};

// Never destroyed: detached workers sleep in it until the process ends. A forked child abandons
// its parent's pool, whose threads it does not have, and makes its own at first use.
std::atomic<Pool*> g_pool{nullptr};

Pool& pool() {
    Pool* existing = g_pool.load(std::memory_order_acquire);
    if (existing != nullptr && existing->generation == at_fork::generation()) return *existing;
    auto* fresh = new Pool;
    if (g_pool.compare_exchange_strong(existing, fresh)) return *fresh;
    delete fresh;
    return *existing;
}

int threads_from_environment() {
    const char* text = std::getenv("VECRECALL_NUM_THREADS");
    if (text == nullptr || *text == '\0') return usable_cpus();
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (*end != '\0' || n < 1 || n > kMaxThreads) {
        throw std::invalid_argument(
            std::string("VECRECALL_NUM_THREADS: expected a whole number from 1 to ") +
            std::to_string(kMaxThreads) + ", got '" + text + "'");
    }
    return static_cast<int>(n);
}

std::atomic<int> g_default_threads{0};  // 0: not yet known

}  // namespace

int num_threads() {
    int n = g_default_threads.load();
    if (n == 0) {
        const int found = threads_from_environment();
        // A concurrent set_num_threads wins.
        if (g_default_threads.compare_exchange_strong(n, found)) n = found;
    }
    return n;
}

void set_num_threads(int n) {
    if (n < 1 || n > kMaxThreads) {
        throw std::invalid_argument("threads: expected a whole number from 1 to " +
                                    std::to_string(kMaxThreads) + ", got " + std::to_string(n));
    }
    g_default_threads.store(n);
}

void parallel_for(std::size_t n, int threads, const Task& task) {
    if (n == 0) return;
    Job job(task, n, std::min(threads == 0 ? num_threads() : threads, kMaxThreads));
    if (job.threads == 1 || n == 1) {
        std::mutex unshared;
        job.work(unshared);
    } else {
        pool().run(job);
    }
    if (job.scope != nullptr && job.scope->stopped()) throw Canceled();
    if (job.error) std::rethrow_exception(job.error);
}

}  // namespace vecrecall
