// Operations: what every device offers, prepared once for fixed shapes and then run without allocating.
//
// An operation is described by a *spec* (a plain struct: shapes and options), prepared by make_operation(device, spec),
// and run with *arguments* (addresses). Each folder beside this file holds one operation or a family: its contract
// (<name>.h), the float64 reference that defines its meaning (<name>_reference.cpp) and one file per device.
//
// Rules that hold for every operation unless its contract says otherwise:
// - results are overwritten, not accumulated; arguments do not alias;
// - feature maps may have any layout that the device names in Device::activation (see TensorDesc); they are void* in
// the
//   arguments, with the element type of their TensorDesc in the spec: float32, or bfloat16 where the device stores it.
//   Results are computed in float and rounded once; statistics are of the stored values;
// - the same input gives the same bits, run after run and whatever the number of threads;
// - `workspace` holds workspace_bytes() of scratch memory, aligned to 64 bytes, whose content does not matter.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/cost.h"
#include "engine/device.h"
#include "engine/error.h"

namespace sandglass {

template <typename Arguments>
class Operation {
 public:
  virtual ~Operation() = default;
  /// The algorithm chosen for this spec, for reports: "oneDNN jit:avx2", "winograd_f4x4".
  virtual std::string implementation() const = 0;
  virtual size_t workspace_bytes() const { return 0; }
  /// What the spec must move and compute; make_operation fills it in.
  Cost cost;
  /// Queues the work on the stream.
  virtual void run(const Arguments& arguments, Stream stream) = 0;
};

/// An operation that needs nothing prepared: a function of spec and arguments.
template <typename Spec>
class FunctionOperation final : public Operation<typename Spec::Arguments> {
 public:
  using Function = void (*)(const Spec&, const typename Spec::Arguments&, Stream);
  FunctionOperation(std::string implementation, const Spec& spec, Function function)
      : implementation_(std::move(implementation)), spec_(spec), function_(function) {}
  std::string implementation() const override { return implementation_; }
  void run(const typename Spec::Arguments& arguments, Stream stream) override { function_(spec_, arguments, stream); }

 private:
  std::string implementation_;
  Spec spec_;
  Function function_;
};

template <typename Spec>
using Factory = std::function<std::unique_ptr<typename Spec::Operation>(Device&, const Spec&)>;

/// The devices that offer Spec's operation. Filled by the register_* functions that kernels/registry.cpp calls.
template <typename Spec>
std::map<DeviceKind, Factory<Spec>>& implementations() {
  static std::map<DeviceKind, Factory<Spec>> table;
  return table;
}

/// Offers `function` as Spec's operation on a device.
template <typename Spec>
void register_function(DeviceKind kind, std::string implementation,
                       typename FunctionOperation<Spec>::Function function) {
  implementations<Spec>()[kind] = [=](Device&, const Spec& spec) {
    return std::make_unique<FunctionOperation<Spec>>(implementation, spec, function);
  };
}

/// Registers every implementation that this build has; called by make_operation and offers.
void register_operations();

/// What to add to the message that a device lacks an operation: what this build leaves out of the device, if anything.
std::string why_lacking(DeviceKind kind);

/// Whether a device offers Spec's operation.
template <typename Spec>
bool offers(const Device& device) {
  register_operations();
  return implementations<Spec>().contains(device.kind());
}

/// While it is not null, make_operation appends the text() of each spec, but not of those that an operation makes for
/// itself: how a list of what a network consists of is made.
inline thread_local std::vector<std::string>* operation_log = nullptr;

/// Checks the spec and prepares the operation. Throws Error if the spec makes no sense, or naming operation and device
/// if the device lacks the operation.
template <typename Spec>
std::unique_ptr<typename Spec::Operation> make_operation(Device& device, const Spec& spec) {
  register_operations();
  const auto found = implementations<Spec>().find(device.kind());
  if (found == implementations<Spec>().end())
    fail("device '{}' has no operation '{}'{}", name_of(device.kind()), Spec::kName, why_lacking(device.kind()));
  spec.check();
  if constexpr (requires { spec.maps(); })
    for (const TensorDesc& map : spec.maps())
      check(device.stores(map.type), "{}: device '{}' has no feature maps of type {}", Spec::kName,
            name_of(device.kind()), name_of(map.type));
  std::vector<std::string>* const log = std::exchange(operation_log, nullptr);
  auto operation = found->second(device, spec);
  operation_log = log;
  if constexpr (requires { spec.cost(); }) operation->cost = spec.cost();
  if constexpr (requires { spec.text(); })
    if (log) log->push_back(spec.text());
  return operation;
}

}  // namespace sandglass
