#include "engine/simt_queue.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "engine/random.h"
#include "engine/simt_memory.h"
#include "engine/simt_order.h"

namespace sandglass::simt {
namespace {

using Clock = std::chrono::steady_clock;

struct Task;
using Tasks = std::vector<std::shared_ptr<Task>>;

// Work that runs once, after other tasks; or work of a graph, of which each launch makes such a task.
struct Task {
  Work work;
  Tasks after;
  bool done = false;
  Clock::time_point time;  // when it was done
};

struct Capture;

struct QueueStream {
  Tasks last;  // what the next task follows: its predecessor, and events that the stream waits for
  std::shared_ptr<Capture> capture;
};

struct Capture {
  Tasks tasks;  // in the order in which they were queued
  // The streams that events have made part of it, and what their last tasks were before.
  std::vector<std::pair<std::shared_ptr<QueueStream>, Tasks>> joined;
  std::string forbidden;  // a call that could not throw
};

thread_local std::shared_ptr<Capture> capturing;

bool overlap(const HostRange& a, const HostRange& b) {
  const auto* const a_begin = static_cast<const uint8_t*>(a.begin);
  const auto* const b_begin = static_cast<const uint8_t*>(b.begin);
  return a_begin < b_begin + b.bytes && b_begin < a_begin + a.bytes;
}

// All tasks that these come after, and themselves.
std::set<const Task*> with_predecessors(const Tasks& tasks) {
  std::set<const Task*> found;
  std::vector<const Task*> open;
  for (const auto& task : tasks) open.push_back(task.get());
  while (!open.empty()) {
    const Task* const task = open.back();
    open.pop_back();
    if (task->done || !found.insert(task).second) continue;
    for (const auto& before : task->after) open.push_back(before.get());
  }
  return found;
}

// The queue of all simt devices, as the work of one GPU. Guarded by mutex_, which is also held while work runs.
class Queue {
 public:
  std::mutex& mutex() { return mutex_; }

  std::shared_ptr<QueueStream> stream(Stream stream) {
    if (!stream.handle) return null_stream_;
    const auto found = streams_.find(stream.handle);
    check(found != streams_.end(), "simt device: the stream {} is destroyed, or was never one", stream.handle);
    return found->second;
  }
  Stream create_stream() {
    const auto stream = std::make_shared<QueueStream>();
    streams_[stream.get()] = stream;
    return {stream.get()};
  }
  void destroy_stream(Stream stream) { streams_.erase(stream.handle); }

  void append(const std::shared_ptr<Task>& task, Capture* capture) {
    if (capture) {
      for (const HostRange& range : {task->work.reads, task->work.writes})
        check(!range.bytes || is_pinned(range.begin, range.bytes),
              "simt device: {}, which is captured: the host's memory must be pinned (Device::allocate_pinned)",
              task->work.name);
      capture->tasks.push_back(task);
      return;
    }
    const HostRange& writes = task->work.writes;
    const auto reads_it = [&](const auto& other) { return overlap(other->work.reads, writes); };
    if (writes.bytes && std::none_of(pending_.begin(), pending_.end(), reads_it))
      std::memset(const_cast<void*>(writes.begin), 0xff, writes.bytes);
    pending_.push_back(task);
  }

  std::shared_ptr<Task> append(QueueStream& stream, Work work) {
    check(!capturing || stream.capture == capturing,
          "simt device: {} on a stream that is not captured, while another one is: it would not be in the graph",
          work.name);
    auto task = std::make_shared<Task>(Task{std::move(work), stream.last, false, {}});
    append(task, stream.capture.get());
    stream.last = {task};
    return task;
  }

  void run_until_done(const Tasks& targets) {
    run(targets);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }
  void run_all() noexcept { run(pending_); }

 private:
  void run(const Tasks targets) {
    const MemoryAccess access;
    const Order order = thread_order().order;
    const std::set<const Task*> needed = with_predecessors(targets);
    const auto is_done = [](const auto& task) { return task->done; };
    while (!error_ && !std::all_of(targets.begin(), targets.end(), is_done)) {
      Tasks ready;
      for (const auto& task : pending_) {
        if (order == Order::forward && !needed.contains(task.get())) continue;
        if (!std::all_of(task->after.begin(), task->after.end(), is_done)) continue;
        ready.push_back(task);
        if (order == Order::forward) break;
      }
      const std::shared_ptr<Task> chosen = order == Order::forward   ? ready.front()
                                           : order == Order::reverse ? ready.back()
                                                                     : ready[random_.below(ready.size())];
      try {
        if (chosen->work.run) chosen->work.run();
      } catch (...) {
        error_ = std::current_exception();
      }
      finish(*chosen);
      std::erase(pending_, chosen);
    }
    if (!error_) return;
    for (const auto& task : pending_) finish(*task);
    pending_.clear();
  }

  // Lets go of what it came after, so that a long queue is not destroyed by recursion.
  static void finish(Task& task) {
    task.done = true;
    task.time = Clock::now();
    task.after.clear();
    task.work = {};
  }

  std::mutex mutex_;
  const std::shared_ptr<QueueStream> null_stream_ = std::make_shared<QueueStream>();
  std::map<void*, std::shared_ptr<QueueStream>> streams_;
  Tasks pending_;  // in the order in which they were queued, so each after all that it follows
  std::exception_ptr error_;
  Random random_{thread_order().seed};
};

// Never destroyed: objects that are destroyed at the program's end may still free memory.
Queue& queue() {
  static Queue& all = *new Queue;
  return all;
}

class SimtEvent final : public Event {
 public:
  void record(Stream stream) override {
    const std::lock_guard lock(queue().mutex());
    QueueStream& recorded = *queue().stream(stream);
    point_ = queue().append(recorded, {"an event's record", {}, {}, {}});
    capture_ = recorded.capture;
  }

  void hold(Stream stream) override {
    const std::lock_guard lock(queue().mutex());
    if (!point_) return;
    const std::shared_ptr<QueueStream> waiting = queue().stream(stream);
    if (capture_ && !waiting->capture) {
      check(capture_ == capturing, "simt device: an event that was recorded in a capture holds a stream outside of it");
      capture_->joined.emplace_back(waiting, std::exchange(waiting->last, {}));
      waiting->capture = capture_;
    }
    check(waiting->capture == capture_,
          "simt device: an event that was recorded outside of a capture holds a captured stream");
    waiting->last.push_back(point_);
  }

  void synchronize() override {
    check_not_capturing("Event::synchronize");
    const std::lock_guard lock(queue().mutex());
    check(!capture_, "simt device: the host waits for an event that was recorded in a capture");
    if (point_) queue().run_until_done({point_});
  }

  double milliseconds_since(const Event& earlier) const override {
    const std::lock_guard lock(queue().mutex());
    const auto& start = dynamic_cast<const SimtEvent&>(earlier);
    for (const SimtEvent* event : {&start, this})
      check(
          event->point_ && event->point_->done,
          "simt device: the time between events of which one is not recorded, or not reached as far as the host knows");
    return std::chrono::duration<double, std::milli>(point_->time - start.point_->time).count();
  }

 private:
  std::shared_ptr<Task> point_;
  std::shared_ptr<Capture> capture_;  // that it was recorded in
};

class SimtGraph final : public Graph {
 public:
  explicit SimtGraph(Tasks tasks) : tasks_(std::move(tasks)) {}
  ~SimtGraph() override {
    for (const auto& task : tasks_) task->after.clear();  // as in Queue::finish
  }

  void launch(Stream stream) override {
    const std::lock_guard lock(queue().mutex());
    QueueStream& onto = *queue().stream(stream);
    check(!capturing || onto.capture == capturing,
          "simt device: a graph on a stream that is not captured, while another one is: it would not be in the graph");
    // A graph's launches do not overlap.
    Tasks before = onto.last;
    if (!onto.capture) before.insert(before.end(), last_launch_.begin(), last_launch_.end());
    std::map<const Task*, std::shared_ptr<Task>> copies;
    std::set<std::shared_ptr<Task>> ends;
    for (const auto& task : tasks_) {
      auto copy = std::make_shared<Task>(Task{task->work, {}, false, {}});
      for (const auto& predecessor : task->after) {
        copy->after.push_back(copies.at(predecessor.get()));
        ends.erase(copy->after.back());
      }
      if (copy->after.empty()) copy->after = before;
      queue().append(copy, onto.capture.get());
      copies[task.get()] = copy;
      ends.insert(std::move(copy));
    }
    if (tasks_.empty()) return;
    onto.last.assign(ends.begin(), ends.end());
    if (!onto.capture) last_launch_ = onto.last;
  }

 private:
  Tasks tasks_, last_launch_;
};

}  // namespace

void enqueue(Stream stream, Work work) {
  const std::lock_guard lock(queue().mutex());
  queue().append(*queue().stream(stream), std::move(work));
}

Stream create_stream() {
  const std::lock_guard lock(queue().mutex());
  return queue().create_stream();
}

void destroy_stream(Stream stream) noexcept {
  const std::lock_guard lock(queue().mutex());
  queue().destroy_stream(stream);
}

void synchronize(Stream stream) {
  check_not_capturing("Device::synchronize");
  const std::lock_guard lock(queue().mutex());
  queue().run_until_done(queue().stream(stream)->last);
}

void finish_all_work() noexcept {
  const std::lock_guard lock(queue().mutex());
  queue().run_all();
}

std::unique_ptr<Event> create_event() { return std::make_unique<SimtEvent>(); }

std::unique_ptr<Graph> capture(const std::function<void(Stream)>& work) {
  check_not_capturing("Device::capture");
  const auto captured = std::make_shared<Capture>();
  const Stream handle = create_stream();
  const std::shared_ptr<QueueStream> origin = [&] {
    const std::lock_guard lock(queue().mutex());
    return queue().stream(handle);
  }();
  origin->capture = capturing = captured;
  std::exception_ptr error;
  try {
    work(handle);
  } catch (...) {
    error = std::current_exception();
  }
  capturing.reset();
  destroy_stream(handle);
  const std::lock_guard lock(queue().mutex());
  std::set<const Task*> joined = with_predecessors(origin->last);
  for (auto& [stream, last] : captured->joined) {
    stream->capture.reset();
    stream->last = std::move(last);
  }
  if (error) std::rethrow_exception(error);
  check(captured->forbidden.empty(), "simt device: {} in a capture", captured->forbidden);
  for (const auto& task : captured->tasks)
    check(!task->work.run || joined.contains(task.get()),
          "simt device: {} was captured on a stream that no event joins to the first one again", task->work.name);
  return std::make_unique<SimtGraph>(std::move(captured->tasks));
}

bool is_capturing() { return capturing != nullptr; }

void check_not_capturing(const char* call) {
  check(!capturing, "simt device: {} in a capture, where nothing runs", call);
}

void note_call_in_capture(const char* call) noexcept {
  if (capturing) capturing->forbidden = call;
}

}  // namespace sandglass::simt
