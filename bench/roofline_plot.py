"""A roofline of a file of sandglass_bench as SVG, for bench/report.py: for each kernel the rate that it reached over the
operations that it must do for each byte that it must move, below what the machine can do at most (Williams, Waterman &
Patterson, doi 10.1145/1498765.1498785)."""
import math

import kernel_tables

# Families of operations, their colours (told apart by people who do not see all of them: Okabe & Ito) and the beginnings
# of their names.
FAMILIES = (("convolution forward", "#0072b2", ("conv_forward",)),
            ("convolution, data gradient", "#56b4e9", ("conv_backward_data",)),
            ("convolution, weight gradient", "#009e73", ("conv_backward_weights",)),
            ("batch norm", "#e69f00", ("batch_norm",)),
            ("residual", "#d55e00", ("residual",)),
            ("max pool, upsample", "#cc79a7", ("max_pool", "upsample")),
            ("heatmap, loss, peak", "#8c6bb1", ("heatmap", "pixel_loss", "peak")),
            ("warp, optimiser", "#999999", ("warp", "gradient_norm", "optimizer")))

CACHES = {"warm": "caches warm: maps that fit into them can lie above memory's slope",
          "cold": "caches cold: each run takes other buffers"}
WIDTH, HEIGHT = 960, 560
LEFT, RIGHT, TOP, BOTTOM = 78, 250, 58, 62  # margins; the legend is on the right

STYLE = """  .page { fill: #ffffff; } text { fill: #24292f; font: 13px sans-serif; } .title { font-size: 15px; font-weight: bold; }
  .grid { stroke: #d8dee4; } .frame { stroke: #6e7781; fill: none; } .roof { stroke: #24292f; stroke-width: 2; fill: none; }
  .dot { fill-opacity: 0.75; stroke: #ffffff; stroke-width: 0.6; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; } text { fill: #e6edf3; } .grid { stroke: #30363d; } .frame { stroke: #8b949e; }
    .roof { stroke: #e6edf3; } .dot { stroke: #0d1117; fill-opacity: 0.9; }
  }"""


def family_of(operation):
    return next((index for index, (_, _, starts) in enumerate(FAMILIES) if operation.startswith(starts)), None)


class Axis:
    """A logarithmic scale from `low` to `high`, rounded to whole decades outwards, over pixels from `begin` to `end`."""

    def __init__(self, low, high, begin, end):
        self.low, self.high = math.floor(math.log10(low)), math.ceil(math.log10(high))
        self.begin, self.end = begin, end

    def at(self, value):
        return self.begin + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.begin)

    def decades(self):
        return [10.0 ** exponent for exponent in range(self.low, self.high + 1)]


def number(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def text(x, y, content, anchor="start", extra=""):
    content = content.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{content}</text>'


def mark(x, y, colour, large):
    """A circle for the smallest batch, a square for others."""
    if large:
        return f'<rect class="dot" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'


def roofline_svg(result, precision):
    context = result["context"]
    ceilings = context["ceilings"][precision]
    bandwidth, peak = ceilings["gigabytes_per_s"], ceilings["teraflops_per_s"] * 1e3  # GB/s, GFLOP/s
    dots = []
    for row in kernel_tables.measured(result):
        if row["library"] == "sandglass" and row["precision"] == precision and row["operations"] > 0 \
                and family_of(row["operation"]) is not None:
            dots.append((row["operations"] / row["bytes"], row["operations"] / row["us"] / 1e3, row))
    x_axis = Axis(min(d[0] for d in dots), max(d[0] for d in dots), LEFT, WIDTH - RIGHT)
    y_axis = Axis(min(d[1] for d in dots), max(peak, *(d[1] for d in dots)) * 1.05, HEIGHT - BOTTOM, TOP)
    batches = sorted({row["batch"] for *_, row in dots if row["batch"]})

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
           f"<style>\n{STYLE}\n</style>", f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
           text(LEFT, 24, f"Each kernel and the machine's ceilings: {context['description']}, {precision}", extra=' class="title"'),
           text(LEFT, 44, f"{context['date'][:10]}, commit {context['commit']}, {CACHES[context['cache'].split(':')[0]]}")]
    for value in x_axis.decades():
        x = x_axis.at(value)
        out.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}"/>')
        out.append(text(x, HEIGHT - BOTTOM + 20, number(value), "middle"))
    for value in y_axis.decades():
        y = y_axis.at(value)
        out.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        out.append(text(LEFT - 8, y + 4, number(value), "end"))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18, "floating-point operations for each byte moved", "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(text(20, middle, "GFLOP/s", "middle", f' transform="rotate(-90 20 {middle:.1f})"'))

    # The roof: memory's slope up to the ridge, then the arithmetic's flat part; cut off at the frame.
    left, right = 10.0 ** x_axis.low, 10.0 ** x_axis.high
    start = max(left, 10.0 ** y_axis.low / bandwidth)
    ridge = min(max(peak / bandwidth, left), right)
    corners = [(start, start * bandwidth), (ridge, min(ridge * bandwidth, peak)), (right, min(right * bandwidth, peak))]
    points = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in corners)
    for intensity, rate, row in dots:
        _, colour, _ = FAMILIES[family_of(row["operation"])]
        out.append(mark(x_axis.at(intensity), y_axis.at(rate), colour, row["batch"] not in (batches[0], None)))
    out.append(f'<polyline class="roof" points="{points}"/>')
    out.append(f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - RIGHT - LEFT}" height="{HEIGHT - BOTTOM - TOP}"/>')

    x, y = WIDTH - RIGHT + 24, TOP + 12
    for name, colour, _ in FAMILIES:
        out += [mark(x, y - 4, colour, False), text(x + 14, y, name)]
        y += 24
    y += 10
    for batch in batches:
        out += [mark(x, y - 4, "#6e7781", batch != batches[0]), text(x + 14, y, f"batch {batch}")]
        y += 24
    y += 10
    out += [f'<line class="roof" x1="{x - 6}" y1="{y - 4}" x2="{x + 6}" y2="{y - 4}"/>', text(x + 14, y, f"{context['ceilings_are']} ceilings:"),
            text(x + 14, y + 20, f"{bandwidth:.3g} GB/s of memory"), text(x + 14, y + 40, f"{peak:,.0f} GFLOP/s of a product")]
    return "\n".join(out + ["</svg>"]) + "\n"
