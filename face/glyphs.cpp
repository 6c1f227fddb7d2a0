#include "face/glyphs.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace sandglass {
namespace {

// Each glyph is a list of strokes, separated by spaces. A stroke is a list of places, two digits each (base 36: a =
// 10): x from the left and y from the top, where capitals and digits reach from 0 to c, small letters from 4 to c,
// descenders to g. A stroke starts at its first place and ends at its last; the places between pull it towards them (a
// quadratic B-spline), so that "004080" is straight and "0080" followed by "8088" has a corner.
struct Drawing {
  char letter;
  std::string_view strokes;
};

constexpr Drawing kDrawings[] = {
    {'A', "0c40 408c 1878"},
    {'B', "000c 004070764606 0646868c4c0c"},
    {'C', "8370000c7c89"},
    {'D', "000c 0030808c3c0c"},
    {'E', "7000 000c 0c7c 0666"},
    {'F', "7000 000c 0666"},
    {'G', "8370000c8c86 8656"},
    {'H', "000c 808c 0686"},
    {'I', "000c"},
    {'J', "60686c0c09"},
    {'K', "000c 8007 348c"},
    {'L', "000c 0c7c"},
    {'M', "0c00 0058 58a0 a0ac"},
    {'N', "0c00 008c 8c80"},
    {'O', "40909c0c0040"},
    {'P', "000c 004080874707"},
    {'Q', "40909c0c0040 599d"},
    {'R', "000c 004080864606 468c"},
    {'S', "82700006868c1c0a"},
    {'T', "0080 404c"},
    {'U', "00070c8c8780"},
    {'V', "004c 4c80"},
    {'W', "003c 3c62 629c 9cc0"},
    {'X', "008c 800c"},
    {'Y', "0046 8046 464c"},
    {'Z', "0080 800c 0c8c"},
    {'a', "7874040c7c78 747c"},
    {'b', "000c 0804747c0c08"},
    {'c', "6664040c6c6a"},
    {'d', "707c 7874040c7c78"},
    {'e', "0878 7874040c6c7a"},
    {'f', "5020232c 0454"},
    {'g', "7874040c7c78 747c7g1g0e"},
    {'h', "000c 080464686c"},
    {'i', "040c 0101"},
    {'j', "242d2g0g 2121"},
    {'k', "000c 6409 276c"},
    {'l', "000c"},
    {'m', "040c 080454585c 5854a4a8ac"},
    {'n', "040c 080464686c"},
    {'o', "34747c0c0434"},
    {'p', "040g 0804747c0c08"},
    {'q', "747g 7874040c7c78"},
    {'r', "040c 080444"},
    {'s', "66640408686c0c0a"},
    {'t', "21292c5c 0454"},
    {'u', "04080c6c68 646c"},
    {'v', "043c 3c64"},
    {'w', "043c 3c55 557c 7ca4"},
    {'x', "046c 640c"},
    {'y', "043c 642f"},
    {'z', "0464 640c 0c6c"},
    {'0', "30707c0c0030"},
    {'1', "1340 404c"},
    {'2', "031070760c 0c7c"},
    {'3', "0210707636 36767c1c0a"},
    {'4', "505c 5008 0878"},
    {'5', "6010 1006 0624747c1c0a"},
    {'6', "600308 0805757c0c08"},
    {'7', "0070 702c"},
    {'8', "131060661613 0906767c0c09"},
    {'9', "1c7974 747707007074"},
    {'.', "0c0c"},
    {',', "1c0e"},
    {':', "0606 0c0c"},
    {';', "1616 1c0e"},
    {'!', "0008 0c0c"},
    {'?', "0300707538 3838 3c3c"},
    {'-', "0747"},
    {'_', "0d7d"},
    {'+', "0767 343a"},
    {'=', "0565 0969"},
    {'*', "3137 0265 6205"},
    {'/', "0d60"},
    {'\\', "006d"},
    {'|', "000e"},
    {'(', "30030b3e"},
    {')', "00333b0e"},
    {'[', "3000 000e 0e3e"},
    {']', "0030 303e 3e0e"},
    {'{', "402027 1727 07 2729272e4e"},
    {'}', "002027 2737 2729272e0e"},
    {'<', "6307 076b"},
    {'>', "0367 670b"},
    {'#', "301c 704c 0474 0878"},
    {'%', "800c 2040430310 20 6a 595c8c89"},
    {'&', "8c1300507206 060c7c87"},
    {'@', "9c0c00a0a8 767434387876"},
    {'$', "82700006868c1c0a 4e40"},
    {'^', "0430 3064"},
    {'~', "0804393a66"},
    {'\'', "0003"},
    {'"', "0003 3033"},
    {'`', "0022"},
};
constexpr std::string_view kBox = "0070 707c 7c0c 0c00";

float coordinate(char digit) { return static_cast<float>(digit <= '9' ? digit - '0' : digit - 'a' + 10); }

Point middle(Point a, Point b) { return {(a.x + b.x) / 2, (a.y + b.y) / 2}; }

// Appends the quadratic Bezier curve from `a` to `b`, pulled by `control`, as short segments.
void append_curve(Point a, Point control, Point b, std::vector<Segment>& segments) {
  constexpr int kPieces = 6;
  Point last = a;
  for (int i = 1; i <= kPieces; ++i) {
    const float t = static_cast<float>(i) / kPieces, s = 1 - t;
    const Point next{s * s * a.x + 2 * s * t * control.x + t * t * b.x,
                     s * s * a.y + 2 * s * t * control.y + t * t * b.y};
    segments.push_back({last, next});
    last = next;
  }
}

void append_stroke(std::string_view digits, std::vector<Segment>& segments) {
  std::vector<Point> places;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    places.push_back({coordinate(digits[i]), coordinate(digits[i + 1]) - kGlyphHeight});
  if (places.size() < 3) {
    segments.push_back({places.front(), places.back()});
    return;
  }
  Point begin = places[0];
  for (size_t i = 1; i + 1 < places.size(); ++i) {
    const bool last = i + 2 == places.size();
    const Point end = last ? places[i + 1] : middle(places[i], places[i + 1]);
    append_curve(begin, places[i], end, segments);
    begin = end;
  }
}

Glyph make_glyph(std::string_view strokes) {
  constexpr float kSpacing = 3.2f;
  Glyph glyph;
  float right = 0;
  while (!strokes.empty()) {
    const size_t end = std::min(strokes.find(' '), strokes.size());
    append_stroke(strokes.substr(0, end), glyph.segments);
    strokes.remove_prefix(std::min(end + 1, strokes.size()));
  }
  for (const Segment& segment : glyph.segments) right = std::max({right, segment.from.x, segment.to.x});
  glyph.advance = right + kSpacing;
  return glyph;
}

std::array<Glyph, 128> make_font() {
  std::array<Glyph, 128> font;
  font.fill(make_glyph(kBox));
  for (const Drawing& drawing : kDrawings) font[static_cast<size_t>(drawing.letter)] = make_glyph(drawing.strokes);
  font[' '] = {{}, 6};
  for (char digit = '0'; digit <= '9'; ++digit) font[static_cast<size_t>(digit)].advance = font['0'].advance;
  return font;
}

}  // namespace

const Glyph& glyph_of(char letter) {
  static const std::array<Glyph, 128> kFont = make_font();
  const auto code = static_cast<unsigned char>(letter);
  return kFont[code < kFont.size() ? code : 0];
}

}  // namespace sandglass
