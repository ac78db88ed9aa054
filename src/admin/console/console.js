"use strict";
/* The operator's console: polls the admin API of one instance with the token in Authorization. Everything that comes from
 * outside is put in as text, never as markup. */

const POLL_MS = 2000, SLOW_EVERY = 3, KEEP = 150;
const $ = (id) => document.getElementById(id);
const seconds = (ms) => ms / 1000;
let timer = 0, round = 0, shown = "dead", before = null;
const series = { rate: [], errors: [], p50: [], p99: [], completed: [], others: [] };

/* ---- small things ---- */

function make(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (k === "class") e.className = v;
    else if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v !== null && v !== undefined && v !== false) e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined).map((c) => (c instanceof Node ? c : String(c))));
  return e;
}
/* New children; whoever had the keyboard on a button or link of an old one has it on the same of the new. */
function renew(parent, children) {
  const key = document.activeElement?.dataset.key;
  parent.replaceChildren(...children);
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
function fill(table, rows) {
  const heads = [...$(table).tHead.rows[0].cells];
  for (const r of rows) [...r.cells].forEach((cell, i) => { cell.dataset.label = heads[i].textContent; });
  renew($(table).tBodies[0], rows);
}
const number = (n, digits = 0) => (n === null || Number.isNaN(n) ? "–" : n.toLocaleString("en", { maximumFractionDigits: digits }));
function duration(s) {
  if (s === null || s === undefined || Number.isNaN(s)) return "–";
  if (s === 0) return "0 s";
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 1) return `${number(s * 1000, s < 0.01 ? 1 : 0)} ms`;
  if (s < 120) return `${number(s, 1)} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}
function size(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${number(n, i && n < 10 ? 1 : 0)} ${units[i]}`;
}
const clock = (t) => (t ? new Date(t).toLocaleTimeString([], { hour12: false }) : "–");
const stamp = (t) => (t ? `${new Date(t).toLocaleDateString([], { month: "2-digit", day: "2-digit" })} ${clock(t)}` : "–");
/* The zone of this browser, in which every time here is; the log's own (UTC) is to be had by pointing at it. */
function zone() {
  const m = -new Date().getTimezoneOffset(), two = (n) => String(n).padStart(2, "0");
  return m ? `UTC${m < 0 ? "−" : "+"}${two(Math.floor(Math.abs(m) / 60))}:${two(Math.abs(m) % 60)}` : "UTC";
}
const isToday = (t) => new Date(t).toDateString() === new Date().toDateString();
const when = (t, ...more) => (t ? make("time", { datetime: t, title: t }, isToday(t) ? clock(t) : stamp(t), ...more) : "–");

/* ---- the API ---- */

class Refused extends Error {
  constructor(status, error) {
    super([error?.message, error?.details].filter(Boolean).join(": ") || `HTTP ${status}`);
    this.status = status;
    this.code = error?.code;
  }
}

async function ask(method, path, body) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem("token") || ""}`, "Accept-Language": "en" };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (path === "/admin/metrics" && answer.ok) return answer.text();
  const json = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, json?.error);
  return json.data;
}

/* ---- Prometheus' text, as far as it is needed here ---- */

function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const m = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!m) continue;
    const labels = {};
    for (const l of (m[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[l[1]] = l[2];
    samples.push({ name: m[1], labels, value: Number(m[3]) });
  }
  return samples;
}
const sum = (samples, name, where = () => true) => samples.reduce((n, s) => (s.name === name && where(s.labels) ? n + s.value : n), 0);

/* Upper bound of the bucket in which the quantile of what came between two scrapes lies, interpolated as Prometheus does. */
function quantile(q, now, then, name, where) {
  const buckets = new Map();
  for (const [samples, sign] of [[now, 1], [then, -1]]) {
    for (const s of samples) {
      if (s.name === `${name}_bucket` && where(s.labels)) {
        const le = s.labels.le === "+Inf" ? Infinity : Number(s.labels.le);
        buckets.set(le, (buckets.get(le) || 0) + sign * s.value);
      }
    }
  }
  const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
  const total = sorted.length ? sorted[sorted.length - 1][1] : 0;
  if (total <= 0) return null;
  let low = 0, below = 0;
  for (const [le, count] of sorted) {
    if (count >= q * total) return le === Infinity ? low : low + (le - low) * ((q * total - below) / Math.max(count - below, 1e-9));
    low = le;
    below = count;
  }
  return low;
}

const customers = (l) => !/^\/(admin|health|metrics|actuator|openapi)/.test(l.route || "");

/* ---- traffic ---- */

function tile(name, value, kind = "") {
  return make("div", { class: "tile" }, make("b", { class: kind }, value), make("span", {}, name));
}

function push(name, value) {
  series[name].push(value);
  if (series[name].length > KEEP) series[name].shift();
}

function chart(id, first, second, format) {
  const svg = $(id), W = 300, H = 100, ns = "http://www.w3.org/2000/svg";
  const top = Math.max(...first, ...second, 1e-9);
  const node = (tag, attributes) => {
    const e = document.createElementNS(ns, tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    return e;
  };
  const points = (values) => values.map((v, i) => `${((W * (KEEP - values.length + i)) / (KEEP - 1)).toFixed(1)},${(H - 4 - ((H - 16) * (v || 0)) / top).toFixed(1)}`).join(" ");
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(node("line", { x1: 0, x2: W, y1: H - 4, y2: H - 4 }), node("line", { x1: 0, x2: W, y1: 12, y2: 12 }),
    node("polyline", { class: "l1", points: points(first) }), node("polyline", { class: "l2", points: points(second) }));
  $(`${id}-top`).textContent = top > 1e-9 ? `up to ${format(top)}` : "";
}

function showTraffic(text) {
  const now = { at: performance.now(), samples: parse(text) };
  const then = before || now; /* at first there is nothing to compare with: what counts is 0 */
  const span = before ? seconds(now.at - then.at) : 1;
  before = now;
  const rate = (name, where) => Math.max(0, sum(now.samples, name, where) - sum(then.samples, name, where)) / span;
  const requests = rate("pcs_http_requests_total", customers), errors = rate("pcs_http_requests_total", (l) => customers(l) && l.status === "5xx");
  const p50 = quantile(0.5, now.samples, then.samples, "pcs_http_request_seconds", customers);
  const p99 = quantile(0.99, now.samples, then.samples, "pcs_http_request_seconds", customers);
  const completed = rate("pcs_changes_total", (l) => l.result === "completed"), changes = rate("pcs_changes_total", () => true);
  const served = rate("pcs_cache_requests_total", (l) => ["hit", "stale", "refresh"].includes(l.result));
  const looked = rate("pcs_cache_requests_total", (l) => l.result !== "afresh");
  push("rate", requests); push("errors", errors); push("p50", p50 || 0); push("p99", p99 || 0);
  push("completed", completed); push("others", changes - completed);
  $("tiles").replaceChildren(
    tile("requests a second", number(requests, 1)), tile("5xx a second", number(errors, 1), errors > 0 ? "bad" : ""),
    tile("p50", duration(p50)), tile("p99", duration(p99)),
    tile("changes a second", number(changes, 1)),
    tile("from the cache", looked > 0 ? `${number((100 * served) / looked, 1)} %` : "–"),
    tile("connections", number(sum(now.samples, "pcs_http_connections"))),
    tile("turned away a second", number(rate("pcs_http_rejected_total", () => true), 1)),
    tile("CPU", `${number(100 * rate("process_cpu_seconds_total"), 0)} %`),
    tile("memory", size(sum(now.samples, "process_resident_memory_bytes"))),
    tile("loop lag", duration(sum(now.samples, "pcs_loop_lag_seconds"))));
  chart("chart-rate", series.rate, series.errors, (v) => `${number(v, 1)}/s`);
  chart("chart-latency", series.p50, series.p99, duration);
  chart("chart-changes", series.completed, series.others, (v) => `${number(v, 1)}/s`);
}

/* ---- status, journal ---- */

const kindOf = (status) => (status === "UP" || status === "CLOSED" ? "good" : status === "DEGRADED" || status === "HALF_OPEN" ? "warn" : "bad");

function showStatus(s) {
  const j = s.journal, b = s.backlog;
  $("instance").textContent = [s.service.host, s.service.version, `slot ${s.service.slot}`, `up ${duration(s.service.uptimeSeconds)}`].filter(Boolean).join(" · ");
  $("instance").title = `instance ${s.service.instance}, process ${s.service.pid}, since ${s.service.startedAt}`;
  document.title = `${s.status} · ${s.service.host || "product-change-service"} slot ${s.service.slot}`;
  const down = Object.entries(s.neighbours).filter(([, v]) => v !== "UP").map(([k]) => k);
  $("health").className = `pill ${kindOf(s.status)}`;
  $("health").textContent = [s.status, s.retiring && "retiring", s.stopping && "stopping", down.length && `out: ${down.join(", ")}`].filter(Boolean).join(" · ");
  const warn = (n) => (n > 0 ? "warn" : ""), bad = (n) => (n > 0 ? "bad" : "");
  $("backlog").replaceChildren(
    tile("takes changes", j.writable ? "yes" : "no", j.writable ? "good" : "bad"),
    tile("open", number(j.open ?? null)), tile("in doubt", number(j.inDoubt ?? null), warn(j.inDoubt)),
    tile("oldest doubt", j.oldestDoubtSeconds ? duration(j.oldestDoubtSeconds) : "–", j.oldestDoubtSeconds > 900 ? "bad" : ""),
    ...(b ? [tile("rows for PostgreSQL", number(b.postgresql.rows), warn(b.postgresql.rows > 1000)), tile("rows it refused", number(b.postgresql.refused), bad(b.postgresql.refused)),
      tile("events for MVNO AP", number(b.mvno.events), warn(b.mvno.oldestSeconds > 60)), tile("dead letters", number(b.mvno.dead), bad(b.mvno.dead)),
      tile("cache entries to drop", number(b.cache.invalidations), warn(b.cache.invalidations))] : []),
    tile("slots without owner", number(s.orphanSlots), bad(s.orphanSlots)), tile("journal", size(j.bytes || 0)));
  $("doubt-count").textContent = number(j.inDoubt ?? 0);
}

/* ---- what needs a person, first ---- */

function showAttention(s, breakers) {
  const j = s.journal, b = s.backlog, found = [];
  const say = (kind, text, where) => found.push(make("li", {}, make("a", { class: kind, href: `#${where}`, "data-key": `${where} ${found.length}` }, text)));
  const many = (n, one, more) => `${number(n)} ${n === 1 ? one : more}`;
  if (!j.writable) say("bad", `takes no changes: the journal cannot be written${j.reason ? ` (${j.reason})` : ""}`, "t-journal");
  for (const x of breakers) {
    if (x.state !== "CLOSED") say(kindOf(x.state), `${x.name} is ${x.state} since ${isToday(x.since) ? clock(x.since) : stamp(x.since)}`, "t-neighbours");
  }
  for (const [name, state] of Object.entries(s.neighbours)) if (state !== "UP") say("bad", `${name} is out`, "t-neighbours");
  if (j.inDoubt > 0) say(j.oldestDoubtSeconds > 900 ? "bad" : "warn", `${many(j.inDoubt, "change", "changes")} in doubt, the oldest for ${duration(j.oldestDoubtSeconds)}`, "t-doubts");
  if (b?.mvno.dead > 0) say("bad", many(b.mvno.dead, "dead letter", "dead letters"), "t-deliveries");
  if (b?.postgresql.refused > 0) say("bad", `${many(b.postgresql.refused, "row", "rows")} refused by PostgreSQL`, "t-journal");
  if (s.orphanSlots > 0) say("bad", `${many(s.orphanSlots, "slot", "slots")} without an owner`, "t-journal");
  if (!found.length) found.push(make("li", { class: "dim" }, "Nothing needs a person."));
  if ($("attention").textContent !== found.map((f) => f.textContent).join("")) renew($("attention"), found); /* else it would be read out again */
}

/* ---- breakers ---- */

function bar(used, most) {
  if (most === undefined) return "–";
  const inner = make("i");
  inner.style.width = `${Math.min(100, (100 * used) / Math.max(most, 1))}%`;
  return make("div", {}, `${number(used)} / ${number(most)}`, make("div", { class: "bar" }, inner));
}

function showBreakers(data) {
  const percent = (p) => (p === undefined ? "–" : `${p} %`);
  fill("breakers", data.breakers.map((b) => make("tr", {},
    make("td", { class: "mono tight" }, b.name),
    make("td", { class: "tight" }, make("span", { class: `pill ${kindOf(b.state)}` }, b.state), b.state === "CLOSED" ? null : make("div", { class: "dim" }, "since ", when(b.since))),
    make("td", {}, percent(b.failureRatePercent)), make("td", {}, percent(b.slowCallRatePercent)),
    make("td", {}, b.lastCause ? `${b.lastCause} ` : "–", make("span", { class: "dim" }, b.lastCauseAt ? when(b.lastCauseAt) : "")),
    make("td", {}, b.bulkhead ? bar(b.bulkhead.inFlight, b.bulkhead.maxInFlight) : "–"),
    make("td", {}, b.bulkhead ? bar(b.bulkhead.queued, b.bulkhead.maxQueue) : "–"),
    make("td", {}, b.bulkhead ? number(b.bulkhead.refused) : "–"),
    make("td", {}, make("button", { type: "button", "aria-label": `Switch ${b.name}`, "data-key": `switch ${b.name}`, onclick: () => switchBreaker(b) }, "Switch…")))));
}

function switchBreaker(b) {
  dialog(`Switch ${b.name}`, `It is ${b.state} now. What you choose is not kept through a restart.`, [
    ["reset", "reset: closed, window and back-off forgotten"], ["closed", "closed"], ["forced-open", "forced-open: nothing passes"],
    ["disabled", "disabled: everything passes, nothing is counted"], ["metrics-only", "metrics-only: counted, never opens"]],
  (action, reason) => ask("PUT", `/admin/breakers/${encodeURIComponent(b.name)}`, { action, actor: sessionStorage.getItem("actor"), ...(reason && { reason }) }),
  (action) => ["forced-open", "disabled", "metrics-only"].includes(action));
}

/* ---- doubts ---- */

const storyLink = (id) => make("button", { type: "button", class: "link mono", title: id, "data-key": `story ${id}`, onclick: () => search(id) }, `${id.slice(0, 13)}…`);

function showDoubts(data) {
  $("doubts-empty").hidden = data.doubts.length > 0;
  $("doubts").parentElement.hidden = data.doubts.length === 0;
  fill("doubts", data.doubts.map((d) => make("tr", {},
    make("td", { class: "tight" }, duration(d.ageSeconds), d.onOperatorList ? make("div", {}, make("span", { class: "pill bad" }, "waits for you")) : null),
    make("td", { class: "mono tight" }, d.lineNumber),
    make("td", {}, d.currentProductName || "", make("div", { class: "dim mono" }, d.currentProductCode || "")),
    make("td", {}, d.targetProductName || "", make("div", { class: "dim mono" }, d.targetProductCode)),
    make("td", {}, `${number(d.checks)}×`), make("td", { class: "tight" }, d.onOperatorList ? "–" : when(d.nextCheckAt)),
    make("td", {}, storyLink(d.requestId)),
    make("td", { class: "tight" }, make("button", { type: "button", "data-key": `check ${d.requestId}`, onclick: () => checkNow(d) }, "Ask KOS now"), " ",
      make("button", { type: "button", "data-key": `settle ${d.requestId}`, onclick: () => settle(d) }, "Settle…")))));
}

async function checkNow(d) {
  try {
    await ask("POST", `/admin/changes/${d.requestId}/check`);
    refreshSlow();
  } catch (e) {
    tell(e.message);
  }
}

function settle(d) {
  dialog(`Settle ${d.lineNumber}`, `${d.currentProductCode} → ${d.targetProductCode}, in doubt since ${stamp(d.doubtSince)}. Ask the carrier first: MVNO AP and the customer are told what you choose, and it cannot be taken back.`,
    [["completed", "completed: the line has the new plan"], ["not-applied", "not applied: it has not, and will not get it"]],
    (outcome, reason) => ask("POST", `/admin/changes/${d.requestId}/settle`, { outcome, actor: sessionStorage.getItem("actor"), reason }), () => true);
}

/* ---- deliveries ---- */

function showDeliveries(data) {
  $("deliveries-empty").hidden = data.deliveries.length > 0;
  $("deliveries").parentElement.hidden = data.deliveries.length === 0;
  fill("deliveries", data.deliveries.map((e) => {
    const last = e.lastAttempt;
    return make("tr", {},
      make("td", {}, e.seq), make("td", { class: "tight" }, e.eventType), make("td", { class: "mono tight" }, e.lineNumber),
      make("td", { class: "tight" }, when(e.createdAt)),
      make("td", { class: "tight" }, last ? `${last.status || last.error || "no answer"} ` : "–", make("span", { class: "dim" }, last ? when(last.at) : "")),
      make("td", { class: "answer mono" }, last?.answer || ""), make("td", {}, storyLink(e.requestId)),
      make("td", { class: "tight" }, e.state === "pending" ? make("span", {}, "due ", when(e.dueAt)) : make("button", { type: "button", "data-key": `replay ${e.seq}`, onclick: () => replay(e) }, "Replay…")));
  }));
}

function replay(e) {
  dialog(`Send event ${e.seq} again`, `${e.eventType} of ${e.lineNumber}, same id and body, with a fresh signature.`,
    [["in-order", "if no later event of the line was delivered"], ["out-of-order", "in any case: MVNO AP may see it after a later one"]],
    (how, reason) => ask("POST", `/admin/deliveries/${e.seq}/replay`, { outOfOrder: how === "out-of-order", actor: sessionStorage.getItem("actor"), ...(reason && { reason }) }));
}

/* ---- stories ---- */

async function search(what) {
  const text = what.trim(), digits = text.replace(/[-\s]/g, "");
  const query = /^[0-9]{10,11}$/.test(digits) ? `line=${digits}&limit=10` : `id=${encodeURIComponent(text)}`;
  $("what").value = text;
  $("stories").replaceChildren(make("p", { class: "dim" }, "…"));
  try {
    const data = await ask("GET", `/admin/trace?${query}`);
    const list = data.stories.filter((s) => s.inJournal || s.history?.row);
    $("stories").replaceChildren(...list.map(story), ...(list.length ? [] : [make("p", { class: "dim" }, "Nothing is known of it here.")]));
  } catch (e) {
    $("stories").replaceChildren(make("p", { class: e.status === 404 ? "dim" : "bad" }, e.status === 404 ? "Nothing is known of it here." : e.message));
  }
  $("t-trace").scrollIntoView({ behavior: "smooth" });
}

function story(s) {
  const c = s.change || s.history?.row || {}, items = [];
  for (const x of s.states || []) items.push({ at: x.at, text: x.state, kind: "" });
  for (const k of s.kosCalls || []) items.push({ at: k.at, text: `KOS ${k.operation} → ${k.outcome} ${k.resultCode || ""} (HTTP ${k.httpStatus || "–"}, ${k.milliseconds} ms, breaker ${k.breakerState})`, kind: "call" });
  for (const e of s.events || []) for (const a of e.attempts) items.push({ at: a.at, text: `MVNO AP ${e.eventType} → ${a.status || a.error || "no answer"}, ${a.verdict} (${a.milliseconds} ms)`, kind: "event" });
  items.sort((a, b) => (a.at || "").localeCompare(b.at || ""));
  const facts = { Request: c.requestId, Line: c.lineNumber, Change: `${c.currentProductCode || "?"} → ${c.targetProductCode || "?"}`, Result: [c.resultCode, c.resultMessage, c.failureReason].filter(Boolean).join(" · "),
    Customer: c.customerId, "Asked by": c.subject, "Settled by": c.actor !== c.subject && c.actor, "Order at KOS": c.kosOrderNumber, Correlation: c.correlationId, Trace: c.traceparent,
    PostgreSQL: s.forwarding ? `${s.forwarding.state}${s.forwarding.reason ? `: ${s.forwarding.reason}` : ""}` : s.history?.row ? "has it" : "", "Cache entry": s.invalidation?.pending ? "still to be dropped" : "" };
  const dl = make("dl");
  for (const [k, v] of Object.entries(facts)) if (v) dl.append(make("dt", {}, k), make("dd", {}, v));
  return make("article", { class: "card story" },
    make("h3", {}, make("span", { class: `pill ${c.state === "COMPLETED" ? "good" : c.inDoubt ? "warn" : ""}` }, c.inDoubt ? "IN DOUBT" : c.state || "?")), dl,
    make("ol", { class: "time" }, ...items.map((i) => make("li", { class: i.kind }, make("span", { class: "at mono", title: i.at }, i.at ? `${stamp(i.at)}.${i.at.slice(20, 23)}` : ""), i.text))),
    make("details", {}, make("summary", {}, "Everything, as it is"), make("pre", {}, JSON.stringify(s, null, 2))));
}

/* ---- asking back ---- */

let askDone = null;
/* reasonNeeded(choice): nothing is sent without a reason. */
function dialog(title, text, choices, act, reasonNeeded = () => false) {
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-wrong").textContent = "";
  $("reason").value = "";
  $("reason").required = reasonNeeded("");
  $("ask-choices").replaceChildren(...choices.map(([value, label]) => make("label", {}, make("input", { type: "radio", name: "choice", value, required: true }), label)));
  $("ask-choices").onchange = (event) => { $("reason").required = reasonNeeded(event.target.value); };
  askDone = act;
  $("ask").showModal();
}

$("ask-form").addEventListener("submit", async (event) => {
  if (event.submitter.value !== "yes") return;
  event.preventDefault();
  $("ask-yes").disabled = true;
  try {
    await askDone(new FormData(event.target).get("choice"), $("reason").value.trim());
    $("ask").close();
    refresh();
    refreshSlow();
  } catch (e) {
    $("ask-wrong").textContent = e.message;
  }
  $("ask-yes").disabled = false;
});

/* ---- the round ---- */

function tell(text) {
  $("notice").textContent = text || "";
  $("notice").hidden = !text;
}

async function refreshSlow() {
  const state = shown;
  try {
    const [doubts, deliveries] = await Promise.all([ask("GET", "/admin/doubts?limit=200"), ask("GET", `/admin/deliveries?state=${state}&limit=50`)]);
    showDoubts(doubts);
    if (state === shown) showDeliveries(deliveries);
  } catch (e) {
    failed(e);
  }
}

async function refresh() {
  try {
    const [status, metrics, breakers] = await Promise.all([ask("GET", "/admin/status"), ask("GET", "/admin/metrics"), ask("GET", "/admin/breakers")]);
    showStatus(status);
    showTraffic(metrics);
    showBreakers(breakers);
    showAttention(status, breakers.breakers);
    $("freshness").textContent = `as of ${clock(Date.now())} ${zone()}`;
    tell("");
    return true;
  } catch (e) {
    failed(e);
    return false;
  }
}

function failed(e) {
  if (e.status === 401) return door("The token is not accepted.");
  if (e.status === 403) return door(e.message);
  $("health").className = "pill bad";
  $("health").textContent = "no answer";
  tell(e instanceof Refused ? e.message : "The service does not answer. What is shown is as of the time above.");
}

async function tick() {
  if (!document.hidden) {
    await refresh();
    if (round++ % SLOW_EVERY === 0) await refreshSlow();
  }
  if (!$("room").hidden) timer = setTimeout(tick, POLL_MS);
}

function door(why) {
  clearTimeout(timer);
  sessionStorage.removeItem("token");
  before = null;
  $("room").hidden = true;
  $("leave").hidden = true;
  $("door").hidden = false;
  $("refused").textContent = why || "";
  $("actor").value = sessionStorage.getItem("actor") || "";
  $("token").focus();
}

function enter() {
  $("door").hidden = true;
  $("room").hidden = false;
  $("leave").hidden = false;
  round = 0;
  tick();
}

$("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  sessionStorage.setItem("actor", $("actor").value.trim());
  $("token").value = "";
  try {
    await ask("GET", "/admin/status");
    enter();
  } catch (e) {
    door(e.status === 401 ? "The token is not accepted." : e.message);
  }
});
$("leave").addEventListener("click", () => door(""));
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search($("what").value);
});
for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => {
    shown = tab.dataset.state;
    for (const t of document.querySelectorAll("[role=tab]")) t.setAttribute("aria-selected", String(t === tab));
    refreshSlow();
  });
}
if (sessionStorage.getItem("token")) enter();
else door("");
