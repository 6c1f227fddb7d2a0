#include "kernels/simt/block.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "engine/error.h"
#include "kernels/simt/cuda_language.h"
#include "kernels/simt/thread_sanitizer.h"

thread_local constinit uint3 threadIdx{};
thread_local constinit uint3 blockIdx{};
thread_local constinit dim3 blockDim{};
thread_local constinit dim3 gridDim{};

namespace sandglass::simt {
namespace {

thread_local Block* running_block = nullptr;

// Kept from launch to launch, because a stack costs more than most blocks of CUDA threads.
struct Fibers {
  std::vector<std::unique_ptr<Fiber>> all;
  std::vector<Fiber*> idle;
};
thread_local Fibers fibers;

std::string to_text(const uint3& index) { return fmt::format("({}, {}, {})", index.x, index.y, index.z); }

}  // namespace

std::string to_text(const CallSite& site) {
  const std::string file = site.file;
  return fmt::format("{}:{}", file.substr(file.find_last_of('/') + 1), site.line);
}

Block* Block::running() { return running_block; }

Block::Block(const Launch& launch, const std::function<void()>& body)
    : launch_(launch),
      body_(body),
      order_(thread_order()),
      random_(order_.seed),
      threads_(launch.block.x * launch.block.y * launch.block.z),
      copies_(threads_.size()),
      shared_(launch.shared_bytes, max_shared_bytes(launch.architecture)) {}

void Block::run(const uint3& index) {
  const Unwatched unwatched;
  index_ = index;
  shared_.clear();
  std::vector<Thread*> all;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    const dim3& size = launch_.block;
    threads_[i] = Thread();
    threads_[i].number = static_cast<int>(i);
    threads_[i].index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    all.push_back(&threads_[i]);
  }
  warps_.assign((threads_.size() + kWarpSize - 1) / kWarpSize, {});
  for (AsyncCopies& copies : copies_) copies.clear();
  ready_.clear();
  at_barrier_.clear();
  waiting_.clear();
  asynchronous_.clear();
  warpgroups_.assign(threads_.size() / kWarpgroupSize, Warpgroup());
  unfenced_mbarriers_.clear();
  returned_ = 0;
  make_ready(std::move(all));
  running_block = this;
  blockIdx = index_;
  blockDim = launch_.block;
  gridDim = launch_.grid;
  release(&start_);
  run_threads();
  acquire(&end_);
  running_block = nullptr;
  // After an error the other threads are never finished: their fibers begin anew. Kernels own nothing that would need
  // unwinding.
  if (returned_ < static_cast<int>(threads_.size())) fibers = {};
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  report_deadlock();
  report_unfinished_work();
  const std::string damage = shared_.find_damage();
  check(damage.empty(), "kernel '{}', block {}: wrote outside of {}; AddressSanitizer names the thread", launch_.kernel,
        to_text(index_), damage);
}

void Block::run_threads() {
  while (!error_) {
    Thread* const thread = handed_over_ ? std::exchange(handed_over_, nullptr) : next();
    if (!thread) return;
    if (!thread->fiber) thread->fiber = fiber_for(*thread);
    enter(*thread);
    thread->fiber->resume();
  }
  handed_over_ = nullptr;
}

Fiber* Block::fiber_for(const Thread& thread) {
  const auto add = [] {
    const std::string name = fmt::format("CUDA thread {} of its block", fibers.all.size());
    fibers.all.push_back(std::make_unique<Fiber>(&Block::work, name.c_str()));
  };
  if (kDetectsRaces) {  // each CUDA thread has its own, as they are ThreadSanitizer's threads
    const auto number = static_cast<size_t>(thread.number);
    while (fibers.all.size() <= number) add();
    return fibers.all[number].get();
  }
  if (fibers.idle.empty()) {
    add();
    fibers.idle.push_back(fibers.all.back().get());
  }
  Fiber* const fiber = fibers.idle.back();
  fibers.idle.pop_back();
  return fiber;
}

// What each fiber does: runs a CUDA thread to its end, then the next one if that has not started yet, so that a kernel
// whose threads never wait needs one fiber and no switch.
void Block::work() {
  const Unwatched unwatched;
  for (;;) {
    Block& block = *running_block;
    Thread& thread = *block.current_;
    Fiber* const fiber = thread.fiber;
    try {
      acquire(&block.start_);
      {
        const Watched watched;
        block.body_();
      }
      release(&block.end_);
      thread.returned = true;
      thread.fiber = nullptr;
      ++block.returned_;
      block.warps_[static_cast<size_t>(thread.warp())].returned |= 1u << thread.lane();
      block.finish_collective_if_complete(thread.warp(), 1u << thread.lane());
    } catch (const Error& error) {
      try {
        block.fail_at(thread, error.what());
      } catch (...) {
        block.error_ = std::current_exception();
      }
    } catch (...) {
      block.error_ = std::current_exception();
    }
    Thread* const following = block.error_ ? nullptr : block.next();
    if (following && !following->fiber && !kDetectsRaces) {
      following->fiber = fiber;
      block.enter(*following);
    } else {
      block.handed_over_ = following;
      if (!kDetectsRaces) fibers.idle.push_back(fiber);
      const Watched watched;  // ThreadSanitizer wants it so when a fiber is destroyed
      fiber->suspend();
    }
  }
}

void Block::enter(Thread& thread) {
  current_ = &thread;
  threadIdx = thread.index;
}

Thread* Block::next() {
  run_asynchronous_work();
  if (ready_.empty()) return nullptr;
  if (order_.order == Order::random)
    std::swap(ready_.front(), ready_[random_.below(static_cast<uint32_t>(ready_.size()))]);
  Thread* const thread = ready_.front();
  ready_.pop_front();
  return thread;
}

void Block::make_ready(std::vector<Thread*> threads) {
  std::sort(threads.begin(), threads.end(), [&](const Thread* a, const Thread* b) {
    return order_.order == Order::reverse ? a->number > b->number : a->number < b->number;
  });
  for (Thread* thread : threads) thread->waits_in = nullptr;
  ready_.insert(ready_.end(), threads.begin(), threads.end());
}

void Block::wait(const char* what, CallSite site) {
  current_->waits_in = what;
  current_->waits_at = site;
}

void Block::barrier(CallSite site) {
  const Unwatched unwatched;
  Thread& self = *current_;
  const char* const phase = &barrier_phases_[odd_barrier_];
  release(phase);
  wait("__syncthreads", site);
  at_barrier_.push_back(&self);
  if (at_barrier_.size() == threads_.size()) {
    for (const Thread* other : at_barrier_)
      if (!(other->waits_at == site))
        fail("waits in __syncthreads ({}) while thread {} waits in another one ({})", to_text(site),
             to_text(other->index), to_text(other->waits_at));
    make_ready(std::exchange(at_barrier_, {}));
    odd_barrier_ = !odd_barrier_;
  }
  self.fiber->suspend();
  acquire(phase);
}

void Block::collective(const Exchange& exchange, CallSite site) {
  const Unwatched unwatched;
  Thread& self = *current_;
  if (!(exchange.mask >> self.lane() & 1))
    fail("lane {} calls {} ({}) with the mask {:#010x}, which leaves it out", self.lane(), exchange.name, to_text(site),
         exchange.mask);
  wait(exchange.name, site);
  self.exchange = exchange;
  const char* const phase = exchange.orders_memory ? phase_of(self, exchange.mask) : nullptr;
  self.exchange.phase = phase;
  if (phase) release(phase);
  Lanes& lanes = warps_[static_cast<size_t>(self.warp())];
  lanes.in_collective |= 1u << self.lane();
  if (lanes.cover(exchange.mask)) finish_collective_if_complete(self.warp(), exchange.mask);
  self.fiber->suspend();
  if (phase) acquire(phase);
}

// The phase that a lane which waits with the same mask has, or a new one. They are used again after thousands of
// others.
const char* Block::phase_of(const Thread& thread, unsigned mask) {
  if (!kDetectsRaces) return nullptr;
  const unsigned waiting = warps_[static_cast<size_t>(thread.warp())].in_collective & mask;
  const Thread* const first = &thread - thread.lane();
  for (int lane = 0; lane < kWarpSize; ++lane)
    if (waiting >> lane & 1 && first[lane].exchange.mask == mask && first[lane].exchange.phase)
      return first[lane].exchange.phase;
  return &phases_[next_phase_++ % phases_.size()];
}

// Looks at the collectives of the warp that any lane of `lanes` takes part in.
void Block::finish_collective_if_complete(int warp, unsigned lanes) {
  Thread* const first = &threads_[static_cast<size_t>(warp) * kWarpSize];
  const int count = std::min<int>(kWarpSize, static_cast<int>(threads_.size()) - warp * kWarpSize);
  Lanes& here = warps_[static_cast<size_t>(warp)];
  for (int i = 0; i < count; ++i) {
    Thread& leader = first[i];
    const unsigned mask = leader.exchange.mask;
    if (!(here.in_collective >> i & 1) || !(mask & lanes) || !here.cover(mask)) continue;
    std::vector<Thread*> members;
    for (int j = 0; j < count; ++j) {
      Thread& other = first[j];
      if (!(mask >> j & 1) || other.returned) continue;
      if (other.exchange.mask != mask || other.exchange.work != leader.exchange.work ||
          !(other.waits_at == leader.waits_at))
        fail("lane {} is in {} ({}) with the mask {:#010x} while lane {} is in {} ({}) with the mask {:#010x}", i,
             leader.waits_in, to_text(leader.waits_at), mask, j, other.waits_in, to_text(other.waits_at),
             other.exchange.mask);
      members.push_back(&other);
    }
    if (leader.exchange.work)
      work_for_warp(members);
    else
      exchange_values(members, first);
    for (const Thread* member : members) here.in_collective &= ~(1u << member->lane());
    make_ready(std::move(members));
  }
}

void Block::wait_for(const void* key, const char* what, CallSite site) {
  const Unwatched unwatched;
  Thread& self = *current_;
  wait(what, site);
  waiting_.emplace(key, &self);
  self.fiber->suspend();
}

void Block::wake(const void* key) {
  const Unwatched unwatched;
  const auto [begin, end] = waiting_.equal_range(key);
  std::vector<Thread*> threads;
  for (auto i = begin; i != end; ++i) threads.push_back(i->second);
  waiting_.erase(begin, end);
  make_ready(std::move(threads));
}

void Block::later(std::function<void()> work) { asynchronous_.push_back(std::move(work)); }

bool Block::early() { return order_.order == Order::random && random_.below(2) == 0; }

void Block::run_asynchronous_work() {
  const bool all_returned = returned_ == static_cast<int>(threads_.size());
  while (!asynchronous_.empty() && !all_returned && (ready_.empty() || early())) {
    const auto count = static_cast<uint32_t>(asynchronous_.size());
    const auto chosen = asynchronous_.begin() + (order_.order == Order::random ? random_.below(count) : 0);
    const std::function<void()> work = std::move(*chosen);
    asynchronous_.erase(chosen);
    work();
  }
}

Warpgroup& Block::warpgroup() {
  const auto index = static_cast<size_t>(current_->number / kWarpgroupSize);
  check(index < warpgroups_.size(),
        "a warpgroup's instruction by one of the last {} of {} threads, which are no whole warpgroup of {}",
        threads_.size() % kWarpgroupSize, threads_.size(), kWarpgroupSize);
  return warpgroups_[index];
}

void Block::work_for_warp(const std::vector<Thread*>& members) {
  const Exchange& exchange = members.front()->exchange;
  if (members.size() != kWarpSize)
    fail("{} ({}) needs all {} lanes of the warp, only {} call it", exchange.name, to_text(members.front()->waits_at),
         kWarpSize, members.size());
  void* pointers[kWarpSize];
  for (int lane = 0; lane < kWarpSize; ++lane) pointers[lane] = reinterpret_cast<void*>(members[lane]->exchange.value);
  acquire(exchange.phase);
  {
    const Watched watched;
    exchange.work(pointers);
  }
  release(exchange.phase);
}

// Hands the lanes of a complete collective what they take from each other; `lanes` begins with the warp's first one.
void Block::exchange_values(const std::vector<Thread*>& members, const Thread* lanes) {
  const unsigned mask = members.front()->exchange.mask;
  unsigned present = 0;
  uint64_t votes = 0;
  for (const Thread* member : members) {
    present |= 1u << member->lane();
    votes |= uint64_t{member->exchange.value != 0} << member->lane();
  }
  for (Thread* member : members) {
    Exchange& exchange = member->exchange;
    const int source = exchange.source_lane;
    if (source >= 0 && !(present >> source & 1))
      fail("lane {} takes the value of lane {} in {} ({}), which does not take part (mask {:#010x})", member->lane(),
           source, exchange.name, to_text(member->waits_at), mask);
    exchange.result = source >= 0 ? lanes[source].exchange.value : votes;
  }
}

std::string Block::where(const Thread& thread) const {
  return fmt::format("kernel '{}', block {}, thread {}", launch_.kernel, to_text(index_), to_text(thread.index));
}

void Block::fail_at(const Thread& thread, const std::string& what) const { fail("{}: {}", where(thread), what); }

// Nobody can run: if not all have returned, some wait for others that never come.
void Block::report_deadlock() const {
  if (returned_ == static_cast<int>(threads_.size())) return;
  const auto waiting = std::find_if(threads_.begin(), threads_.end(), [](const Thread& t) { return t.waits_in; });
  const auto missing = std::find_if(threads_.begin(), threads_.end(), [&](const Thread& t) {
    return t.returned || t.waits_in != waiting->waits_in || !(t.waits_at == waiting->waits_at);
  });
  const std::string where = fmt::format("waits in {} ({})", waiting->waits_in, to_text(waiting->waits_at));
  if (missing == threads_.end()) fail_at(*waiting, where + " for lanes that do not come");
  fail_at(*waiting, fmt::format("{} for thread {}, which {}", where, to_text(missing->index),
                                missing->returned
                                    ? "has returned"
                                    : fmt::format("waits in {} ({})", missing->waits_in, to_text(missing->waits_at))));
}

void Block::report_unfinished_work() const {
  const auto where = [&] { return fmt::format("kernel '{}', block {}", launch_.kernel, to_text(index_)); };
  check(asynchronous_.empty(), "{}: ended before {} asynchronous copies had arrived", where(), asynchronous_.size());
  for (const Warpgroup& warpgroup : warpgroups_)
    check(!warpgroup.busy(), "{}: ended with products (wgmma) that no wait_group waited for", where());
}

}  // namespace sandglass::simt

// AddressSanitizer and ThreadSanitizer call these before they report something: whose fault it was. Here, and not in a
// file of its own, because the linker leaves out a library's file that nothing refers to.
#if defined(__SANITIZE_ADDRESS__)
extern "C" [[gnu::visibility("default")]] void __asan_on_error() {
  sandglass::simt::Block* const block = sandglass::simt::Block::running();
  if (block) std::fprintf(stderr, "sandglass: simt: %s\n", block->where().c_str());
}
#endif
#ifdef SANDGLASS_THREAD_SANITIZER
extern "C" [[gnu::visibility("default")]] void __tsan_on_report(void*) {
  sandglass::simt::Block* const block = sandglass::simt::Block::running();
  if (block) std::fprintf(stderr, "sandglass: simt: %s\n", block->where().c_str());
}
#endif
