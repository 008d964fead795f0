"""Works a decision about a tier out again, from nothing but what `stratum explain --json` shows of it."""

MONTH_DAYS = 30.4375
TIERS = ["hot", "warm", "cold"]


def check_reasons(why):
    """Ends the run where a decision doesn't follow from its figures, or its sentence says something else."""
    terms, rules, decision = why["terms"], why["rules"], why["decision"]
    right(why, terms and rules and decision, "nothing is decided by use")
    for tier in TIERS:
        read = terms["get"][tier] + terms["share"] * terms["retrieval"][tier]
        read += 0 if tier == "hot" else terms["slow_read"]
        close(why, f"a read in {tier}", terms["read"][tier], read)
        month = terms["storage_month"][tier] + terms["monthly_reads"] * read
        close(why, f"a month in {tier}", terms["monthly_cost"][tier], month)
        close(why, f"a month's costs in {tier}", why["costs"][tier], month)
    rule, wants = next((rule, verdict["wants"]) for rule, verdict in rules if verdict != "silent")
    said = (decision["by"], decision["tier"], why["next_review"])
    right(why, said == (rule, wants["tier"], wants["until"]), f"the first rule that speaks is {rule}")
    place = f"It stays in {terms['tier']}" if wants["tier"] == terms["tier"] else f"It goes from {terms['tier']} to {wants['tier']}"
    right(why, place in why["sentence"], f"the sentence doesn't say '{place}'")
    if "descend" in terms["course"]:
        check_descent(why, terms, terms["course"]["descend"])
    # An older server foresees no visits.
    if terms.get("visit"):
        check_visit(why, terms, terms["visit"])


def check_descent(why, terms, descent):
    here, to = terms["tier"], descent["to"]
    saved = (terms["storage_month"][here] - terms["storage_month"][to]) / MONTH_DAYS
    back = terms["put"]["hot"] if here == "hot" else 0
    toll = terms["read"][to] - terms["read"][here] + terms["put"][to] + terms["get"][here] + back
    close(why, "the break-even time", descent["break_even_days"], max(toll, 0) / saved)
    after = lambda time, wait: terms[time] + descent[wait] * terms["day"]
    due = max(after("group_last", "group_wait_days"), after("last", "own_wait_days"))
    due = min(due, after("last", "longest_wait_days"))
    right(why, due > 1e15 or abs(due - descent["due"]) < 10, f"it is due at {due}")


def check_visit(why, terms, visit):
    below, days = visit["below"], lambda since, until: max(until - since, 0) / terms["day"]
    dearer = (terms["storage_month"]["hot"] - terms["storage_month"][below]) / MONTH_DAYS
    down = terms["put"][below] + terms["get"]["hot"]
    down_again = down + dearer * visit["stay_days"]
    slower = terms["read"][below] - terms["read"]["hot"]
    visited = slower + terms["put"]["hot"] + down_again if visit["returns"] else slower * visit["reads"]
    up = terms["get"][below] + terms["retrieval"][below] + terms["put"]["hot"]
    if terms["tier"] == "hot":
        early, late = dearer * days(terms["now"], visit["at"]), down
    else:
        early, late = up + dearer * days(visit["ready"], visit["at"]), 0
    close(why, "being there early", visit["early"], early + down_again)
    close(why, "being read late", visit["late"], late + visit["sure"] * visited)


def close(why, what, shown, again):
    right(why, abs(shown - again) <= 1e-9 * max(abs(again), 1e-9), f"{what} is shown as {shown} and comes to {again}")


def right(why, is_so, otherwise):
    if not is_so:
        raise SystemExit(f"\nan explanation doesn't hold: {otherwise} in {why}")
