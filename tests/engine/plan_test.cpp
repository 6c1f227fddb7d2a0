// Plans: buffers share memory exactly where their lifetimes allow it.
#include "engine/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "engine/error.h"
#include "engine/random.h"
#include "tests/engine/support.h"

namespace sandglass {
namespace {

using testing::expect_error;

class PlanTest : public ::testing::TestWithParam<DeviceKind> {
 protected:
  std::unique_ptr<Device> device_ = open_device(GetParam());

  std::vector<uint8_t> download(const uint8_t* memory, size_t bytes) {
    std::vector<uint8_t> host(bytes);
    device_->copy_to_host(host.data(), memory, bytes);
    device_->synchronize();
    return host;
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, PlanTest, ::testing::ValuesIn(available_devices()),
                         [](const auto& info) { return name_of(info.param); });

const Plan::Work kNothing = [](const Plan::Memory&) {};

TEST_P(PlanTest, runs_the_steps_in_order) {
  Plan plan(*device_);
  std::string order;
  for (char name : {'a', 'b', 'c'})
    plan.step(std::string(1, name), {}, [&order, name](const Plan::Memory&) { order += name; });
  plan.finish();
  plan.run();
  plan.run();
  EXPECT_EQ(order, "abcabc");
  EXPECT_EQ(plan.step_count(), 3u);
}

TEST_P(PlanTest, shows_an_observer_each_step) {
  Plan plan(*device_);
  const Buffer first = plan.buffer("first", 16), second = plan.buffer("second", 16);
  plan.step("fill", {first}, [&](const Plan::Memory& memory) { device_->fill(memory[first], 7, 16, memory.stream); });
  plan.step("fill again", {second},
            [&](const Plan::Memory& memory) { device_->fill(memory[second], 8, 16, memory.stream); });
  plan.finish();
  std::string seen;
  plan.run_observed([&](size_t index, const std::string& name, double seconds, const Plan::Memory& memory) {
    const Buffer buffer = index == 0 ? first : second;
    seen += fmt::format("{} {} {}; ", index, name, download(memory[buffer], 16).back());
    EXPECT_GE(seconds, 0);
    expect_error([&] { memory[index == 0 ? second : first]; }, "without declaring it");
  });
  EXPECT_EQ(seen, "0 fill 7; 1 fill again 8; ");
}

TEST_P(PlanTest, passes_the_stream_on) {
  Plan plan(*device_);
  Stream seen;
  plan.step("look", {}, [&](const Plan::Memory& memory) { seen = memory.stream; });
  plan.finish();
  int handle = 0;
  plan.run({&handle});
  EXPECT_EQ(seen.handle, &handle);
}

TEST_P(PlanTest, buffers_that_do_not_overlap_in_time_share_memory) {
  Plan plan(*device_);
  const Buffer first = plan.buffer("first", 1000), second = plan.buffer("second", 1000),
               third = plan.buffer("third", 900);
  uint8_t *a = nullptr, *b = nullptr, *c = nullptr;
  plan.step("0", {first, second}, [&](const Plan::Memory& memory) { a = memory[first], b = memory[second]; });
  plan.step("1", {second, third}, [&](const Plan::Memory& memory) { c = memory[third]; });
  plan.finish();
  plan.run();
  EXPECT_EQ(a, c);
  EXPECT_NE(a, b);
  EXPECT_EQ(plan.arena_bytes(), 2048u);     // 1000 rounded up to 256, twice
  EXPECT_EQ(plan.unshared_bytes(), 3072u);  // three times
}

// Random plans: the lifetimes are known here by construction, and the addresses that the steps see must not overlap
// where the lifetimes do. Each step writes its buffers and checks that the others which are alive still hold their
// content.
TEST_P(PlanTest, random_plans_never_mix_buffers_up) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Random random(seed);
    Plan plan(*device_);
    const int steps = 1 + static_cast<int>(random.below(12)), count = 1 + static_cast<int>(random.below(20));
    struct Known {
      Buffer buffer;
      size_t bytes = 0;
      int first = 0, last = 0;
      bool lasting = false;
      uint8_t* address = nullptr;
    };
    std::vector<Known> known(count);
    std::vector<std::vector<Buffer>> uses(steps);
    for (int i = 0; i < count; ++i) {
      Known& k = known[i];
      k.bytes = random.below(5000);
      k.first = static_cast<int>(random.below(steps));
      k.last = k.first + static_cast<int>(random.below(steps - k.first));
      k.lasting = random.chance(0.2f);
      const std::string name = std::to_string(i);
      k.buffer = k.lasting ? plan.lasting_buffer(name, k.bytes) : plan.buffer(name, k.bytes);
      uses[k.first].push_back(k.buffer);
      uses[k.last].push_back(k.buffer);
    }
    const auto content = [](int index) { return static_cast<uint8_t>(index + 1); };
    for (int step = 0; step < steps; ++step)
      plan.step(std::to_string(step), uses[step], [&, step](const Plan::Memory& memory) {
        for (int i = 0; i < count; ++i) {
          Known& k = known[i];
          if (k.last == step && k.first < step) {
            EXPECT_EQ(memory[k.buffer], k.address);
            const auto bytes = download(k.address, k.bytes);
            EXPECT_EQ(std::count(bytes.begin(), bytes.end(), content(i)), static_cast<int64_t>(k.bytes))
                << "buffer " << i;
          }
          if (k.first == step) {
            k.address = memory[k.buffer];
            device_->fill(k.address, content(i), k.bytes);
          }
        }
      });
    plan.finish();
    plan.run();
    for (const Known& a : known) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(a.address) % 256, 0u);
      for (const Known& b : known) {
        const bool both_live = &a != &b && (a.lasting || b.lasting || (a.first <= b.last && b.first <= a.last));
        if (both_live && a.bytes && b.bytes) {
          EXPECT_TRUE(a.address + a.bytes <= b.address || b.address + b.bytes <= a.address);
        }
      }
    }
    EXPECT_LE(plan.arena_bytes(), plan.unshared_bytes());
  }
}

TEST_P(PlanTest, undeclared_use_is_an_error) {
  Plan plan(*device_);
  const Buffer declared = plan.buffer("declared", 16), other = plan.buffer("other", 16);
  plan.step("greedy", {declared, other}, kNothing);
  plan.step("forgetful", {declared}, [&](const Plan::Memory& memory) { memory[other]; });
  plan.finish();
  expect_error([&] { plan.run(); }, "'other' without declaring it");
}

TEST_P(PlanTest, buffers_that_are_not_there_are_ignored) {
  Plan plan(*device_);
  const Buffer none, some = plan.buffer("some", 16);
  bool null_seen = false;
  plan.step("optional", {none, some}, [&](const Plan::Memory& memory) {
    null_seen = memory.f32_or_null(none) == nullptr && memory.f32_or_null(some) == memory.f32(some);
  });
  plan.finish();
  plan.run();
  EXPECT_TRUE(null_seen);

  Plan faulty(*device_);
  faulty.step("uses none", {}, [&](const Plan::Memory& memory) { memory[none]; });
  faulty.finish();
  expect_error([&] { faulty.run(); }, "(none)");
}

TEST_P(PlanTest, lasting_buffers_keep_their_content) {
  Plan plan(*device_);
  const Buffer state = plan.lasting_buffer("state", 700), scratch = plan.buffer("scratch", 5000);
  plan.step("write", {scratch},
            [&](const Plan::Memory& memory) { device_->fill(memory[scratch], 9, 5000, memory.stream); });
  plan.finish();
  device_->fill(plan.address(state), 5, 700);
  plan.run();
  plan.poison(0xff);
  plan.run();
  EXPECT_EQ(download(plan.address(state), 700), std::vector<uint8_t>(700, 5));
}

TEST_P(PlanTest, poison_reaches_all_other_memory) {
  Plan plan(*device_);
  const Buffer a = plan.buffer("a", 300), state = plan.lasting_buffer("state", 300), b = plan.buffer("b", 4000);
  std::vector<uint8_t> seen;
  plan.step("look", {a, b, state}, [&](const Plan::Memory& memory) {
    for (const auto& [buffer, bytes] : {std::pair{a, 300}, std::pair{b, 4000}}) {
      const auto content = download(memory[buffer], bytes);
      seen.insert(seen.end(), content.begin(), content.end());
    }
  });
  plan.finish();
  plan.poison(0xee);
  plan.run();
  EXPECT_EQ(seen, std::vector<uint8_t>(4300, 0xee));
}

TEST_P(PlanTest, external_buffers_keep_their_address) {
  DeviceMemory parameters(*device_, 64);
  Plan plan(*device_);
  const Buffer external = plan.external_buffer("parameters", parameters.data(), 64);
  uint8_t* seen = nullptr;
  plan.step("look", {external}, [&](const Plan::Memory& memory) { seen = memory[external]; });
  plan.finish();
  device_->fill(parameters.data(), 3, 64);
  plan.poison(0xff);
  plan.run();
  EXPECT_EQ(seen, parameters.data());
  EXPECT_EQ(plan.address(external), parameters.data());
  EXPECT_EQ(download(parameters.data(), 64), std::vector<uint8_t>(64, 3));
  EXPECT_EQ(plan.unshared_bytes(), 0u);
}

TEST_P(PlanTest, tensors_have_the_size_of_their_layout) {
  Plan plan(*device_);
  const TensorDesc desc{{2, 3, 4, 5}, DataType::float32, 8};
  const PlanTensor passing = plan.tensor("passing", desc), lasting = plan.lasting_tensor("lasting", desc);
  plan.step("look", {passing.buffer}, [&](const Plan::Memory& memory) {
    EXPECT_EQ(memory.tensor(passing).desc, desc);
    EXPECT_EQ(memory.tensor(passing).data, memory[passing.buffer]);
  });
  plan.finish();
  plan.run();
  EXPECT_EQ(plan.tensor(lasting).data, plan.address(lasting.buffer));
  EXPECT_EQ(plan.arena_bytes(), 2 * 768u);  // 2 x 3 x 4 x 8 floats
}

TEST_P(PlanTest, misuse_is_an_error) {
  Plan plan(*device_);
  const Buffer passing = plan.buffer("passing", 16);
  plan.step("one", {passing}, kNothing);
  expect_error([&] { plan.run(); }, "before finish()");
  expect_error([&] { plan.run_observed([](size_t, const std::string&, double, const Plan::Memory&) {}); },
               "before finish()");
  expect_error([&] { plan.address(passing); }, "before finish()");
  plan.finish();
  expect_error([&] { plan.finish(); }, "twice");
  expect_error([&] { plan.buffer("late", 16); }, "'late' was added after finish()");
  expect_error([&] { plan.step("late", {}, kNothing); }, "'late' was added after finish()");
  expect_error([&] { plan.address(passing); }, "'passing' has an address only while its steps run");
}

TEST_P(PlanTest, report_lists_the_buffers) {
  Plan plan(*device_);
  const Buffer a = plan.buffer("activations", 1000);
  plan.lasting_buffer("weights", 2000);
  plan.buffer("never used", 10);
  plan.step("0", {}, kNothing);
  plan.step("1", {a}, kNothing);
  plan.finish();
  const std::string report = plan.report();
  EXPECT_NE(report.find("activations"), std::string::npos);
  EXPECT_NE(report.find("weights"), std::string::npos);
  EXPECT_EQ(report.find("never used"), std::string::npos);
  EXPECT_NE(report.find("2 steps"), std::string::npos);
}

TEST_P(PlanTest, an_empty_plan_runs) {
  Plan plan(*device_);
  plan.finish();
  plan.run();
  plan.poison(0);
  EXPECT_EQ(plan.arena_bytes(), 0u);
}

}  // namespace
}  // namespace sandglass
