// Pieces that several screens use: headings, loading and its failures, plans and their comparison.
import { pause } from "./api.js";
import { announce, fill, h, icon } from "./dom.js";
import { allowance, difference, signed, span, t, won } from "./text.js";

/** The screen's heading: gets the focus when the screen opens, so that screen readers begin there. */
export function heading(title, lead) {
  return h("div.head", {}, h("h1", { tabindex: "-1" }, title), lead && h("p.lead", {}, lead));
}

/** Puts a screen's content in place, its heading focused unless this is only news of the same screen. */
export function show(screen, title, ...children) {
  document.title = `${title} · ${t("title")}`;
  const main = fill(screen.main, children);
  main.dataset.screen = screen.name;
  const first = main.querySelector("h1");
  if (first && screen.shown !== title) first.focus({ preventScroll: screen.shown !== undefined });
  screen.shown = title;
}

export function skeleton(lines = 3) {
  return h("div.panel.skeleton", { role: "status" }, h("span.sr", {}, t("loading")), Array.from({ length: lines }, () => h("span.bone", { "aria-hidden": "true" })));
}

export function spinner() {
  return h("span.spinner", { "aria-hidden": "true" });
}

/**
 * Loads what a screen needs and draws it. Temporary failures show themselves for what they are and are tried again
 * after what the service said; a lost network when it is back; the rest waits for the customer.
 */
export async function load(screen, read, draw) {
  for (let failed = 0; ; failed += 1) {
    if (!failed) show(screen, t("loading"), skeleton());
    let failure;
    try {
      const value = await read();
      draw(value);
      return;
    } catch (problem) {
      if (screen.signal.aborted) return;
      if (problem.expired || problem.kind === undefined) throw problem;
      failure = problem;
    }
    await waitAfter(screen, failure, failed);
  }
}

async function waitAfter(screen, failure, failed) {
  const offline = failure.kind === "network";
  const seconds = failure.retryAfter || Math.min(3 * 2 ** failed, 30);
  const again = failure.temporary || failure.unknown;
  let press;
  const pressed = new Promise((done) => (press = done));
  const count = h("p.count", { "data-count": "" });
  const title = offline ? t("offlineTitle") : failure.code === "KOS_UNAVAILABLE" ? t("outage") : failure.status === 403 ? t("forbidden") : failure.temporary ? t("down") : failure.message || t("wrong");
  const lead = offline ? t("offlineLead") : failure.temporary ? t("outageLead") : "";
  show(
    screen,
    title,
    h(
      "div.panel.state.warn",
      { role: "alert", "data-code": failure.code || failure.kind },
      h("div.badge", {}, icon(failure.status === 403 ? "cross" : "alert")),
      h("h1", { tabindex: "-1" }, title),
      failure.error.message && failure.error.message !== title && h("p", {}, failure.error.message),
      lead && h("p.quiet", {}, lead),
      again && count,
      h(
        "div.actions",
        {},
        again && h("button.primary", { type: "button", onclick: press }, t("retry")),
        failure.status === 403 && h("button.primary", { type: "button", id: "other-user", onclick: screen.bye }, t("otherUser")),
        screen.name !== "menu" && h(`a.button${again || failure.status === 403 ? "" : ".primary"}`, { href: "#/menu" }, t("toMenu")),
      ),
      failure.error.correlationId && h("p.fine", {}, `${t("correlation")} ${failure.error.correlationId}`),
    ),
  );
  if (!again) {
    await pressed; // never: the customer goes elsewhere
    return;
  }
  await Promise.race([pressed, countdown(screen.signal, Date.now() + seconds * 1000, (left) => fill(count, t("retryIn", left)), "online")]);
  fill(count, spinner(), t("loading"));
}

/** Calls tick(seconds left) every second until then. */
export async function countdown(signal, until, tick, wake) {
  let woken = false;
  const wakeUp = () => (woken = true);
  if (wake) window.addEventListener(wake, wakeUp, { once: true, signal });
  for (;;) {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left <= 0 || woken) return;
    tick(left);
    await pause(Math.min(1000, until - Date.now()), signal, wake);
  }
}

export function staleNote(data) {
  if (!data.stale) return null;
  return h("p.note.warn", { role: "status", "data-stale": data.ageSeconds }, icon("alert"), h("span", {}, t("stale", span(data.ageSeconds))));
}

export function network(product) {
  return product.networkType && h("span.tag", {}, product.networkType);
}

export function facts(product) {
  return h(
    "dl.facts",
    {},
    [
      ["data", product.dataAllowance],
      ["voice", product.voiceAllowance],
      ["sms", product.smsAllowance],
    ].map(([name, value]) => h("div", {}, h("dt", {}, t(name)), h("dd", {}, allowance(value)))),
  );
}

export function planCard(product, title) {
  return h(
    "section.panel.plan",
    { "data-plan": product.productCode },
    h("h2.small", {}, title),
    h("div.plan-head", {}, h("p.plan-name", {}, product.productName, " ", network(product)), h("p.price", {}, won(product.monthlyFee), h("span", {}, t("perMonth")))),
    facts(product),
  );
}

/** Old and new side by side, the difference below. */
export function comparison(current, chosen) {
  const change = chosen.monthlyFeeDifference ?? chosen.monthlyFee - current.monthlyFee;
  const row = (name, old, now) => h("tr", {}, h("th", { scope: "row" }, t(name)), h("td", {}, old), h(`td${old === now ? "" : ".new"}`, {}, now));
  return [
    h(
      "table.compare",
      {},
      h("caption.sr", {}, t("compare")),
      h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, h("span.col", {}, t("now")), current.productName), h("th", { scope: "col" }, h("span.col", {}, t("after")), chosen.productName))),
      h(
        "tbody",
        {},
        row("fee", won(current.monthlyFee), won(chosen.monthlyFee)),
        row("data", allowance(current.dataAllowance), allowance(chosen.dataAllowance)),
        row("voice", allowance(current.voiceAllowance), allowance(chosen.voiceAllowance)),
        row("sms", allowance(current.smsAllowance), allowance(chosen.smsAllowance)),
      ),
    ),
    h(
      `p.difference.${change > 0 ? "more" : change < 0 ? "less" : "same"}`,
      { "data-difference": change },
      h("span", {}, t("difference")),
      h("strong", {}, signed(change)),
      h("span", {}, difference(change)),
    ),
  ];
}

export function checkList(checks) {
  return h(
    "ul.checks",
    {},
    checks.map((c) =>
      h(
        `li.${c.result ? c.result.toLowerCase() : "open"}`,
        { "data-check": c.checkType, "data-result": c.result || "" },
        c.result ? icon(c.result === "PASS" ? "check" : "cross") : spinner(),
        h("span", {}, h("strong", {}, t(c.checkType)), h("span", {}, c.message || t("checking"))),
      ),
    ),
  );
}

export function say(text) {
  announce(text);
}
