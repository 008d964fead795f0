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


def close(why, what, shown, again):
    right(why, abs(shown - again) <= 1e-9 * max(abs(again), 1e-9), f"{what} is shown as {shown} and comes to {again}")


def right(why, is_so, otherwise):
    if not is_so:
        raise SystemExit(f"\nan explanation doesn't hold: {otherwise} in {why}")
