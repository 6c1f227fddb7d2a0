// The pieces that pages are made of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sandglass {

/// Text as it stands in HTML and in attributes; broken UTF-8 is shown as by in_quotes.
std::string escaped(std::string_view text);

/// With so many decimals, a real minus sign, and a dash where it is not defined (NaN).
std::string number_text(double value, int decimals);

/// The class of the colour with this index: "c0" to "c7", from the ninth on dashed, too ("c0 dashed").
std::string colour_class(size_t index);

/// A heading with what belongs to it.
std::string section(const std::string& title, const std::string& content);

/// A table whose cells are HTML; the first row is its head, the first column names the rows. Wide ones scroll by
/// themselves. `numbers`: the columns but the first are numbers.
std::string table(const std::vector<std::vector<std::string>>& rows, bool numbers);

/// A whole page: one file that asks nothing of the network, for any width, light and dark.
std::string page(const std::string& title, const std::string& subtitle, const std::string& content);

}  // namespace sandglass
