#include "kernels/simt/mbarrier.h"

#include <cstring>

#include "engine/error.h"
#include "kernels/simt/block.h"
#include "kernels/simt/thread_sanitizer.h"

namespace sandglass::simt {
namespace {

// Shared memory that nobody has initialised is all ones: a number of arrivals that init never stores.
struct State {
  int32_t missing_bytes;
  uint16_t arrivals;  // of a phase
  uint16_t missing_arrivals : 15;
  uint16_t parity : 1;  // of the current phase
};
static_assert(sizeof(State) == sizeof(uint64_t));
constexpr int kMostArrivals = 0x7fff;

State load(const uint64_t* barrier, const char* what, CallSite site) {
  State state;
  std::memcpy(&state, barrier, sizeof(state));
  if (state.arrivals < 1 || state.arrivals > kMostArrivals)
    fail("{} ({}): the mbarrier is not initialised, or was overwritten", what, to_text(site));
  return state;
}

// Ends the phase if nothing is missing.
void store(uint64_t* barrier, State state) {
  const bool complete = state.missing_arrivals == 0 && state.missing_bytes == 0;
  if (complete) {
    state.parity ^= 1;
    state.missing_arrivals = state.arrivals;
  }
  std::memcpy(barrier, &state, sizeof(state));
  if (complete) Block::running()->wake(barrier);
}

// Stands for a phase in ThreadSanitizer: what arrives happened before what waits for it.
const void* phase(const uint64_t* barrier, int parity) { return reinterpret_cast<const char*>(barrier) + parity; }

}  // namespace

void mbarrier_init(uint64_t* barrier, int arrivals, CallSite site) {
  check(arrivals >= 1 && arrivals <= kMostArrivals, "mbarrier.init ({}): {} arrivals, they must be 1 to {}",
        to_text(site), arrivals, kMostArrivals);
  const State state{0, static_cast<uint16_t>(arrivals), static_cast<uint16_t>(arrivals), 0};
  std::memcpy(barrier, &state, sizeof(state));
  const Unwatched unwatched;
  Block::running()->unfenced_mbarriers().insert(barrier);
}

void fence_mbarrier_init() {
  const Unwatched unwatched;
  Block::running()->unfenced_mbarriers().clear();
}

void mbarrier_expect(uint64_t* barrier, int bytes, CallSite site) {
  State state = load(barrier, "mbarrier.expect_tx", site);
  state.missing_bytes += bytes;
  // The arrival that follows ends the phase, never the expectation.
  std::memcpy(barrier, &state, sizeof(state));
}

void mbarrier_arrive(uint64_t* barrier, CallSite site) {
  State state = load(barrier, "mbarrier.arrive", site);
  if (state.missing_arrivals == 0)
    fail("mbarrier.arrive ({}): all {} arrivals of the phase have been", to_text(site), state.arrivals);
  --state.missing_arrivals;
  release(phase(barrier, state.parity));
  store(barrier, state);
}

void mbarrier_wait(uint64_t* barrier, int parity, CallSite site) {
  while (load(barrier, "mbarrier.try_wait", site).parity == (parity & 1))
    Block::running()->wait_for(barrier, "mbarrier.try_wait", site);
  acquire(phase(barrier, parity & 1));
}

void check_mbarrier_for_copy(const uint64_t* barrier, CallSite site) {
  load(barrier, "cp.async.bulk.tensor", site);
  check(!Block::running()->unfenced_mbarriers().contains(barrier),
        "cp.async.bulk.tensor ({}): no fence has made the mbarrier's initialisation known to asynchronous copies",
        to_text(site));
}

void mbarrier_complete(uint64_t* barrier, int bytes) {
  State state;
  std::memcpy(&state, barrier, sizeof(state));
  state.missing_bytes -= bytes;
  store(barrier, state);
}

}  // namespace sandglass::simt
