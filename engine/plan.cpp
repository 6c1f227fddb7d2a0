#include "engine/plan.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr size_t kAlignment = 256;  // what every kernel may assume of a buffer's address within the arena

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

double time_on_device(Device& device, int runs, const std::function<void(Stream)>& work) {
  const StreamOwner stream(device);
  const auto graph = device.capture([&](Stream captured) {
    for (int i = 0; i < runs; ++i) work(captured);
  });
  const auto begin = device.create_event(), end = device.create_event();
  std::array<double, 4> milliseconds{};
  for (double& time : milliseconds) {
    begin->record(stream);
    graph->launch(stream);
    end->record(stream);
    end->synchronize();
    time = end->milliseconds_since(*begin);
  }
  std::sort(milliseconds.begin() + 1, milliseconds.end());  // the first was to warm up
  return milliseconds[2] / 1e3 / runs;
}

uint8_t* Plan::Memory::operator[](Buffer buffer) const {
  const bool known = std::any_of(declared.begin(), declared.end(), [&](Buffer b) { return b.id == buffer.id; });
  check(known, "plan: a step uses buffer '{}' without declaring it",
        buffer.valid() ? plan->entries_[buffer.id].name : "(none)");
  const Entry& entry = plan->entries_[buffer.id];
  return entry.external ? static_cast<uint8_t*>(entry.external) : plan->arena_.data() + entry.offset;
}

Buffer Plan::add(Entry entry) {
  check(!finished_, "plan: buffer '{}' was added after finish()", entry.name);
  entries_.push_back(std::move(entry));
  return {static_cast<int>(entries_.size()) - 1};
}

Buffer Plan::buffer(std::string name, size_t bytes) { return add({.name = std::move(name), .bytes = bytes}); }

Buffer Plan::lasting_buffer(std::string name, size_t bytes) {
  return add({.name = std::move(name), .bytes = bytes, .lasting = true});
}

Buffer Plan::external_buffer(std::string name, void* memory, size_t bytes) {
  return add({.name = std::move(name), .bytes = bytes, .external = memory});
}

void Plan::step(std::string name, std::vector<Buffer> uses, Work work, Cost cost) {
  check(!finished_, "plan: step '{}' was added after finish()", name);
  std::erase_if(uses, [](Buffer b) { return !b.valid(); });
  const int now = static_cast<int>(steps_.size());
  for (Buffer b : uses) {
    Entry& entry = entries_[b.id];
    if (entry.first < 0) entry.first = now;
    entry.last = now;
  }
  steps_.push_back({std::move(name), std::move(uses), std::move(work), cost});
}

// Greedy by size (Pisarchyk & Lee, arXiv 2001.03288): the largest buffers are placed first, each at the lowest offset
// that is free during its whole lifetime.
void Plan::finish() {
  check(!finished_, "plan: finish() was called twice");
  const int end = static_cast<int>(steps_.size());
  for (Entry& entry : entries_)
    if (entry.lasting) entry.first = -1, entry.last = end;
  std::vector<int> order;
  for (int i = 0; i < static_cast<int>(entries_.size()); ++i)
    if (!entries_[i].external && (entries_[i].lasting || entries_[i].first >= 0)) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return entries_[a].bytes > entries_[b].bytes; });
  std::vector<int> placed;  // sorted by offset
  for (int i : order) {
    Entry& entry = entries_[i];
    size_t offset = 0;
    for (int j : placed) {
      const Entry& other = entries_[j];
      if (other.last < entry.first || entry.last < other.first) continue;
      if (offset + entry.bytes <= other.offset) break;
      offset = std::max(offset, aligned(other.offset + other.bytes));
    }
    entry.offset = offset;
    arena_bytes_ = std::max(arena_bytes_, aligned(offset + entry.bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](int a, int b) { return entries_[a].offset < entries_[b].offset; }),
                  i);
  }
  arena_ = DeviceMemory(device_, arena_bytes_ + kAlignment);
  // The device promises less alignment than a buffer of the plan does: shift every offset by the same rest.
  const size_t rest = reinterpret_cast<uintptr_t>(arena_.data()) % kAlignment;
  if (rest)
    for (Entry& entry : entries_) entry.offset += kAlignment - rest;
  finished_ = true;
}

void Plan::run(Stream stream) const {
  check(finished_, "plan: run() before finish()");
  Memory memory;
  memory.plan = this;
  memory.stream = stream;
  for (const Step& step : steps_) {
    memory.declared = step.uses;
    step.work(memory);
  }
}

void Plan::run_observed(const Observer& after) const {
  check(finished_, "plan: run_observed() before finish()");
  using Clock = std::chrono::steady_clock;
  Memory memory;
  memory.plan = this;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    memory.declared = step.uses;
    const auto start = Clock::now();
    step.work(memory);
    device_.synchronize();
    after(i, step.name, std::chrono::duration<double>(Clock::now() - start).count(), memory);
  }
}

std::vector<StepTime> Plan::time_steps(int runs) const {
  check(finished_, "plan: time_steps() before finish()");
  std::vector<StepTime> times;
  for (const Step& step : steps_) {
    const auto work = [&](Stream stream) {
      Memory memory;
      memory.plan = this;
      memory.declared = step.uses;
      memory.stream = stream;
      step.work(memory);
    };
    times.push_back({step.name, step.cost, time_on_device(device_, runs, work)});
  }
  return times;
}

uint8_t* Plan::address(Buffer buffer) const {
  check(finished_, "plan: address() before finish()");
  const Entry& entry = entries_.at(buffer.id);
  check(entry.lasting || entry.external, "plan: buffer '{}' has an address only while its steps run", entry.name);
  return entry.external ? static_cast<uint8_t*>(entry.external) : arena_.data() + entry.offset;
}

size_t Plan::unshared_bytes() const {
  size_t sum = 0;
  for (const Entry& entry : entries_)
    if (!entry.external) sum += aligned(entry.bytes);
  return sum;
}

std::string Plan::report() const {
  std::string text = fmt::format("{:>12} {:>12} {:>6} {:>6}  {}\n", "offset", "bytes", "first", "last", "buffer");
  std::vector<const Entry*> rows;
  for (const Entry& entry : entries_)
    if (!entry.external && (entry.lasting || entry.first >= 0)) rows.push_back(&entry);
  std::stable_sort(rows.begin(), rows.end(), [](const Entry* a, const Entry* b) { return a->first < b->first; });
  for (const Entry* row : rows)
    text += fmt::format("{:>12} {:>12} {:>6} {:>6}  {}\n", row->offset, row->bytes,
                        row->lasting ? "-" : std::to_string(row->first), row->lasting ? "-" : std::to_string(row->last),
                        row->name);
  text += fmt::format("{} steps; arena {:.1f} MiB, {:.1f} MiB without sharing\n", steps_.size(),
                      arena_bytes_ / 1048576.0, unshared_bytes() / 1048576.0);
  return text;
}

void Plan::poison(uint8_t byte) const {
  // Lasting buffers overlap nothing: everything outside them is fair game.
  std::vector<std::pair<size_t, size_t>> keep;
  for (const Entry& entry : entries_)
    if (entry.lasting) keep.emplace_back(entry.offset, entry.offset + entry.bytes);
  std::sort(keep.begin(), keep.end());
  size_t at = 0;
  for (const auto& [begin, end] : keep) {
    if (begin > at) device_.fill(arena_.data() + at, byte, begin - at);
    at = std::max(at, end);
  }
  if (arena_.bytes() > at) device_.fill(arena_.data() + at, byte, arena_.bytes() - at);
}

}  // namespace sandglass
