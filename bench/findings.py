"""What a measurement found, as a Markdown table."""

import sys


class Findings:
    """A table of what was measured, the figure, and what it should be."""

    def __init__(self):
        self.lines = []

    def add(self, what, value, wanted="", reached=None):
        self.lines.append([what, value, wanted, {None: "", True: "yes", False: "no"}[reached]])
        print(f"{what}: {value}", file=sys.stderr, flush=True)

    def show(self):
        print("| measured | value | should be | reached |\n| --- | ---: | --- | --- |")
        for line in self.lines:
            print("| " + " | ".join(line) + " |")
