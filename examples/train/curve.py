"""The curves: how far above the entropy a GPT stays, by its parameters and by the tokens it reads.

Of the bundled GPT only the width changes, and each training is a complete one: the whole curriculum, and the learning
rate down to its end. Steps have a quarter of the usual tokens, because the trainings are short.

    python examples/train/curve.py < examples/train/log.md > examples/plots/scale.svg       draws the tables of the log
"""
import math
import sys

from data import PHASES as LONG

PHASES = [(share, size // 4, kinds) for share, size, kinds in LONG]
WIDTHS = 16, 32, 64, 128, 256       # 128 is the width of the bundled GPT
TOKENS = .75e6, 1.5e6, 3e6
WIDTH, READ = 128, 3e6              # of the curve over tokens, of the curve over widths
RUNS = [(width, READ) for width in WIDTHS] + [(WIDTH, tokens) for tokens in TOKENS if tokens != READ]
BUNDLED_TOKENS = 74.16e6            # with steps four times as long (log.md)
GPT3 = 175e9, 300e9                 # parameters and tokens (Brown et al. 2020, table 2.1)


def rate(width):
    """The wider, the lower: of the rates tried, the best ones for widths 32 and 128."""
    return 2e-3 * 128 / width


# ---- the picture ----------------------------------------------------------------------------------------------------

LEFT, RIGHT, HEIGHT = 88, 600, 230
DECADES, PERCENT = (4, 12), (-1, 2)         # the powers of ten at both ends of an axis


def x_of(n):
    return LEFT + (RIGHT - LEFT) * (math.log10(n) - DECADES[0]) / (DECADES[1] - DECADES[0])


def y_of(top, percent):
    return top + HEIGHT * (PERCENT[1] - math.log10(percent)) / (PERCENT[1] - PERCENT[0])


def text(x, y, what, more='text-anchor="middle"'):
    print(f'<text x="{x:.1f}" y="{y:.1f}" {more}>{what}</text>')


def panel(top, label, points, last, gpt3):
    for power in range(PERCENT[0], PERCENT[1] + 1):
        y = y_of(top, 10 ** power)
        print(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>')
        text(LEFT - 8, y + 4, f"{10. ** power:g}", 'text-anchor="end"')
    print(f'<path d="M{LEFT} {top} V{top + HEIGHT} H{RIGHT}" fill="none" stroke="#222222"/>')
    for power, name in ((4, "10,000"), (6, "1 million"), (9, "1,000 million"), (12, "10^12")):
        text(x_of(10 ** power), top + HEIGHT + 20, name)
    text((LEFT + RIGHT) / 2, top + HEIGHT + 44, label)
    print(f'<g transform="translate(22 {top + HEIGHT // 2}) rotate(-90)">')
    text(0, 0, "% above the entropy")
    print("</g>")
    x = x_of(gpt3)
    print(f'<path d="M{x:.1f} {top} V{top + HEIGHT}" stroke="#707070" stroke-width="2" stroke-dasharray="4 4"/>')
    text(x - 8, top + HEIGHT / 2 - 4, f"GPT-3: {gpt3 / 1e6:,.0f} million,", 'text-anchor="end" fill="#707070"')
    text(x - 8, top + HEIGHT / 2 + 14, "other texts", 'text-anchor="end" fill="#707070"')
    line = " ".join(f"{'L' if i else 'M'}{x_of(n):.1f} {y_of(top, above):.1f}" for i, (n, above) in enumerate(points))
    print(f'<path d="{line}" fill="none" stroke="#0000a0" stroke-width="2"/>')
    for n, above in points:
        print(f'<circle cx="{x_of(n):.1f}" cy="{y_of(top, above):.1f}" r="5" fill="#0000a0"/>')
    if last:
        print(f'<circle cx="{x_of(last[0]):.1f}" cy="{y_of(top, last[1]):.1f}" r="4" fill="#ffffff" '
              'stroke="#0000a0" stroke-width="2"/>')
        text(x_of(last[0]) + 12, y_of(top, last[1]) + 4, "the one in the box", 'text-anchor="start"')


def tables(log):
    """The rows of the section in which the log has these figures: (parameters, tokens, percent above the entropy)."""
    section = log[log.index("## Parameters and data"):].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    return [(int(c[1]), float(c[3].split()[0]) * 1e6, float(c[-1].split()[0])) for c in cells if c[1].isdigit()]


def main():
    found = tables(sys.stdin.read())
    sizes, (*data, box) = found[:len(WIDTHS)], found[len(WIDTHS):]
    title = "The same GPT, larger; and with more to read"
    print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 680" width="720" height="680" '
          f'font-family="sans-serif" font-size="13" fill="#222222" role="img">\n<title>{title}</title>\n'
          '<rect width="720" height="680" rx="8" fill="#ffffff"/>')
    text(LEFT, 30, title, 'font-size="16" font-weight="bold"')
    panel(56, f"parameters (each read {sizes[0][1] / 1e6:g} million tokens)", [(n, above) for n, _, above in sizes],
          None, GPT3[0])
    panel(376, f"tokens read (by {box[0]:,} parameters)", [(n, above) for _, n, above in data], box[1:], GPT3[1])
    print("</svg>")


if __name__ == "__main__":
    main()
