// Streams, events, copies and graphs behave as on a GPU, and what a program forgets to wait for is noticed.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/simt/support.h"

namespace sandglass::test {
namespace {

__global__ void set(float* x, float value) { x[threadIdx.x] = value; }
__global__ void add(const float* x, float* y, float value) { y[threadIdx.x] = x[threadIdx.x] + value; }
__global__ void wait_for_nobody() {
  if (threadIdx.x == 0) __syncthreads();
}

constexpr int kCount = 4;
constexpr size_t kBytes = kCount * sizeof(float);

class Streams : public InThreadOrder {
 protected:
  std::vector<float> download(const DeviceMemory& memory, Stream stream = {}) {
    std::vector<float> values(kCount);
    device_->copy_to_host(values.data(), memory.data(), kBytes, stream);
    device_->synchronize(stream);
    return values;
  }
  static std::vector<float> all(float value) { return std::vector<float>(kCount, value); }

  const std::unique_ptr<Device> device_ = open_device(DeviceKind::simt);
  const DeviceMemory x_{*device_, kBytes}, y_{*device_, kBytes};
};
INSTANTIATE_TEST_SUITE_P(Orders, Streams, all_thread_orders(), thread_order_name);

TEST_P(Streams, work_is_done_when_the_host_waits) {
  const StreamOwner stream(*device_);
  const PinnedMemory result(*device_, kBytes);
  float value = 1;
  launch(KERNEL(set), 1, kCount, 0, stream, result.f32(), value);
  value = 2;  // the kernel has its own copy
  EXPECT_TRUE(std::isnan(result.f32()[0]));
  device_->synchronize(stream);
  EXPECT_EQ(result.f32()[0], 1);
}

TEST_P(Streams, results_are_nan_until_the_host_waits) {
  std::vector<float> result(kCount, 5);
  launch(KERNEL(set), 1, kCount, 0, {}, x_.f32(), 1.0f);
  device_->copy_to_host(result.data(), x_.data(), kBytes);
  EXPECT_TRUE(std::isnan(result[0]));
  device_->synchronize();
  EXPECT_EQ(result, all(1));
}

TEST_P(Streams, pageable_memory_is_read_at_once_and_pinned_memory_late) {
  std::vector<float> pageable(kCount, 1);
  const PinnedMemory pinned(*device_, kBytes);
  std::fill_n(pinned.f32(), kCount, 1);
  device_->copy_to_device(x_.data(), pageable.data(), kBytes);
  device_->copy_to_device(y_.data(), pinned.data(), kBytes);
  pageable = all(2);
  std::fill_n(pinned.f32(), kCount, 2);
  EXPECT_EQ(download(x_), all(1));
  EXPECT_EQ(download(y_), all(2)) << "the copy was not waited for";
}

TEST_P(Streams, pinned_memory_that_is_still_to_be_read_keeps_its_content) {
  const PinnedMemory pinned(*device_, kBytes);
  std::fill_n(pinned.f32(), kCount, 1);
  device_->copy_to_device(x_.data(), pinned.data(), kBytes);
  launch(KERNEL(add), 1, kCount, 0, {}, x_.f32(), y_.f32(), 1.0f);
  device_->copy_to_host(pinned.data(), y_.data(), kBytes);
  device_->synchronize();
  EXPECT_EQ(pinned.f32()[0], 2);
}

// One stream writes x, another reads it.
std::vector<float> pass_on(Device& device, const DeviceMemory& x, const DeviceMemory& y, bool wait) {
  const StreamOwner writer(device), reader(device);
  const auto written = device.create_event();
  launch(KERNEL(set), 1, kCount, 0, writer, x.f32(), 1.0f);
  written->record(writer);
  if (wait) written->hold(reader);
  launch(KERNEL(add), 1, kCount, 0, reader, x.f32(), y.f32(), 1.0f);
  std::vector<float> result(kCount);
  device.copy_to_host(result.data(), y.data(), kBytes, reader);
  device.synchronize(reader);
  return result;
}

TEST_P(Streams, event_orders_reader_after_writer) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(pass_on(*device_, x_, y_, true), all(2));
}

TEST_P(Streams, missing_event_is_noticed) {
  int wrong = 0;
  for (int i = 0; i < 20; ++i) {
    run(KERNEL(set), 1, kCount, 0, x_.f32(), NAN);
    wrong += std::isnan(pass_on(*device_, x_, y_, false)[0]);
  }
  EXPECT_GE(wrong, GetParam().order == simt::Order::random ? 1 : 20);
}

TEST_P(Streams, faults_are_thrown_by_the_host_that_waits) {
  const StreamOwner stream(*device_);
  launch(KERNEL(wait_for_nobody), 1, 2, 0, stream);
  launch(KERNEL(set), 1, kCount, 0, stream, x_.f32(), 1.0f);
  try {
    device_->synchronize(stream);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("kernel 'wait_for_nobody', block (0, 0, 0), thread (0, 0, 0): waits in"),
              std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(std::isnan(download(x_)[0])) << "what follows a fault is not done";
  device_->synchronize(stream);
}

TEST_P(Streams, fault_in_work_that_free_waits_for_is_thrown_later) {
  {
    const DeviceMemory memory(*device_, kBytes);
    launch(KERNEL(wait_for_nobody), 1, 2, 0, {});
  }
  EXPECT_THROW(device_->synchronize(), Error);
  EXPECT_NO_THROW(device_->synchronize());
}

TEST_P(Streams, launch_over_the_limits_is_thrown_at_once) {
  EXPECT_THROW(launch(KERNEL(set), 1, 2000, 0, {}, x_.f32(), 1.0f), Error);
}

TEST_P(Streams, destroyed_stream_is_an_error_and_its_work_is_done) {
  const Stream stream = device_->create_stream();
  launch(KERNEL(set), 1, kCount, 0, stream, x_.f32(), 1.0f);
  const auto done = device_->create_event();
  done->record(stream);
  device_->destroy_stream(stream);
  EXPECT_THROW(launch(KERNEL(set), 1, kCount, 0, stream, x_.f32(), 1.0f), Error);
  done->synchronize();
  EXPECT_EQ(download(x_), all(1));
}

TEST_P(Streams, time_between_events_is_known_once_they_are_reached) {
  const auto begin = device_->create_event(), end = device_->create_event();
  begin->record();
  launch(KERNEL(set), 1, kCount, 0, {}, x_.f32(), 1.0f);
  end->record();
  EXPECT_THROW(end->milliseconds_since(*begin), Error);
  end->synchronize();
  EXPECT_GT(end->milliseconds_since(*begin), 0);
}

TEST_P(Streams, graph_keeps_its_arguments) {
  float value = 1;
  const auto graph = device_->capture([&](Stream stream) {
    launch(KERNEL(set), 1, kCount, 0, stream, x_.f32(), value);
    launch(KERNEL(add), 1, kCount, 0, stream, x_.f32(), y_.f32(), value);
  });
  value = 5;
  EXPECT_TRUE(std::isnan(download(y_)[0])) << "nothing has run";
  for (int i = 0; i < 3; ++i) {
    run(KERNEL(set), 1, kCount, 0, x_.f32(), 9);
    graph->launch();
    EXPECT_EQ(download(y_), all(2));
  }
}

TEST_P(Streams, launches_of_a_graph_do_not_overlap) {
  const StreamOwner first(*device_), second(*device_);
  const auto graph = device_->capture([&](Stream stream) {
    launch(KERNEL(add), 1, kCount, 0, stream, x_.f32(), y_.f32(), 1.0f);
    launch(KERNEL(add), 1, kCount, 0, stream, y_.f32(), x_.f32(), 1.0f);
  });
  run(KERNEL(set), 1, kCount, 0, x_.f32(), 0);
  graph->launch(first);
  graph->launch(second);
  EXPECT_EQ(download(x_, second), all(4));
}

TEST_P(Streams, graph_can_be_part_of_a_graph) {
  const auto inner =
      device_->capture([&](Stream stream) { launch(KERNEL(add), 1, kCount, 0, stream, x_.f32(), x_.f32(), 1.0f); });
  const auto outer = device_->capture([&](Stream stream) {
    launch(KERNEL(set), 1, kCount, 0, stream, x_.f32(), 5.0f);
    inner->launch(stream);
    inner->launch(stream);
  });
  outer->launch();
  EXPECT_EQ(download(x_), all(7));
}

TEST_P(Streams, what_cannot_be_captured_is_an_error) {
  const StreamOwner side(*device_);
  const auto inside = device_->create_event(), outside = device_->create_event();
  outside->record(side);
  const auto error = [&](const std::function<void(Stream)>& work) -> std::string {
    try {
      device_->capture(work);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  std::vector<float> pageable(kCount);
  const auto set_x = [&](Stream stream) { launch(KERNEL(set), 1, kCount, 0, stream, x_.f32(), 1.0f); };
  EXPECT_EQ(error(set_x), "no error");
  EXPECT_EQ(error([&](Stream stream) { device_->synchronize(stream); }),
            "simt device: Device::synchronize in a capture, where nothing runs");
  EXPECT_EQ(error([&](Stream) { outside->synchronize(); }),
            "simt device: Event::synchronize in a capture, where nothing runs");
  EXPECT_EQ(error([&](Stream) { DeviceMemory(*device_, 4); }),
            "simt device: Device::allocate in a capture, where nothing runs");
  DeviceMemory freed(*device_, 4);
  EXPECT_EQ(error([&](Stream) { DeviceMemory(std::move(freed)); }), "simt device: Device::free in a capture");
  EXPECT_EQ(error([&](Stream stream) { device_->copy_to_device(x_.data(), pageable.data(), kBytes, stream); }),
            "simt device: copy to the device, which is captured: the host's memory must be pinned "
            "(Device::allocate_pinned)");
  EXPECT_EQ(error([&](Stream) { set_x({}); }),
            "simt device: kernel 'set' on a stream that is not captured, while another one is: it would not be in the "
            "graph");
  EXPECT_EQ(error([&](Stream stream) { outside->hold(stream); }),
            "simt device: an event that was recorded outside of a capture holds a captured stream");
  EXPECT_EQ(error([&](Stream stream) {
              inside->record(stream);
              inside->hold(side);
              set_x(side);
            }),
            "simt device: kernel 'set' was captured on a stream that no event joins to the first one again");
  EXPECT_THROW(inside->hold(side), Error) << "the capture has ended";
  EXPECT_THROW(inside->synchronize(), Error);
  EXPECT_EQ(error(set_x), "no error");
  set_x(side);
  EXPECT_EQ(download(x_, side), all(1)) << "the stream is itself again";
}

TEST(HostAccess, to_device_memory_is_noticed) {
  const auto device = open_device(DeviceKind::simt);
  const DeviceMemory x(*device, kBytes);
  run(KERNEL(set), 1, kCount, 0, x.f32(), 1);
  [[maybe_unused]] volatile float value = 0;
  const char* const report = "sandglass: simt: the host accessed device memory: byte 8 of allocation [0-9]+ .16 bytes.";
  EXPECT_DEATH(value = x.f32()[2], report);
  EXPECT_DEATH(x.f32()[2] = 1, report);
}

}  // namespace
}  // namespace sandglass::test
