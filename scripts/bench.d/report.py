"""The tables of a benchmark, and what of them is over its budget.

Used by main.py.
"""

import sys

import hotspots
from budgets import MEMORY_KIB


def more(mine, plain):
    """Instructions that one count has more than that of plain nginx."""
    return mine.each(plain) - plain.each(plain)


class Report:
    def __init__(self):
        self.over = []

    def section(self, title, *notes):
        print(f"\n{title}\n{'-' * len(title)}")
        for note in notes:
            print(note)
        sys.stdout.flush()

    def table(self, head, rows):
        widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
        for row in (head, *rows):
            cells = (cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths)))
            print("  ".join(cells).rstrip())
        sys.stdout.flush()

    def verdict(self, what, value, limit, within):
        if not within:
            self.over.append(f"{what}: {value}, budget {limit}")
        return "within" if within else "OVER"

    # === instructions

    def instructions(self, scenarios, shapes, counts, base="plain"):
        """Absolute, difference and ratio for each shape of request."""
        head = ["instructions per request"]
        for shape in shapes.values():
            head += [shape.title, "+", "ratio"]
        rows = []
        for scenario in scenarios:
            row = [scenario.title]
            for key in shapes:
                row += self._cells(counts[scenario.key].get(key), counts[base].get(key))
            rows.append((*row, self._budget(scenario, shapes, counts, base)))
        self.table((*head, "budget"), rows)

    def profile(self, what, mine, base, module):
        """The functions that one count spends more in than another."""
        self.section(f"Where it goes: {what}, {more(mine, base):+.0f} instructions")
        hotspots.show(mine, base, module)

    def cheapest(self, scenario, others, shapes, counts, base="plain"):
        """The same decision taken in another way costs more."""
        for other in others:
            for key, shape in shapes.items():
                plain = counts[base][key]
                mine, theirs = (counts[s.key][key].each(plain) for s in (scenario, other))
                if mine >= theirs:
                    what = f"instructions, {scenario.title}, {shape.title}"
                    self.over.append(f"{what}: {mine:.0f}, not below {other.title} with {theirs:.0f}")

    def _cells(self, mine, plain):
        if mine is None:
            return ["-", "", ""]
        each, least = mine.each(plain), plain.each(plain)
        return [f"{each:.0f}", f"{each - least:+.0f}", f"{each / least:.3f}"]

    def _budget(self, scenario, shapes, counts, base):
        if not scenario.budget:
            return ""
        words = []
        for key, shape in shapes.items():
            if key in counts[scenario.key] and shape.allowance is not None:
                extra = more(counts[scenario.key][key], counts[base][key])
                what, limit = f"instructions, {scenario.title}, {shape.title}", scenario.budget.instructions + shape.allowance
                words.append(self.verdict(what, f"{extra:+.0f}", f"+{limit}", extra <= limit))
        return f"+{scenario.budget.instructions} {'OVER' if 'OVER' in words else words[0]}"

    def remembered(self, rows):
        """(what, count of plain nginx, count of the module), for requests that differ from row to row"""
        rows = [(what, f"{plain.each(plain):.0f}", *self._cells(mine, plain)) for what, plain, mine in rows]
        self.table(("instructions per request", "plain", "module", "+", "ratio"), rows)

    def firsts(self, rows):
        """Rows with the fields of measure_identity.First."""
        lines = []
        for row in rows:
            plain = f"{row.plain.each(row.plain):.0f}"
            cells = [row.title, str(row.token_bytes), plain, *self._cells(row.mine, row.plain)[:2]]
            extra = row.remembered and more(row.mine, row.plain) - more(row.remembered, row.plain)
            cells.append("" if extra is None else f"{extra:+.0f}")
            word = ""
            if row.limit:
                verdict = self.verdict(f"{row.title}, first", f"{extra:+.0f}", f"+{row.limit}", extra <= row.limit)
                word = f"+{row.limit} {verdict}"
            lines.append((*cells, word))
        head = ("instructions per request", "token bytes", "plain", "first", "+", "more than remembered", "budget")
        self.table(head, lines)

    def growth(self, series, counts, plain):
        rows = []
        for what, scenarios in series:
            cells = [what]
            for scenario in scenarios:
                cells += [f"{scenario.title}:", f"{more(counts[what, scenario.key], plain):+.0f}"]
            rows.append(cells)
        width = max(map(len, rows))
        self.table(("more than plain",) + ("",) * (width - 1), [row + [""] * (width - len(row)) for row in rows])

    # === CPU

    def cpu(self, gateways, shapes, costs):
        head = ["CPU time per request"]
        for shape in shapes.values():
            head += [f"{shape.title} us", "ratio", "95 %"]
        rows = []
        for gateway in gateways:
            row = [gateway.title]
            verdicts = []
            for key, shape in shapes.items():
                cost = costs[gateway.key, key]
                row += [f"{cost.each:.2f}", f"{cost.ratio:.3f}", f"{cost.low:.3f}-{cost.high:.3f}"]
                if gateway.budget and shape.allowance == 0:
                    verdicts.append(self._cpu_verdict(gateway, shape, cost))
            limit = f"{gateway.budget.cpu_ratio} " if gateway.budget else ""
            rows.append((*row, limit + ", ".join(dict.fromkeys(verdicts))))
        self.table((*head, "budget"), rows)

    def _cpu_verdict(self, gateway, shape, cost):
        """Over only when noise does not explain it."""
        limit = gateway.budget.cpu_ratio
        if cost.ratio <= limit:
            return "within"
        if cost.low <= limit:
            return "not clear"
        what = f"CPU, {gateway.title}, {shape.title}"
        return self.verdict(what, f"{cost.ratio:.3f} ({cost.low:.3f}-{cost.high:.3f})", limit, False)

    # === memory

    def memory(self, rows):
        base = rows[0].kilobytes
        lines = []
        for row in rows:
            cells = [row.title]
            for kind in ("Rss", "Pss", "Private"):
                cells += [str(row.kilobytes[kind]), f"{row.kilobytes[kind] - base[kind]:+d}"]
            extra = row.kilobytes["Rss"] - base["Rss"]
            word = ""
            if row.budget:
                word = self.verdict(f"memory, {row.title}", f"{extra:+d} KiB", f"+{MEMORY_KIB} KiB", extra <= MEMORY_KIB)
            lines.append((*cells, word))
        self.table(("worker, KiB", "RSS", "+", "PSS", "+", "private", "+", f"budget +{MEMORY_KIB}"), lines)

    def end(self):
        if not self.over:
            print("\nAll budgets hold.")
            return 0
        print("\nOver budget:")
        for line in self.over:
            print(f"  {line}")
        return 1
