"""A pytest plugin: gives each worker users of its own, and writes down the outcome of every case.

The suite's teardown deletes every bucket of its users, and one case counts them: workers that shared users would trip
over each other. So each worker has a configuration of its own, chosen here before the suite reads it.

A case passes when its setup, its call and its teardown pass; a skipped one does not.
"""

import json
import os

FOLDER = os.environ["S3_TESTS_FOLDER"]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
os.environ["S3TEST_CONF"] = os.path.join(FOLDER, f"{WORKER}.conf")

passed = {}


def pytest_runtest_logreport(report):
    """Called for each of the three phases; the controller hears of every worker's."""
    name = report.nodeid.rsplit("/", 1)[-1]
    passed[name] = passed.get(name, True) and report.outcome == "passed"


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        with open(os.path.join(FOLDER, "outcomes.json"), "w") as file:
            json.dump(passed, file)
