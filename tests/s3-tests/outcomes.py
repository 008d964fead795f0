"""A pytest plugin: gives each worker users of its own, selects cases, and writes the outcome of each to a file.

The suite's teardown deletes every bucket of its users, and one case counts them, so workers that shared users would
disturb each other. Each worker has a configuration of its own, which is chosen here before the suite reads it.

A case passes when its setup, its call and its teardown pass; a skipped one does not.
"""

import json
import os

FOLDER = os.environ["S3_TESTS_FOLDER"]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
os.environ["S3TEST_CONF"] = os.path.join(FOLDER, f"{WORKER}.conf")

#: A file that names the cases to run, one a line. Without it all cases run.
CHOSEN = os.environ.get("S3_TESTS_CHOSEN")

passed = {}


def short(nodeid):
    """The name of a case without the suite's folder, as `test_s3.py::test_bucket_list_empty`."""
    return nodeid.rsplit("/", 1)[-1]


def pytest_collection_modifyitems(config, items):
    """Selects cases by name. Were they pytest's arguments, a case that the suite doesn't have any more would stop the
    run."""
    if not CHOSEN:
        return
    with open(CHOSEN) as lines:
        names = {line.strip() for line in lines}
    config.hook.pytest_deselected(items=[item for item in items if short(item.nodeid) not in names])
    items[:] = [item for item in items if short(item.nodeid) in names]


def pytest_runtest_logreport(report):
    """Called for each of a case's three phases. The controller is told of the phases of all workers."""
    name = short(report.nodeid)
    passed[name] = passed.get(name, True) and report.outcome == "passed"


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        with open(os.path.join(FOLDER, "outcomes.json"), "w") as file:
            json.dump(passed, file)
