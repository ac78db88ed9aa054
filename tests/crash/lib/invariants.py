"""What must hold after any crash, checked against KOS's, MVNO AP's and PostgreSQL's own records.

Each rule is one function that gives sentences of what is wrong; check() runs them all."""

import json
import time
from collections import Counter, defaultdict

from .rig import PRODUCTS, until

EVENT_OF = {"0000": "product-change.completed", "KOS_UNAVAILABLE": "product-change.system-unavailable"}
TOLD_ONCE = {"completed": "product-change.completed", "failed": "product-change.failed"}


class Records:
    """The neighbours' own records, read once."""

    def __init__(self, w, lines):
        w.note_kos_calls()
        self.w = w
        self.lines = {s.line: s for s in lines}
        mine = self.lines.__contains__
        self.rows = [r for r in w.db.rows("SELECT * FROM product_change.product_change_history ORDER BY requested_at")
                     if mine(r["line_number"])]
        self.row = {str(r["request_id"]): r for r in self.rows}
        self.orders = [o for o in w.kos.orders() if mine(o["lineNumber"])]
        self.applied = [o for o in self.orders if o["applied"]]
        self.events = [e for e in w.mvno.events() if mine(e["body"]["lineNumber"])]
        self.attempts = [a for a in w.attempts if mine(a.line)]
        self.calls = [c for c in w.kos_calls.values() if mine(c["lineNumber"])]

    def by_line(self, things, line_of):
        out = defaultdict(list)
        for thing in things:
            out[line_of(thing)].append(thing)
        return out


def state(result):
    return result["processStatus"], result["resultCode"]


def stored(row):
    return row["status"], row["result_code"]


# --- KOS ---


def applied_once(r, open_ids):
    """No requestId is applied twice at KOS, and no line twice for one intent of its customer."""
    for id_, n in Counter(o["requestId"] for o in r.applied).items():
        if n > 1:
            yield f"KOS applied {id_} {n} times"
    intents = defaultdict(set)
    for a in r.attempts:
        if not a.nothing_ordered():
            intents[a.line].add(a.intent)
    for line, orders in r.by_line(r.applied, lambda o: o["lineNumber"]).items():
        if len(orders) > len(intents[line]):
            yield f"{line}: {len(orders)} orders applied for {len(intents[line])} intents: {orders}"
        for o in orders:
            if o["previous"] == o["new"]:
                yield f"{line}: ordered twice: {o}"


def orders_follow_one_another(r, open_ids):
    """Each order was made for the product that the line really had: nobody ordered on an old reading."""
    for o in r.applied:
        row = r.row.get(o["requestId"])
        if row and (row["current_product_code"], row["target_product_code"]) != (o["previous"], o["new"]):
            yield f"order of {o['requestId']} found {o['previous']}, its change was for {row['current_product_code']}"


def orders_are_known(r, open_ids):
    """Every order that reached KOS is a change of the history; every applied one is COMPLETED there."""
    for id_ in {o["requestId"] for o in r.orders} | {c["requestId"] for c in r.calls}:
        if id_ not in r.row and id_ not in open_ids:
            yield f"KOS received an order of {id_}, of which the history knows nothing"
    for o in r.applied:
        row = r.row.get(o["requestId"])
        if row and row["status"] != "COMPLETED":
            yield f"KOS applied {o['requestId']}, the history says {stored(row)}"
    applied = {o["requestId"] for o in r.applied}
    for id_, row in r.row.items():
        if row["status"] == "COMPLETED" and id_ not in applied:
            yield f"{id_} is COMPLETED, but KOS never applied it"


def nothing_was_ordered(r, open_ids):
    """Whoever was told that nothing was ordered was told the truth."""
    calls = {c["headers"].get("X-Request-ID") for c in r.calls}
    for a in r.attempts:
        if a.nothing_ordered() and a.x_request_id in calls:
            yield f"answered {a.status} {a.code}, but an order of it reached KOS: {a}"


# --- the history ---


def rows_once(r, open_ids):
    for id_, n in Counter(str(row["request_id"]) for row in r.rows).items():
        if n > 1:
            yield f"{id_} is in the history {n} times"


def acknowledged_is_recorded(r, open_ids):
    """200, 202 and recorded 409: in the history with the end that was told."""
    for a in r.attempts:
        id_ = a.request_id
        if not id_:
            continue
        row = r.row.get(id_)
        if row is None:
            if id_ not in open_ids:
                yield f"acknowledged and lost: {a}"
            continue
        if a.status == 200 and stored(row) != state(a.reply.data):
            yield f"{id_} was told {state(a.reply.data)}, recorded {stored(row)}"
        if a.code == "CHANGE_DENIED" and row["status"] != "FAILED":
            yield f"{id_} was told to be refused, recorded {stored(row)}"
        if a.code == "VALIDATION_FAILED" and row["result_code"] != "VALIDATION_FAILED":
            yield f"{id_} failed its pre-check, recorded {stored(row)}"


def told_is_true(r, open_ids):
    """A final state that a look-up or a cancellation gave never changes."""
    for told in r.w.told:
        row = r.row.get(told.request_id)
        if told.result["processStatus"] not in ("COMPLETED", "FAILED"):
            continue
        if told.result["lineNumber"] in r.lines and (row is None or stored(row) != state(told.result)):
            yield f"{told.request_id} was told {state(told.result)}, recorded {row and stored(row)}"


def one_open_change_per_line(r, open_ids):
    """What was ordered of one line never overlapped: checked by the one, ended by the other."""
    ordered = {c["requestId"] for c in r.calls} | {o["requestId"] for o in r.orders}
    for line, rows in r.by_line(r.rows, lambda row: row["line_number"]).items():
        sent = sorted((row for row in rows if str(row["request_id"]) in ordered), key=lambda row: row["validated_at"])
        for one, next_ in zip(sent, sent[1:]):
            if next_["validated_at"] < one["processed_at"]:
                yield (f"{line}: {next_['request_id']} was checked at {next_['validated_at']}, before "
                       f"{one['request_id']} ended at {one['processed_at']}")


# --- MVNO AP ---


def needs_event(row, ordered):
    """None: may or may not have one (a failed pre-check of an accepted change; one outage, one event)."""
    code = row["result_code"]
    if code == "VALIDATION_FAILED" or code == "KOS_UNAVAILABLE":
        return None
    return True


def events_are_told(r, open_ids):
    """Exactly one distinct event for every final change that needs one, never contradicting it."""
    events = r.by_line(r.events, lambda e: e["body"]["requestId"])
    ordered = {o["requestId"] for o in r.orders}
    for id_, of_change in events.items():
        bodies = {e["rawBody"] for e in of_change}
        if len(of_change) > 1 or len(bodies) > 1 or any(e["changed"] for e in of_change):
            yield f"{id_} was told in {len(of_change)} events: {[e['body'] for e in of_change]}"
        row, body = r.row.get(id_), of_change[0]["body"]
        if row is None:
            yield f"MVNO AP was told of {id_} ({body['eventType']}), of which the history knows nothing"
            continue
        type_ = EVENT_OF.get(row["result_code"], "product-change.failed")
        if body["eventType"] != type_ or body["resultCode"] != row["result_code"]:
            yield f"{id_} is {stored(row)}, MVNO AP was told {body['eventType']} {body['resultCode']}"
    for id_, row in r.row.items():
        if needs_event(row, ordered) and id_ not in events:
            yield f"{id_} is {stored(row)}, MVNO AP was never told"


def events_in_order(r, open_ids):
    """In order per line, per instance: as the changes ended."""
    per_line = r.by_line([e for e in r.events if e["body"]["requestId"] in r.row],
                         lambda e: (e["body"]["lineNumber"], r.row[e["body"]["requestId"]]["instance"]))
    for (line, _), events in per_line.items():
        events.sort(key=lambda e: e["sequence"])
        ended = [r.row[e["body"]["requestId"]]["processed_at"] for e in events]
        if ended != sorted(ended):
            yield f"{line}: events out of order: {[e['body']['requestId'] for e in events]}"


# --- tamper evidence ---


def history_is_what_was_written(r, open_ids):
    """The hash chain over the history: nothing altered, missing or foreign, no gap and no fork, whatever was killed."""
    journals = {s.env["JOURNAL_PATH"] for s in r.w.services} | r.w.journals_left
    run = r.w.run("verify-history", "--json", *(word for path in journals for word in ("--journal", path)))
    answer = json.loads(run.stdout) if run.stdout else {}
    for finding in answer.get("findings", []):
        yield f"verify-history: {finding}"
    if answer.get("result") not in ("clean", "findings"):
        yield f"verify-history ended with {run.returncode}: {run.stdout[-300:]} {run.stderr[-300:]}"


RULES = [applied_once, orders_follow_one_another, orders_are_known, nothing_was_ordered, rows_once,
         acknowledged_is_recorded, told_is_true, one_open_change_per_line, events_are_told, events_in_order,
         history_is_what_was_written]


# --- the customer's view ---


def customer_sees_the_truth(r, s, service=None, seconds=5):
    """GET of every change, the history, the menu (twice: the second from the cache)."""
    mine = [row for row in r.rows if row["line_number"] == s.line]
    for row in mine:
        reply = s.result(str(row["request_id"]), service=service)
        if reply is None or reply.status != 200 or state(reply.data) != stored(row):
            yield f"{row['request_id']} is {stored(row)}, its customer is told {reply!r}"
    reply = r.w.ask("GET", "/history?size=100", s.token, service=service)
    if reply is None or reply.status != 200:
        yield f"{s.line}: no history: {reply!r}"
    else:
        seen = sorted(h["requestId"] for h in reply.data["history"])
        if len(mine) <= 100 and seen != sorted(str(row["request_id"]) for row in mine):
            yield f"{s.line}: the history shows {seen}, recorded are {[str(row['request_id']) for row in mine]}"
    for _ in range(2):
        reply = s.menu(service)
        shown = reply.data.get("currentProduct", {}).get("productCode") if reply and reply.status == 200 else reply
        if shown != s.product():
            yield f"{s.line}: the menu shows {shown!r}, KOS says {s.product()}"


def line_can_be_changed(r, s, service=None):
    current = s.product()
    target = PRODUCTS[(PRODUCTS.index(current) + 1) % len(PRODUCTS)] if current in PRODUCTS else PRODUCTS[0]
    a, last = s.change(target, current, service=service), time.monotonic() + 5
    while (a.status, a.code) == (503, "KOS_UNAVAILABLE") and time.monotonic() < last:
        time.sleep(0.1)  # a breaker that is half open counts the probes of the outage too, and may want another round
        a = s.change(target, current, service=service)
    if a.status != 200 or a.reply.data["processStatus"] != "COMPLETED" or s.product() != target:
        yield f"{s.line} cannot be changed any more: {a}"


def neutral(sentences, limit=8):
    found = list(sentences)
    return found[:limit] + ([f"… and {len(found) - limit} more"] if len(found) > limit else [])


def check(w, subscribers, left_open=(), change_again=True, service=None, rules=RULES):
    """Everything is quiet. The sentences of what is wrong; empty: nothing is. left_open: requestIds that an
    operator has to decide."""
    problems = []
    w.expire_claims()
    r = Records(w, subscribers)
    for rule in rules:
        problems += neutral(f"{rule.__name__}: {sentence}" for sentence in rule(r, set(left_open)))
    stuck = {o for o in left_open}
    for s in subscribers:
        problems += neutral(customer_sees_the_truth(r, s, service)) if not stuck else []
    if problems or not change_again or stuck:
        return problems
    for s in subscribers:
        problems += neutral(line_can_be_changed(r, s, service))
    w.quiet(service=service)
    r = Records(w, subscribers)
    for rule in rules:
        problems += neutral(f"{rule.__name__}: {sentence}" for sentence in rule(r, set(left_open)))
    for s in subscribers:
        problems += neutral(customer_sees_the_truth(r, s, service))
    return problems


__all__ = ["RULES", "Records", "check", "until"]
