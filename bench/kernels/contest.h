// An operation with its data, and those who compute it: Sandglass and its peers, on the same memory.
//
// bench/kernels/operations/ has one struct for each operation, derived from Problem<Spec>, that says
//
//   using Spec = ...;
//   static Spec parse(const Line&, int batch, const Device&);            // what is to be computed
//   X(Device&, const Spec&, int sets);                                   // makes the data
//   Spec::Arguments arguments(const Spec&, int set);                     // where it lies
//   std::string wrong(const Spec&);                                      // the results of set 0 against float64
//   static std::vector<Peer<Spec>> peers(Device&, const Spec&);          // who else computes it
//
// A peer may leave out options of the operation that its library does not have (its spec says which): it is then timed,
// and checked, for what it does.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/kernels/data.h"
#include "bench/kernels/lines.h"
#include "kernels/operation.h"

namespace sandglass::bench {

/// Who computes rows that name no library.
inline constexpr const char* kSandglass = "sandglass";

/// Who computes an operation, ready to run on each of the data's sets.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::string implementation() const = 0;
  virtual Cost cost() const = 0;
  virtual void run(int set, Stream stream) = 0;
  /// Runs on the first content of set 0. Empty, or how the results differ from the reference.
  virtual std::string wrong() = 0;
};

template <typename Spec>
struct Peer {
  std::string library;
  Spec spec;
  std::function<std::unique_ptr<typename Spec::Operation>()> make;
};

/// The data of an operation, each array `sets` times.
template <typename SpecOfOperation>
class Problem {
 public:
  using Spec = SpecOfOperation;
  using Arguments = typename Spec::Arguments;

  void reset() {
    for (Array& array : arrays_) array.reset();
  }
  Device& device() const { return device_; }
  int sets() const { return sets_; }
  static std::vector<Peer<Spec>> peers(Device&, const Spec&) { return {}; }
  /// What make_operation takes: of Spec, if that has more than the contract.
  static const Spec& contract(const Spec& spec) { return spec; }

 protected:
  Problem(Device& device, int sets) : device_(device), sets_(sets) {}
  Array& input(const TensorDesc& desc, const Numbers& numbers) {
    return arrays_.emplace_back(device_, desc, numbers, ++seed_, sets_);
  }
  Array& result(const TensorDesc& desc) { return arrays_.emplace_back(device_, desc, sets_); }
  template <typename T>
  Array& objects(const std::vector<T>& objects) {
    return arrays_.emplace_back(device_, objects.data(), objects.size() * sizeof(T), sets_);
  }

 private:
  Device& device_;
  int sets_;
  uint64_t seed_ = 0;
  std::deque<Array> arrays_;
};

/// The first of some messages that is not empty.
inline std::string first_of(std::initializer_list<std::string> messages) {
  const auto found = std::find_if(messages.begin(), messages.end(), [](const auto& text) { return !text.empty(); });
  return found == messages.end() ? "" : *found;
}

template <typename P>
class Player final : public Contender {
 public:
  using Spec = typename P::Spec;

  /// `idle`: for tests of wrong(), which then looks at data that nothing was done to.
  Player(std::shared_ptr<P> problem, const Spec& spec, std::unique_ptr<typename Spec::Operation> operation,
         bool idle = false)
      : idle_(idle),
        problem_(std::move(problem)),
        spec_(spec),
        operation_(std::move(operation)),
        workspace_(problem_->device(), operation_->workspace_bytes()) {
    for (int set = 0; set < problem_->sets(); ++set) {
      arguments_.push_back(problem_->arguments(spec_, set));
      if constexpr (requires { arguments_.back().workspace; }) arguments_.back().workspace = workspace_.data();
      if constexpr (requires { operation_->packed_weight_bytes(); }) pack(arguments_.back());
    }
    problem_->device().synchronize();
  }
  std::string implementation() const override { return operation_->implementation(); }
  Cost cost() const override { return spec_.cost(); }
  void run(int set, Stream stream) override { operation_->run(arguments_[static_cast<size_t>(set)], stream); }
  std::string wrong() override {
    problem_->reset();
    if (!idle_) run(0, {});
    problem_->device().synchronize();
    return problem_->wrong(spec_);
  }

 private:
  void pack(typename Spec::Arguments& arguments) {
    const size_t bytes = operation_->packed_weight_bytes();
    if (bytes == 0) return;
    packed_.emplace_back(problem_->device(), bytes);
    operation_->pack_weights(arguments.weights, packed_.back().data(), {});
    arguments.weights = packed_.back().data();
  }

  bool idle_;
  std::shared_ptr<P> problem_;
  Spec spec_;
  std::unique_ptr<typename Spec::Operation> operation_;
  DeviceMemory workspace_;
  std::vector<DeviceMemory> packed_;
  std::vector<typename Spec::Arguments> arguments_;
};

/// What is asked of an operation before any data is made.
struct Task {
  std::string text;  ///< Spec::text()
  Cost cost;
  /// kSandglass and the peers of this build, and what each leaves out of the operation: "without statistics".
  std::vector<std::pair<std::string, std::string>> libraries;
  /// Those who compute it, in the order of `libraries`, on the same data. Throws Error naming a library that is none.
  std::function<std::vector<std::unique_ptr<Contender>>(const std::vector<std::string>& libraries, int sets)> make;
  bool sandglass_is_right = false;  ///< it was checked, and is right
  /// One whose wrong() looks at data that nothing was done to: for tests.
  std::function<std::unique_ptr<Contender>()> make_idle;
};

/// What a text like "conv_forward/SHAPE/statistics/bias" has and `part` does not: "without statistics, bias".
std::string left_out(const std::string& text, const std::string& part);

template <typename P>
Task make_task(Device& device, const Line& line, int batch) {
  using Spec = typename P::Spec;
  const Spec spec = P::parse(line, batch, device);
  Task task;
  task.text = spec.text();
  task.cost = spec.cost();
  task.libraries.push_back({kSandglass, ""});
  std::vector<Peer<Spec>> peers = P::peers(device, spec);
  for (const Peer<Spec>& peer : peers)
    task.libraries.push_back({peer.library, left_out(spec.text(), peer.spec.text())});
  peers.insert(peers.begin(),
               {kSandglass, spec, [&device, spec] { return make_operation(device, P::contract(spec)); }});
  task.make = [&device, spec, peers](const std::vector<std::string>& libraries, int sets) {
    const auto problem = std::make_shared<P>(device, spec, sets);
    std::vector<std::unique_ptr<Contender>> contenders;
    for (const std::string& library : libraries) {
      const auto peer = std::find_if(peers.begin(), peers.end(), [&](const auto& p) { return p.library == library; });
      check(peer != peers.end(), "{} is not computed by {}", spec.text(), library);
      contenders.push_back(std::make_unique<Player<P>>(problem, peer->spec, peer->make()));
    }
    return contenders;
  };
  task.make_idle = [&device, spec] {
    return std::make_unique<Player<P>>(std::make_shared<P>(device, spec, 1), spec,
                                       make_operation(device, P::contract(spec)), true);
  };
  return task;
}

using MakeTask = Task (*)(Device&, const Line&, int batch);

/// Every operation by its name.
const std::map<std::string, MakeTask>& operations();

/// Each file of operations/ adds its own.
using OperationTable = std::map<std::string, MakeTask>;
void add_conv(OperationTable& table);
void add_batch_norm(OperationTable& table);
void add_residual(OperationTable& table);
void add_max_pool(OperationTable& table);
void add_upsample(OperationTable& table);
void add_loss(OperationTable& table);
void add_peak(OperationTable& table);
void add_warp(OperationTable& table);
void add_optimizer(OperationTable& table);

template <typename P>
void add_operation(OperationTable& table) {
  table[P::Spec::kName] = make_task<P>;
}

}  // namespace sandglass::bench
