"""Measures two rows with warp, a load tool of others, which drives the peer and Stratum.

warp uses a full S3 SDK and shares the machine with the server, so its figures are lower and its ratios nearer to one
than those of `stratum bench`. They show whether `stratum bench` gives the right picture.
"""

import datetime
import json
import os
import statistics
import subprocess

from contestants import ACCESS_KEY, SECRET_KEY

ROWS = {"PUT 4 KiB, 32 clients": ("put", []), "GET 4 KiB, 32 clients": ("get", ["--objects", "5000"])}


class Foreign:
    """What warp measured: {row: {contestant: [requests a second a round, or a problem in words]}}."""

    def __init__(self, contestants):
        self.names = {who: server.name for who, server in contestants.items() if who != "limit"}
        self.results = {title: {who: [] for who in self.names} for title in ROWS}

    def lines(self):
        names = list(self.names.values())
        yield "| with warp | " + " | ".join(f"{name}, ops/s" for name in names) + " | x peer |"
        yield "| --- |" + " ---: |" * (len(names) + 1)
        for title, results in self.results.items():
            figures = {who: figure(rounds) for who, rounds in results.items()}
            cells = [show(value) for value in figures.values()]
            peer, ours = figures.get("peer"), figures.get("stratum")
            both = isinstance(peer, float) and isinstance(ours, float)
            yield f"| {title} | " + " | ".join(cells) + f" | {f'{ours / peer:.2f}' if both else ''} |"


def foreign_rows(options, contestants):
    """Runs warp's rows. As in the main table, every server starts on a new folder in each round."""
    foreign = Foreign(contestants)
    for number in range(options.rounds):
        for title, (op, flags) in ROWS.items():
            for who in foreign.names:
                server = contestants[who]
                server.start(os.path.join(options.work, f"{who}-warp-{op}-{number}"))
                try:
                    foreign.results[title][who].append(measure(options, server, op, flags))
                finally:
                    server.stop()
                    server.clear()
    return foreign


def measure(options, server, op, flags):
    data = f"{server.folder}.warp"
    address = ["--host", f"127.0.0.1:{server.port}", "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
    load = ["--obj.size", "4KiB", "--concurrent", "32", "--duration", f"{options.seconds}s", "--noclear"]
    run = [options.warp, op, *address, *load, *flags, "--no-color", "--benchdata", data]
    done = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    analyze = [options.warp, "analyze", "--json", f"{data}.json.zst"]
    text = subprocess.run(analyze, stdout=subprocess.PIPE, text=True, check=False).stdout
    try:
        total = json.loads(text)["by_op_type"][op.upper()]
    except (ValueError, KeyError, TypeError):
        return f"no report: {done.stdout[-200:]!r}"
    if total["total_errors"]:
        return f"{total['total_errors']} errors, the first {total['first_errors']}"
    start, end = (datetime.datetime.fromisoformat(total[key]) for key in ("start_time", "end_time"))
    return total["total_requests"] / (end - start).total_seconds()


def figure(rounds):
    """The median of the rounds, or the first problem."""
    problems = [value for value in rounds if isinstance(value, str)]
    return problems[0] if problems else statistics.median(rounds)


def show(value):
    return f"{value:,.0f}" if isinstance(value, float) else value
