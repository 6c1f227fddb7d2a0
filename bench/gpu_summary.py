"""What bench/gpu_run.sh has left in a folder, as one summary.json and a text on stdout.

usage: python3 bench/gpu_summary.py OUT_DIR
"""
import json
import pathlib
import sys


LARGEST = 20  # gaps that are printed


def read_json(path):
    """The file's content, or None for one that a stage left unfinished."""
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def conv_figures(out):
    """{(direction, shape, use, precision): {library: figure}} of conv_bench's files."""
    figures = {}
    for path in sorted(out.glob("conv_*.json")):
        for run in (read_json(path) or {}).get("benchmarks", []):
            direction, shape, use, precision, library = run["name"].split("/")[:5]
            figure = {"error": run["error_message"]} if run.get("error_occurred") else {
                "microseconds": run["real_time"], "tflops": run["TFLOP/s"], "implementation": run.get("label", "")}
            figures.setdefault((direction, shape, use, precision), {})[library] = figure
    return figures


def main():
    out = pathlib.Path(sys.argv[1])
    stages = []
    for line in (out / "stages.tsv").read_text().splitlines():
        name, status, seconds, reason = line.split("\t")
        stages.append({"name": name, "status": "passed" if status == "0" else status if status == "skipped" else "failed",
                       "seconds": float(seconds), "reason": reason})
    networks = [figure for figure in map(read_json, sorted(out.glob("network_*.json"))) if figure]
    explained = [figure for figure in map(read_json, sorted(out.glob("explain_*.json"))) if figure]
    torch = [line for path in sorted(out.glob("torch_*.json")) for line in read_lines(path)]
    convs = conv_figures(out)
    summary = {"stages": stages, "networks": networks, "explained": explained, "torch": torch,
               "convolutions": [dict(zip(("direction", "shape", "use", "precision"), key), libraries=libraries)
                                for key, libraries in convs.items()]}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")

    print("Stages")
    for s in stages:
        print(f"  {s['name']:<34} {s['status']:<8} {s['seconds']:7.1f} s  {s['reason']}".rstrip())
    print("\nWhole network: median milliseconds, images/s")
    for n in networks:
        print(f"  {n['mode']:<6} batch {n['batch']:<3} {n['precision']:<5} {n['conv']:<7} {n['median_ms']:10.3f} ms "
              f"{n['images_per_s']:10.1f}  {n['device']}, {n['device_mib']:.0f} MiB")
    for t in torch:
        for way in ("eager", "graph", "compile", "frozen"):
            if way in t:
                print(f"  {t['mode']:<6} batch {t['batch']:<3} {t['precision']:<5} {t['peer']}, {way}: "
                      f"{t[way]['median_ms']:.3f} ms {1e3 * t['batch'] / t[way]['median_ms']:.1f}")
    for e in explained:
        print(f"\nLargest gaps: {e['mode']}, batch {e['batch']}, {e['precision']}: measured, least microseconds "
              f"({e['gigabytes_per_s']:g} GB/s, {e['teraflops_per_s']:g} TFLOP/s)")
        for step in e["steps"][:LARGEST]:
            print(f"  {step['name']:<40} {1e3 * step['measured_ms']:9.1f} {1e3 * step['least_ms']:9.1f}")
    print("\nConvolutions: microseconds (TFLOP/s)")
    libraries = sorted({library for figure in convs.values() for library in figure}, key=["hand", "cudnn", "cublas"].index)
    for key, figures in sorted(convs.items()):
        cells = []
        for library in libraries:
            figure = figures.get(library)
            cells.append(f"{library} " + ("-" if figure is None else figure["error"] if "error" in figure else
                                          f"{figure['microseconds']:.1f} ({figure['tflops']:.1f})"))
        print(f"  {' '.join(key):<70} " + "  ".join(cells))


if __name__ == "__main__":
    main()
