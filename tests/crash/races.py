"""Races for a key: many writes with one condition at once, of which exactly one may take effect.

A key goes round: it is created (`If-None-Match: *`), swapped a few times, and swapped or deleted (`If-Match` with the ETag
that everybody saw) until it is gone, each time by several racers that start at one moment. One racer alone deletes: a deletion
of what isn't there succeeds, as in S3, so two would both win. A racer who was answered knows how it went; one whose connection
broke with the server doesn't. So of each race this must hold: nobody wins beside another; while the server
lives one wins; the key shows the winner's bytes; and where nobody was told that they won, it shows what was there before,
or what somebody wrote who wasn't told that they lost.
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
    """One of those who race, on a connection of their own that is kept open."""

    def __init__(self, server, seed):
        self.server, self.chance, self.connection = server, random.Random(seed), None

    def ask(self, method, key, body, condition):
        """The answer's status, or None where nobody can know what came of it."""
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
        """Small ones ride in the journal, larger ones lie in stripes before their command is proposed."""
        return self.chance.randbytes(self.chance.choice([200, 200, 200, 3_000, 50_000]))


class Track:
    """The keys that are raced for, and what lies under each."""

    def __init__(self, server, ledger, seed):
        self.server, self.ledger, self.chance = server, ledger, random.Random(seed)
        self.racers = [Racer(server, f"{seed}-{number}") for number in range(RACERS)]
        #: The ETag of what lies there, and how often it was swapped since it was created.
        self.keys = {f"race-{number}": (None, 0) for number in range(KEYS)}
        #: The race that the server's end cut off: its key, and the bodies of those who weren't answered.
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
        """Looks, once there is a server again, at what the race came to that was cut off; if to nothing, it is run anew."""
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
