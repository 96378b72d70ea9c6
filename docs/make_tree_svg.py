#!/usr/bin/env python3
"""Draws docs/tree.svg, the README's picture of a tree. Usage: docs/make_tree_svg.py > docs/tree.svg"""

W, H = 960, 560
INK, MUTED, LINE = "#1f2933", "#52606d", "#9aa5b1"
SCORES, FEATURES, ANSWERS = "#2563eb", "#c2410c", "#15803d"
out = []


def add(text):
    out.append(text)


def label(x, y, text, size=14, color=INK, anchor="middle", weight="400"):
    add(f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{text}</text>')


def box(x, y, w, h, fill, title, *lines):
    add(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="10" fill="{fill}" stroke="{LINE}"/>')
    label(x + w / 2, y + 26, title, 16, weight="600")
    for i, line in enumerate(lines):
        label(x + w / 2, y + 48 + 19 * i, line, 13, MUTED)


def arrow(x1, y1, x2, y2, color, dash=""):
    style = f' stroke-dasharray="{dash}"' if dash else ""
    add(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{color}" stroke-width="2.2"'
        f' marker-end="url(#m{color[1:]})"{style}/>')


add(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="system-ui, sans-serif" '
    'role="img" aria-label="A cloud above an edge above six devices with cameras">')
add("<defs>")
for c in (SCORES, FEATURES, ANSWERS):
    add(f'<marker id="m{c[1:]}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="{c}"/></marker>')
add("</defs>")
add(f'<rect width="{W}" height="{H}" fill="#ffffff"/>')

box(330, 20, 300, 92, "#e0e7ff", "ddnn-cloud", "last layers, last exit: always answers",
    "keeps the hard samples for you")
box(330, 210, 300, 92, "#fef3c7", "ddnn-edge", "joins scores and features of its devices",
    "local exit, more layers, edge exit")
for k in range(6):
    x = 30 + 153 * k
    box(x, 410, 135, 70, "#dcfce7", f"ddnn-device {k}", "first layers, 2 KB")
    add(f'<rect x="{x + 45}" y="500" width="34" height="24" rx="4" fill="{MUTED}"/>')
    add(f'<path d="M{x + 79} 508l14 -7v22l-14 -7z" fill="{MUTED}"/>')
    cx = x + 67
    tx = 372 + 43 * k
    arrow(cx - 10, 408, tx - 8, 306, SCORES)
    arrow(cx + 6, 408, tx + 6, 306, FEATURES, "6 5")
label(480, 548, "one camera each: all see the same sample", 13, MUTED)
arrow(440, 208, 440, 116, FEATURES, "6 5")
arrow(520, 116, 520, 206, ANSWERS)
arrow(632, 280, 912, 406, ANSWERS)

label(40, 60, "class scores, always", 14, SCORES, "start", "600")
label(40, 80, "40 bytes a view", 13, MUTED, "start")
label(40, 112, "features, only when asked", 14, FEATURES, "start", "600")
label(40, 132, "128 bytes a view", 13, MUTED, "start")
label(40, 164, "answers, back down", 14, ANSWERS, "start", "600")
label(40, 184, "to every device that spoke", 13, MUTED, "start")
label(668, 52, "The unsure few come this far.", 14, INK, "start", "600")
label(668, 222, "Sure samples stop here:", 14, INK, "start", "600")
label(668, 242, "no feature is ever sent.", 13, MUTED, "start")
add("</svg>")
print("\n".join(out))
