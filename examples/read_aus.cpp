// Prints the Action Units of the faces in pictures (JPEG, PNG or BMP), with two threads that share the model.
//   read_aus WEIGHTS [--registered] PICTURE...
#include <sandglass.hpp>

#include <atomic>
#include <cstdio>
#include <thread>

namespace {

std::string line(const sandglass::Model& model, const std::string& picture, size_t number,
                 const sandglass::Face& face) {
  std::string text = picture + "," + std::to_string(number);
  char value[64];
  for (size_t k = 0; k < face.aus.size(); ++k) {
    const sandglass::Au& au = face.aus[k];
    std::snprintf(value, sizeof value, "=%.3f", static_cast<double>(au.intensity));
    text += "," + model.aus()[k] + value;
    if (!au.place) continue;
    std::snprintf(value, sizeof value, " at %.2f %.2f", static_cast<double>(au.place->x),
                  static_cast<double>(au.place->y));
    text += value;
  }
  return text + "\n";
}

int run(const std::string& weights, bool registered, const std::vector<std::string>& names) {
  sandglass::Options options;
  options.detection = !registered;  // loading the detector takes half a second
  options.threads = 1;              // each context computes in its own thread
  const sandglass::Model model(weights, options);

  std::vector<std::string> texts(names.size());  // what is to be printed of each picture, or its error
  std::atomic<size_t> next{0}, failures{0};
  const auto work = [&](sandglass::Context& context) {
    for (size_t i = next++; i < names.size(); i = next++) {
      try {
        const sandglass::Picture picture(names[i]);
        std::vector<sandglass::Face> faces;
        if (registered) {
          faces.push_back(context.read_registered(picture));
        } else {
          faces = context.read(picture);
        }
        for (size_t face = 0; face < faces.size(); ++face) texts[i] += line(model, names[i], face, faces[face]);
      } catch (const std::exception& error) {
        texts[i] = std::string("error: ") + error.what() + "\n";
        ++failures;
      }
    }
  };
  sandglass::Context first(model), second(model);
  std::thread other([&] { work(second); });
  work(first);
  other.join();
  for (const std::string& text : texts) std::fputs(text.c_str(), stdout);
  return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::string> names(arguments + 1, arguments + count);
  const bool registered = names.size() > 1 && names[1] == "--registered";
  if (names.size() < (registered ? 3 : 2)) {
    std::fprintf(stderr, "usage: read_aus WEIGHTS [--registered] PICTURE...\n");
    return 2;
  }
  const std::string weights = names[0];
  names.erase(names.begin(), names.begin() + (registered ? 2 : 1));
  try {
    return run(weights, registered, names);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "read_aus: error: %s\n", error.what());
    return 1;
  }
}
