"""What bench/gpu_run.sh has left in a folder, as one summary.json and a text on stdout.

usage: python3 bench/gpu_summary.py OUT_DIR
"""
import json
import pathlib
import statistics
import sys


LARGEST = 20  # gaps that are printed


def read_json(path):
    """The file's content, or None for one that a stage left unfinished."""
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


def kernel_rows(files):
    """{name without library: {library: row}} of sandglass_bench's files."""
    rows = {}
    for result in files:
        for row in result["benchmarks"]:
            name, _, library = row["name"].rpartition("/")
            rows.setdefault(name, {})[library] = row
    return rows


def main():
    out = pathlib.Path(sys.argv[1])
    stages = []
    for line in (out / "stages.tsv").read_text().splitlines():
        name, status, seconds, reason = line.split("\t")
        stages.append({"name": name, "status": "passed" if status == "0" else status if status == "skipped" else "failed",
                       "seconds": float(seconds), "reason": reason})
    compared = [result for result in map(read_json, sorted(out.glob("compare_*.json"))) if result]
    explained = [figure for figure in map(read_json, sorted(out.glob("explain_*.json"))) if figure]
    kernels = [result for result in map(read_json, sorted(out.glob("kernels_*.json"))) if result]
    summary = {"stages": stages, "networks": compared, "explained": explained, "kernels": kernels}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")

    print("Stages")
    for s in stages:
        print(f"  {s['name']:<34} {s['status']:<8} {s['seconds']:7.1f} s  {s['reason']}".rstrip())
    print("\nWhole network: median milliseconds, images/s")
    for case in (case for result in compared for case in result["cases"]):
        for program, times in case["milliseconds"].items():
            middle = statistics.median(times)
            print(f"  {case['mode']:<6} batch {case['batch']:<3} {case['precision']:<5} {program:<28} {middle:10.3f} ms "
                  f"{1e3 * case['batch'] / middle:10.1f}")
    for what, why in (item for result in compared for item in result["skipped"].items()):
        print(f"  left out: {what}: {why}")
    for e in explained:
        print(f"\nLargest gaps: {e['mode']}, batch {e['batch']}, {e['precision']}: measured, least microseconds "
              f"({e['gigabytes_per_s']:g} GB/s, {e['teraflops_per_s']:g} TFLOP/s)")
        for step in e["steps"][:LARGEST]:
            print(f"  {step['name']:<40} {1e3 * step['measured_ms']:9.1f} {1e3 * step['least_ms']:9.1f}")
    print("\nKernels: microseconds, part of the ceiling, Sandglass / library")
    for name, libraries in sorted(kernel_rows(kernels).items()):
        cells = []
        for library, row in libraries.items():
            if "microseconds" not in row:
                cells.append(f"{library}: {row['error_message']}")
                continue
            ratio = f", {row['sandglass_to_peer']['median']:.2f}" if "sandglass_to_peer" in row else ""
            part = f", {100 * row['part_of_ceiling']:.0f} %" if "part_of_ceiling" in row else ""
            cells.append(f"{library} {row['microseconds']['median']:.1f}{part}{ratio}")
        print(f"  {name:<80} " + "  ".join(cells))


if __name__ == "__main__":
    main()
