#include "train/report/html.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/tensor_file.h"
#include "train/report/style.h"

namespace sandglass {
namespace {

constexpr size_t kColours = 8;

}  // namespace

std::string escaped(std::string_view text) {
  if (!is_utf8(text)) return escaped(in_quotes(text));
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string number_text(double value, int decimals) {
  if (!std::isfinite(value)) return "–";
  const std::string text = fmt::format("{:.{}f}", std::abs(value), decimals);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return value < 0 && !zero ? "−" + text : text;
}

std::string colour_class(size_t index) {
  return fmt::format("c{}{}", index % kColours, index >= kColours ? " dashed" : "");
}

std::string section(const std::string& title, const std::string& content) {
  return fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", escaped(title), content);
}

std::string table(const std::vector<std::vector<std::string>>& rows, bool numbers) {
  std::string out = fmt::format("<div class=\"scroll\"><table{}>\n", numbers ? " class=\"numbers\"" : "");
  for (size_t r = 0; r < rows.size(); ++r) {
    out += r == 0 ? "<thead><tr>" : "<tr>";
    for (size_t c = 0; c < rows[r].size(); ++c) {
      const bool head = r == 0 || c == 0;
      out += head ? fmt::format("<th scope=\"{}\">{}</th>", r == 0 ? "col" : "row", rows[r][c])
                  : fmt::format("<td>{}</td>", rows[r][c]);
    }
    out += r == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string page(const std::string& title, const std::string& subtitle, const std::string& content) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{0}</title>\n<style>\n{1}</style>\n</head>\n<body>\n"
      "<header>\n<h1>{0}</h1>\n<p>{2}</p>\n</header>\n<main>\n{3}</main>\n</body>\n</html>\n",
      escaped(title), kStyle, subtitle, content);
}

}  // namespace sandglass
