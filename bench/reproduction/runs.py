"""Trains networks once, and measures their bundles."""
import json
import os
import re
import subprocess
import time

SIX = "six-cameras:fashion-mnist"
GRID = "grid:mnist"


class Failed(Exception):
    pass


def edit(text, *changes):
    """Replaces the first occurrence of each pattern; every one must be there."""
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, count=1, flags=re.S)
        if count != 1:
            raise Failed(f"the network has nothing like {pattern!r}: the table's edit is out of date")
    return text


class Lab:
    def __init__(self, root, build, out, seeds):
        self.root, self.build, self.out, self.seeds = root, build, out, seeds
        (out / "networks").mkdir(parents=True, exist_ok=True)
        (out / "bundles").mkdir(exist_ok=True)
        self.used = set()  # bundles that the table which is being made is of
        if not (build / "bin/ddnn-train").exists():
            raise Failed(f"{build}/bin/ddnn-train is not there; build first: cmake --preset release && ninja -C build")

    def network(self, name):
        return (self.root / "models" / f"{name}.textproto").read_text()

    def _run(self, *command):
        result = subprocess.run([str(c) for c in command], cwd=self.root, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))} ended with {result.returncode}:\n{result.stderr.strip()}")
        return result.stdout

    def train(self, name, network, data, seed):
        """The bundle of this network (text) on this data; trained unless it is there already."""
        bundle = self.out / "bundles" / f"{name}-{seed}"
        stamp = self.out / "bundles" / f"{name}-{seed}.stamp"
        self.used.add(bundle)
        wanted = f"{data} seed {seed}\n{network}"
        there = (bundle / "bundle.textproto").exists() and made(bundle).exists()
        if there and stamp.exists() and stamp.read_text() == wanted:
            return bundle
        print(f"training {name}, seed {seed}", flush=True)
        spec = self.out / "networks" / f"{name}.textproto"
        spec.write_text(network)
        # A training that was interrupted goes on, if it was this one.
        begun, origin = stamp.with_suffix(".begun"), stamp.with_suffix(".origin")
        again = "--resume" if begun.exists() and begun.read_text() == wanted and origin.exists() else "--restart"
        if again == "--restart":
            origin.write_text(json.dumps({"commit": self.commit(), "machine": machine()}))
        checkpoint = bundle.with_name(bundle.name + ".checkpoint")
        begun.write_text(wanted)
        stamp.unlink(missing_ok=True)
        start = time.monotonic()
        self._run(self.build / "bin/ddnn-train", "--network", spec, "--data", data, "--out", bundle, "--seed", seed,
                  *([again] if checkpoint.exists() else []))
        minutes = f"{(time.monotonic() - start) / 60:.1f}" if again == "--restart" else ""
        made(bundle).write_text(json.dumps({**json.loads(origin.read_text()), "minutes": minutes}))
        stamp.write_text(wanted)
        begun.unlink()
        origin.unlink()
        return bundle

    def minutes(self, bundle):
        """How long its training took, without interruption; empty if there was one."""
        return json.loads(made(bundle).read_text())["minutes"]

    def commit(self):
        return self._run("git", "describe", "--always", "--dirty").strip()

    def provenance(self):
        """Columns that say where the table which is being made comes from; the next begins."""
        origins = [json.loads(made(bundle).read_text()) for bundle in self.used]
        self.used = set()
        trained = sorted({origin["commit"] for origin in origins})
        machines = sorted({origin["machine"] for origin in origins} | {machine()})
        return {"machine": " and ".join(machines), "measured at": self.commit(), "trained at": " ".join(trained)}

    def report(self, bundle):
        return json.loads((bundle / "report.json").read_text())

    def evaluate(self, bundle, data, missing=()):
        """The summary with these views lost; kept beside the bundle."""
        kept = bundle.with_name(bundle.name + ".without_" + "_".join(map(str, missing)) + ".json")
        program = self.build / "bin/ddnn-eval"
        if kept.exists() and kept.stat().st_mtime > program.stat().st_mtime \
                and json.loads(kept.read_text())["bundle_sha256"] == self.report(bundle)["bundle_sha256"]:
            return json.loads(kept.read_text())
        command = [program, "--bundle", bundle, "--data", data, "--json", kept]
        if missing:
            command += ["--missing", ",".join(map(str, missing))]
        self._run(*command)
        return json.loads(kept.read_text())

    def tree(self, bundle, data, topology, samples, thresholds):
        """The summary of a tree of processes with these thresholds at the edge."""
        text = (self.root / topology).read_text()
        told = " ".join(f'threshold {{ key: "{exit}" value: {value} }}' for exit, value in thresholds.items())
        path = self.out / "networks" / "topology.textproto"
        path.write_text(edit(text, (r"\nedge \{", f"\nedge {{ {told}")))
        out = self.out / "tree.json"
        self._run(self.build / "bin/ddnn-local", "--topology", path, "--bundle", bundle, "--data", data, "--samples",
                  samples, "--json", out)
        return json.loads(out.read_text())

    def early_exits(self, bundle, data, engine):
        return json.loads(self._run(self.build / "bench/early_exits", "--bundle", bundle, "--data", data, "--engine",
                                    engine))


def made(bundle):
    return bundle.with_name(bundle.name + ".made")


def machine():
    """The processors this may use: taskset leaves a training, and its threads, one of several."""
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo", encoding="utf-8").read())
    return f"{len(os.sched_getaffinity(0))} × {model.group(1) if model else 'unknown processor'}"
