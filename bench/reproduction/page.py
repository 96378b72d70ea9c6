"""CSV files, and the page made of them."""
import csv
import re
import statistics

from reproduction import tables

HEAD = """# Reproduction

What the paper claims, measured with this code. Made by `bench/reproduce`, which trains, measures and writes this page; the CSV
files of `out/reproduction` have a line per seed. Each figure is the mean over the seeds that have it and, where those are
several, ± half the distance between lowest and highest: without ± it is of one seed, such as a time that only one training
had a core of its own for. Tables that were not run anew keep the figures they have here. MNIST comes from
`tools/fetch_mnist.sh`; CIFAR-10 is the reader's own.
"""


def write_csv(path, rows, provenance):
    rows = [{**row, **provenance} for row in rows]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def figure(values, form):
    if not values:
        return "not known"
    text = form.format(statistics.mean(values))
    half = (max(values) - min(values)) / 2
    return f"{text} ± {form.format(half)}" if len(values) > 1 else text


def markdown(table, rows):
    lines = {}
    for row in rows:
        lines.setdefault(tuple(row[k] for k in table.key), []).append(row)
    text = ["| " + " | ".join([*table.key, *table.values]) + " |", "|" + " --- |" * (len(table.key) + len(table.values))]
    for key, of_line in lines.items():
        figures = [figure([float(r[name]) for r in of_line if r[name]], form) for name, form in table.values.items()]
        text.append("| " + " | ".join([*key, *figures]) + " |")
    return "\n".join(text)


def sections(path):
    """The page's sections by the number of their table."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = re.split(r"^(?=## \d+\. )", text, flags=re.M)[1:]
    return {int(re.match(r"## (\d+)", part)[1]): part for part in parts}


def write(path, lab):
    """A table without a CSV here, run elsewhere, keeps its section."""
    text, before = HEAD, sections(path)
    for number, table in tables.ALL.items():
        source = lab.out / f"table{number}.csv"
        if not source.exists():
            text += "\n" + before[number].strip() + "\n" if number in before else ""
            continue
        rows = read_csv(source)
        seeds = sorted({r["seed"] for r in rows}, key=int)
        text += f"\n## {number}. {table.title}\n\n{table.text} Seeds: {', '.join(seeds)}. Trained at commit" \
                f" {rows[0]['trained at']}, measured at {rows[0]['measured at']}, on {rows[0]['machine']}." \
                f"\n\n    bench/reproduce --tables {number} --seeds {','.join(seeds)}{table.needs}\n\n{markdown(table, rows)}\n"
        if table.published:
            text += f"\nPublished: {table.published}\n"
    path.write_text(text, encoding="utf-8")
