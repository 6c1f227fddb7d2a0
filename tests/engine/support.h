// What the tests of files share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/random.h"
#include "tests/temporary_folder.h"

namespace sandglass::testing {

using sandglass::TemporaryFolder;

/// Expects that `act` throws Error with a one-line message that contains every one of `parts`.
template <typename... Parts>
void expect_error(const std::function<void()>& act, const Parts&... parts) {
  try {
    act();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), message.npos) << message;
    EXPECT_LT(message.size(), 1000u) << message;
    for (const std::string_view part : {std::string_view(parts)...}) {
      EXPECT_NE(message.find(part), message.npos) << "\"" << part << "\" is missing from: " << message;
    }
    return;
  }
  ADD_FAILURE() << "no Error, expected one with" << ((std::string(" \"") + std::string(parts) + "\"") + ...);
}

/// Flips, inserts or deletes some bytes of `content`; parse(damaged) may succeed or throw Error, nothing else.
inline void expect_robust(const std::string& content, int rounds, uint64_t seed,
                          const std::function<void(const std::string&)>& parse) {
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    Random random(seed, static_cast<uint64_t>(round));
    std::string damaged = content;
    const uint32_t changes = 1 + random.below(4);
    for (uint32_t i = 0; i < changes; ++i) {
      const uint32_t position = random.below(static_cast<uint32_t>(damaged.size()));
      switch (random.below(4)) {
        case 0:
          damaged[position] = static_cast<char>(damaged[position] ^ (1 << random.below(8)));
          break;
        case 1:
          damaged[position] = static_cast<char>(random.below(256));
          break;
        case 2:
          damaged.insert(position, 1, static_cast<char>(random.below(256)));
          break;
        default:
          damaged.erase(position, 1);
          break;
      }
    }
    try {
      parse(damaged);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, rounds / 10) << "hardly any damage was noticed: does the reader check anything?";
}

/// parse() must throw Error for every proper prefix of `content`.
inline void expect_every_prefix_refused(const std::string& content,
                                        const std::function<void(const std::string&)>& parse) {
  for (size_t length = 0; length < content.size(); ++length) {
    EXPECT_THROW(parse(content.substr(0, length)), Error)
        << "with the first " << length << " of " << content.size() << " bytes";
  }
}

}  // namespace sandglass::testing
