"""Races for a key: many writes with one condition at once, of which exactly one may take effect.

Each key goes through a cycle: it is created (`If-None-Match: *`), overwritten a few times, and then overwritten or
deleted (`If-Match` with the ETag that all racers saw) until it is gone. Each step is a race of several racers that
start at once. Only one racer of a race deletes: as in S3, deleting an object that isn't there succeeds, so two
deletions would both win. A racer that was answered knows whether it won; one whose connection broke with the server
doesn't.

So this must hold of each race: no two racers win; while the server lives, one wins; the key then has the winner's
bytes; and if nobody was told that they won, the key has the bytes from before the race, or those of a racer that
wasn't answered.
"""

import hashlib
import http.client
import random
import threading

from store import fingerprint, path

KEYS, RACERS, SWAPS = 16, 8, 3
WON, LOST = (200, 204), (412, 404)


class Unfair(Exception):
    """A race that ended as none may."""


class Racer:
    """A racer, with a connection of its own that is kept open."""

    def __init__(self, server, seed):
        self.server, self.chance, self.connection = server, random.Random(seed), None

    def ask(self, method, key, body, condition):
        """The answer's status, or None if the connection broke, so that the outcome is unknown."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            self.connection.request(method, path(key), body, condition)
            response = self.connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException):
            self.connection = None
            return None

    def body(self):
        """A body. Small ones are written to the journal, larger ones to stripes before their command is proposed."""
        return self.chance.randbytes(self.chance.choice([200, 200, 200, 3_000, 50_000]))


class Track:
    """The keys that are raced for, and the object that each has."""

    def __init__(self, server, ledger, seed):
        self.server, self.ledger, self.chance = server, ledger, random.Random(seed)
        self.racers = [Racer(server, f"{seed}-{number}") for number in range(RACERS)]
        #: By key: the ETag of its object, and how often it was overwritten since it was created.
        self.keys = {f"race-{number}": (None, 0) for number in range(KEYS)}
        #: The race that the server's end cut off: its key, and the bodies of the racers that weren't answered.
        self.cut_off, self.problem, self.won = None, None, 0

    def run(self):
        """One race after another, until the server's end cuts one off."""
        try:
            while self.cut_off is None:
                self.race(self.chance.choice(list(self.keys)))
        except Unfair as problem:
            self.problem = str(problem)

    def race(self, key):
        etag, swaps = self.keys[key]
        condition = {"If-None-Match": "*"} if etag is None else {"If-Match": etag}
        bodies = [racer.body() for racer in self.racers]
        if etag and swaps >= SWAPS:
            bodies[self.chance.randrange(RACERS)] = None
        for body in bodies:
            self.ledger.may_become(key, fingerprint(body))
        statuses = self.all_at_once(key, bodies, condition)
        if wrong := set(statuses) - {None, *WON, *LOST}:
            raise Unfair(f"{wrong} in a race for {key}")
        winners = [body for body, status in zip(bodies, statuses) if status in WON]
        unknown = [body for body, status in zip(bodies, statuses) if status is None]
        if len(winners) > 1 or not (winners or unknown):
            raise Unfair(f"{len(winners)} won a race for {key}: {statuses}")
        if winners:
            self.now_lies(key, winners[0])
        else:
            self.cut_off = key, unknown

    def all_at_once(self, key, bodies, condition):
        start, statuses = threading.Barrier(RACERS), [None] * RACERS

        def run(number):
            method = "DELETE" if bodies[number] is None else "PUT"
            start.wait()
            statuses[number] = self.racers[number].ask(method, key, bodies[number], condition)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(RACERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses

    def settle(self):
        """Looks, once the server runs again, how the race ended that was cut off. If nobody won it, it is run anew."""
        (key, unknown), self.cut_off = self.cut_off, None
        for racer in self.racers:
            racer.connection = None
        status, body, headers = self.server.request("GET", path(key))
        found, before = body if status == 200 else None, self.keys[key][0]
        if status in (200, 404) and headers["ETag"] == before:
            self.race(key)
        elif status in (200, 404) and found in unknown:
            self.now_lies(key, found)
        else:
            raise Unfair(f"{key} shows what nobody wrote but who was told that they lost ({status})")

    def now_lies(self, key, body):
        etag, swaps = self.keys[key]
        self.won += 1
        self.ledger.now_is(key, fingerprint(body))
        self.keys[key] = (None, 0) if body is None else (f'"{hashlib.md5(body).hexdigest()}"', swaps + 1 if etag else 0)
