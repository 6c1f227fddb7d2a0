// In which order the emulator runs CUDA threads: that of the simt device.
#pragma once

#include "engine/simt_order.h"
