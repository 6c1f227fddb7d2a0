// Stand-ins for cuDNN and cuBLAS where there is no GPU: with them the simt device's convolutions are "by libraries", so
// that everything around the libraries' calls (kernels/conv/conv_library_cuda.cu) is tested. They compute what the
// libraries' documentation says, one result a thread.
#pragma once

#include "engine/device.h"

namespace sandglass::test {

/// What SANDGLASS_TEST_CONV says, hand if it is not set: whose convolutions the tests are to test.
ConvLibrary tested_conv_library();

/// Opens a device whose convolutions are by the library: by the real one on cuda, by its stand-in on simt. The cpu
/// device has its own in any case.
std::unique_ptr<Device> open_device_with(ConvLibrary library, DeviceKind kind, Precision precision = Precision::fp32);

}  // namespace sandglass::test
