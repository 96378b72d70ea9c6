"""What each table runs: a function from a Lab to rows, dicts with the keys of `key` and a seed."""
import collections

from reproduction.runs import GRID, SIX, edit

# key: columns that name a line of the table; values: columns of figures, with their format;
# published: what others measured, on data of theirs unless it says more.
Table = collections.namedtuple("Table", "title text key values run needs published", defaults=["", ""])
PERCENT, ONE, THREE = "{:.2%}", "{:.1f}", "{:.3f}"


def aggregators(lab):
    rows = []
    for local in ("MP", "AP", "CC"):
        for cloud in ("MP", "AP", "CC"):
            network = edit(lab.network("six_cameras"), (r"scores: CC", f"scores: {local}"),
                           (r"features \{ kind: CC \}", f"features {{ kind: {cloud} }}"))
            name = "six" if network == lab.network("six_cameras") else f"six-{local}-{cloud}"
            for seed in lab.seeds:
                report = lab.report(lab.train(name, network, SIX, seed))
                alone = report["accuracy_if_all_stop"]
                rows.append({"local": local, "cloud": cloud, "seed": seed, "local exit": alone["local"],
                             "cloud exit": alone["cloud"], "overall": report["accuracy"]["overall"],
                             "bytes": report["payload_bytes_per_view_sample"]})
    return rows


def thresholds(lab):
    rows = []
    for seed in lab.seeds:
        bundle = lab.train("six", lab.network("six_cameras"), SIX, seed)
        for point in lab.evaluate(bundle, SIX)["sweep"]:
            if point["exit"] != "local":
                continue
            takes = point["exit_fractions"]
            tree = lab.tree(bundle, SIX, "tools/topologies/six_cameras.textproto", 500,
                            {"local": point["threshold"]})
            rows.append({"threshold": f"{point['threshold']:.1f}", "seed": seed,
                         "local": takes["local"], "edge": takes["edge"], "cloud": takes["cloud"],
                         "overall": point["overall_accuracy"],
                         "bytes by formula": point["payload_bytes_per_view_sample"],
                         "bytes coded": point["coded_payload_bytes_per_view_sample"],
                         "bytes sent (500 samples)": tree["payload_bytes_per_view_sample"],
                         "bytes on the wire": tree["wire_bytes_per_view_sample"]})
    return rows


def devices(lab):
    rows = []
    for seed in lab.seeds:
        bundle = lab.train("six", lab.network("six_cameras"), SIX, seed)
        alone = lab.report(bundle)["single_view_accuracy"]
        order = sorted(range(len(alone)), key=lambda v: alone[v])
        for count in range(1, len(order) + 1):
            summary = lab.evaluate(bundle, SIX, sorted(order[count:]))
            exits = summary["accuracy_if_all_stop"]
            rows.append({"devices": count, "seed": seed, "that one alone": alone[order[count - 1]],
                         "local": exits["local"], "cloud": exits["cloud"], "overall": summary["accuracy"]["overall"]})
    return rows


def lost(lab):
    rows = []
    for label, rate in (("with", None), ("without", "0")):
        network = lab.network("six_cameras")
        if rate is not None:
            network = edit(network, (r"view_dropout: [0-9.]+", f"view_dropout: {rate}"))
        for seed in lab.seeds:
            report = lab.report(lab.train("six" if rate is None else "six-no-dropout", network, SIX, seed))
            figures = [("none", report["accuracy"]["overall"])]
            figures += list(enumerate(report["missing_view_accuracy"]))
            rows += [{"device dropout": label, "lost": str(view), "seed": seed, "overall": accuracy}
                     for view, accuracy in figures]
    return rows


def memory(lab):
    rows = []
    for filters in (1, 2, 4, 8, 16):
        network = edit(lab.network("six_cameras"),
                       (r"(binary_conv \{ filters: \d+ kernel: 5.*?binary_conv \{ filters: )\d+", rf"\g<1>{filters}"))
        for seed in lab.seeds:
            bundle = lab.train("six" if filters == 16 else f"six-f{filters}", network, SIX, seed)
            report = lab.report(bundle)
            exits = report["accuracy_if_all_stop"]
            rows.append({"filters": filters, "seed": seed,
                         "section bytes": (bundle / "sections/device-0.section").stat().st_size,
                         "local": exits["local"], "cloud": exits["cloud"], "overall": report["accuracy"]["overall"],
                         "bytes": report["payload_bytes_per_view_sample"]})
    return rows


def lenet(lab):
    rows = []
    for seed in lab.seeds:
        bundle = lab.train("lenet", lab.network("lenet_branchy"), "mnist", seed)
        report = lab.report(bundle)
        for engine in ("lite", "torch"):
            timed = lab.early_exits(bundle, "mnist", engine)
            rows.append({"engine": engine, "seed": seed, "overall": report["accuracy"]["overall"],
                         "without exits": report["accuracy_if_all_stop"]["cloud"],
                         "leave first": report["exit_fraction"]["early"], "ms with exits": timed["ms_with_exits"],
                         "ms without": timed["ms_without"], "ratio": timed["ratio"]})
    return rows


def cifar(lab, data):
    pictures = "original" if data.startswith("cifar10:") else "JPEG, lossy"
    name = "cifar10" if data.startswith("cifar10:") else "cifar10-jpeg"
    rows = []
    for seed in lab.seeds:
        bundle = lab.train(name, lab.network("cifar10"), data, seed)
        report = lab.report(bundle)
        for exit in ("local", "edge", "cloud"):
            rows.append({"pictures": pictures, "exit": exit, "seed": seed, "takes": report["exit_fraction"][exit],
                         "if all stopped there": report["accuracy_if_all_stop"][exit],
                         "overall": report["accuracy"]["overall"], "bytes": report["payload_bytes_per_view_sample"],
                         "training minutes": lab.minutes(bundle)})
    return rows


def floats(lab):
    folder = lab.root / "bench/reproduction/networks"
    rows = []
    for label, name, text in (("six_cameras", "six", lab.network("six_cameras")),
                              ("raw views, float", "six-raw", (folder / "six_raw.textproto").read_text()),
                              ("float devices", "six-float", (folder / "six_float.textproto").read_text())):
        for seed in lab.seeds:
            report = lab.report(lab.train(name, text, SIX, seed))
            rows.append({"network": label, "seed": seed, "cloud exit": report["accuracy_if_all_stop"]["cloud"],
                         "overall": report["accuracy"]["overall"],
                         "bytes": report["payload_bytes_per_view_sample"]})
    return rows


def grid(lab):
    rows = []
    for seed in lab.seeds:
        bundle = lab.train("grid", lab.network("mnist_grid"), GRID, seed)
        report = lab.report(bundle)
        section = max(file.stat().st_size for file in (bundle / "sections").glob("device-*.section"))
        figures = [("none", report["accuracy"]["overall"]), *enumerate(report["missing_view_accuracy"]),
                   ("4 and 5", lab.evaluate(bundle, GRID, (4, 5))["accuracy"]["overall"])]
        rows += [{"lost": str(lost), "seed": seed, "overall": accuracy, "section bytes": section,
                  "bytes": report["payload_bytes_per_view_sample"]} for lost, accuracy in figures]
    return rows


ALL = {
    1: Table("The nine pairs of aggregators",
             "`six_cameras`; local: how the devices' scores are joined, cloud: how their features are.",
             ["local", "cloud"],
             {"local exit": PERCENT, "cloud exit": PERCENT, "overall": PERCENT, "bytes": ONE}, aggregators),
    2: Table("Accuracy, exits and bytes over thresholds of the local exit",
             "`six_cameras`, 10,000 test samples; what share of them each exit answers. Bytes per view and "
             "sample: raw views have 1,024; coded: features as they travel. What was sent and what the kernel counted "
             "(`TCP_INFO`, upward, headers and all of the stream's messages) is of a tree of eight processes over 500 "
             "samples.",
             ["threshold"],
             {"local": PERCENT, "edge": PERCENT, "cloud": PERCENT, "overall": PERCENT, "bytes by formula": ONE,
              "bytes coded": ONE, "bytes sent (500 samples)": ONE, "bytes on the wire": ONE}, thresholds,
             published="six cameras of the paper (MVMC), threshold 0.8: 97 % at 62 bytes, 49 times fewer than raw."),
    3: Table("Accuracy against the number of devices, worst to best",
             "`six_cameras`; the others are lost at run time, nothing is trained anew. \"That one alone\" is the "
             "device which joins in this line, on the samples it sees.",
             ["devices"], {"that one alone": PERCENT, "local": PERCENT, "cloud": PERCENT, "overall": PERCENT},
             devices,
             published="six cameras of the paper (MVMC): each alone 37 to 73 %; all of them 97 % at the local exit, "
                       "99 % at the cloud."),
    4: Table("Each device lost in turn",
             "`six_cameras`, lost at run time without retraining; device dropout: each view is hidden from a training "
             "sample with the network's `view_dropout`. Cameras of this data miss a sample now and then anyway, so that "
             "the network knows missing views without it.",
             ["device dropout", "lost"], {"overall": PERCENT}, lost,
             published="six cameras of the paper (MVMC): 96 to 99 %, each time trained anew without the device; "
                       "of a loss at run time nothing."),
    5: Table("Accuracy against device memory",
             "`six_cameras` with so many filters in the device's last layer; the section is the file a device loads.",
             ["filters"], {"section bytes": "{:.0f}", "local": PERCENT, "cloud": PERCENT, "overall": PERCENT,
                           "bytes": ONE}, memory),
    6: Table("LeNet with a branch",
             "`lenet_branchy` on MNIST, the whole network on one machine, batch 1, one thread, both ways in turns "
             "(`bench/early_exits`, 2,000 samples a round, median of 9).",
             ["engine"], {"overall": PERCENT, "without exits": PERCENT, "leave first": PERCENT,
                          "ms with exits": THREE, "ms without": THREE, "ratio": "{:.2f}"}, lenet,
             published="BranchyNet's LeNet on MNIST: 99.25 %, 94.3 % leave first, 5.4 times."),
    7: Table("CIFAR-10 through device, edge and cloud",
             "`cifar10`, figure 2 (d). Pictures: the original ones, or as they are in a folder of JPEG files (quality "
             "75), which have lost something.",
             ["pictures", "exit"], {"takes": PERCENT, "if all stopped there": PERCENT, "overall": PERCENT,
                                    "bytes": ONE, "training minutes": ONE}, cifar, " --cifar folder:DIR",
             published="BranchyNet's AlexNet, original pictures: 79.19 %, 65.6 % leave first."),
    8: Table("What binary devices and few bytes cost",
             "`six_cameras` against float networks of the same cloud size without early exits, same data and epochs: "
             "one that gets the raw views of all cameras, the yardstick, and one whose devices are float too (whose "
             "features no device would send).",
             ["network"], {"cloud exit": PERCENT, "overall": PERCENT, "bytes": ONE}, floats),
    9: Table("Tiles of a digit, and devices lost",
             "`mnist_grid`; lost at run time, nothing is trained anew. The section is the largest file that a device "
             "loads; bytes per view and sample are by the formula, while nothing is lost.",
             ["lost"], {"overall": PERCENT, "section bytes": "{:.0f}", "bytes": ONE}, grid,
             published="code of the paper's authors for the same tiles, float sections, one run: 99.17 %; one lost "
                       "98.52, 99.15, 78.70, 86.90, 87.06 and 98.61 %; 4 and 5 lost 83.33 %."),
}
