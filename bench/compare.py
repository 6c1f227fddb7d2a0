"""The whole network against its peers on the same machine: Sandglass, PyTorch and onnxruntime, in alternating runs.

usage: python3 bench/compare.py [--build build/cpu] [--device cpu|cuda|simt] [--python PYTHON] [--rounds 5] [--threads 1 2]
       [--infer-batches 1 8] [--train-batches 4] [--precisions fp32] [--convs hand cudnn cublas] [--compile] [--small]
       [--out bench/results/DEVICE/DATE.json]
--python: one that has PyTorch, and onnx and onnxruntime for that peer. --compile: torch.compile, too. --convs: Sandglass with
NVIDIA's libraries for its convolutions, too. --small: a tiny network and one run of each, to try this script out; simt needs it.
With sgemm_rate in the build (-DSANDGLASS_BENCHMARKS=ON) each round measures the rate of oneDNN's matrix product as well.

Each round runs every program once for every case, in processes of their own; the file is renewed after each case. bench/report.py makes tables of the results:
medians over the rounds, and medians of the rounds' ratios, so that a machine that slows down slows both sides. What cannot
run is left out, listed with the reason at the end and in the file.
"""
import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {"PyTorch": ("torch", "torch_hourglass.py"), "onnxruntime": ("onnxruntime", "onnxruntime_hourglass.py")}
WAYS = ("eager", "channels_last", "frozen", "graph", "compile", "session")
SECONDS_EACH = 4  # about as long as a program measures a case, once it has warmed up
LEAST_RUNS, MOST_RUNS = 3, 50
SMALL_NETWORK = ["--set", "width=16", "--set", "input_size=64", "--set", "depth=2"]


class Failed(Exception):
    pass


def run(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    if finished.returncode:
        lines = (finished.stderr.strip() or f"exit code {finished.returncode}").splitlines()
        raise Failed(lines[-1])
    return finished.stdout


def processor():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor()


class Comparison:
    def __init__(self, options):
        self.options, self.skipped, self.versions = options, {}, {}
        self.iterations = {}  # of a case and program, from its first run

    def sandglass(self, case, conv):
        name = "Sandglass" if conv == "hand" else f"Sandglass --conv {conv}"
        with tempfile.TemporaryDirectory() as folder:
            figures_file = os.path.join(folder, "figures.json")
            run([os.path.join(self.options.build, "sandglass"), "bench", "--mode", case["mode"], "--batch",
                 str(case["batch"]), "--device", self.options.device, "--precision", case["precision"], "--conv", conv,
                 "--iterations", str(self.runs(case, name)), "--json", figures_file,
                 *(SMALL_NETWORK if self.options.small else [])], case["threads"])
            with open(figures_file) as file:
                figures = json.load(file)
        libraries = [f"{library} {figures[library]}" for library in ("onednn", "cudnn", "cublas") if figures[library]]
        self.versions["Sandglass"] = ", ".join([f"{figures['version']} ({figures['commit']})"] + libraries)
        self.note_time(case, name, figures["median_ms"])
        return {name: figures["median_ms"]}, figures["peak_resident_mib"]

    def peer(self, name, case):
        command = [self.options.python, os.path.join(HERE, "peers", PEERS[name][1]), "--mode", case["mode"], "--batch",
                   str(case["batch"]), "--threads", str(case["threads"]), "--iterations", str(self.runs(case, name))]
        if name == "PyTorch":
            device = "cuda" if self.options.device == "cuda" else "cpu"
            command += ["--device", device, "--precision", case["precision"]]
            command += ["--width", "16"] if self.options.small else []
            command += ["--compile"] if self.options.compile else []
        figures = json.loads(run(command, case["threads"]).splitlines()[-1])
        self.versions[name] = figures["peer"].split()[-1]
        times = {f"{name} {way}": figures[way]["median_ms"] for way in WAYS if way in figures}
        for way in WAYS:
            if way + "_error" in figures:
                self.skipped[f"{name} {way}"] = figures[way + "_error"]
        if not times:
            raise Failed("no way of running it works")
        self.note_time(case, name, max(times.values()))
        return times, figures["peak_resident_mib"]

    def runs(self, case, program):
        if self.options.small:
            return 1
        return self.iterations.get((id(case), program), LEAST_RUNS)

    def note_time(self, case, program, milliseconds):
        runs = int(SECONDS_EACH * 1e3 / milliseconds)
        self.iterations[id(case), program] = min(max(runs, LEAST_RUNS), MOST_RUNS)

    def measure(self, case):
        """One round of a case: appends to its figures."""
        programs = {f"Sandglass, {conv}": lambda conv=conv: self.sandglass(case, conv) for conv in self.options.convs}
        for name in PEERS:
            fits = name == "PyTorch" or (case["mode"] == "infer" and self.options.device == "cpu" and not self.options.small)
            if fits and name not in self.skipped:
                programs[name] = lambda name=name: self.peer(name, case)
        for name, measure in programs.items():
            try:
                times, mib = measure()
            except Failed as error:
                self.skipped[f"{name}, {case['mode']}, batch {case['batch']}, {case['precision']}"] = str(error)
                continue
            for way, milliseconds in times.items():
                case["milliseconds"].setdefault(way, []).append(round(milliseconds, 4))
            program = name.split(",")[0]
            case["peak_resident_mib"][program] = round(max(mib, case["peak_resident_mib"].get(program, 0)), 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--device", choices=["cpu", "cuda", "simt"], default="cpu")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[os.cpu_count()])
    parser.add_argument("--infer-batches", type=int, nargs="*", default=[1])
    parser.add_argument("--train-batches", type=int, nargs="*", default=[4])
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "tf32", "bf16"], default=["fp32"])
    parser.add_argument("--convs", nargs="+", choices=["hand", "cudnn", "cublas"], default=["hand"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out")
    options = parser.parse_args()
    program = os.path.join(options.build, "sandglass")
    if not os.access(program, os.X_OK):
        sys.exit(f"compare.py: there is no {program}; build it, or name its folder with --build")
    comparison = Comparison(options)
    for name, (module, _) in PEERS.items():
        try:
            run([options.python, "-c", f"import {module}"], 1)
        except Failed as error:
            comparison.skipped[name] = f"{options.python}: {error}"
    cases = [{"mode": mode, "batch": batch, "precision": precision, "threads": threads, "milliseconds": {},
              "peak_resident_mib": {}}
             for threads in options.threads for precision in options.precisions
             for mode, batches in (("infer", options.infer_batches), ("train", options.train_batches)) for batch in batches]
    sgemm = {threads: [] for threads in options.threads}
    sgemm_program = os.path.join(options.build, "bench/sgemm_rate")

    def save():
        result = {"date": datetime.date.today().isoformat(), "machine": f"{os.cpu_count()} processors, {processor()}",
                  "system": platform.platform(), "device": options.device, "versions": comparison.versions, "cases": cases,
                  "skipped": comparison.skipped}
        if any(sgemm.values()):
            result["sgemm_gflops"] = {str(threads): rates for threads, rates in sgemm.items()}
        os.makedirs(os.path.dirname(options.out) or ".", exist_ok=True)
        with open(options.out + ".tmp", "w") as file:
            file.write(json.dumps(result, indent=1) + "\n")
        os.replace(options.out + ".tmp", options.out)

    for number in range(options.rounds):
        for case in cases:
            comparison.measure(case)
            print(f"round {number + 1}: {case['mode']} batch {case['batch']} {case['precision']} {case['threads']} threads: "
                  + ", ".join(f"{way} {times[-1]:.1f} ms" for way, times in case["milliseconds"].items()), flush=True)
            if options.out:
                save()
        if options.device == "cpu" and os.access(sgemm_program, os.X_OK):
            for threads in options.threads:
                sgemm[threads].append(round(json.loads(run([sgemm_program], threads))["sgemm_gflops"], 1))
    if options.out:
        save()
    for what, why in comparison.skipped.items():
        print(f"left out: {what}: {why}")
    if not any(case["milliseconds"] for case in cases):
        sys.exit("compare.py: nothing could be measured")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("compare.py: interrupted; the cases before are in the file of --out")
