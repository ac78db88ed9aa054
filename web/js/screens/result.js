// SCR-008, UFR-PROD-040: what became of a change. Doubt and waiting are shown as progress and end by themselves.
import { call, planName } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { dropIntent, intent, watch } from "../intent.js";
import { countdown, planCard, say, show, spinner } from "../parts.js";
import { clock, span, t, time } from "../text.js";

const WHERE = { RETRY: (target) => `#/confirm/${encodeURIComponent(target)}`, CHOOSE_ANOTHER: () => "#/plans", VIEW_MENU: () => "#/menu", VIEW_HISTORY: () => "#/history" };

export async function resultScreen(screen) {
  const id = screen.argument;
  const news = h("p.count", { role: "status", "data-news": "" });
  let timer = new AbortController();
  let drawn = "";
  show(screen, t("processing"), progress({ title: t("processing"), lead: t("processingLead") }, news));
  const draw = (result) => {
    const now = JSON.stringify(result) + stateOf(result);
    if (now === drawn) return; // nothing new: the focus stays where it is
    drawn = now;
    timer.abort();
    timer = new AbortController();
    screen.signal.addEventListener("abort", () => timer.abort(), { once: true });
    drawResult(screen, result, news, timer.signal, draw);
  };
  try {
    await watch(screen.session.user, id, screen.signal, draw, (what) => fill(news, what === "lost" ? [spinner(), t("lost")] : ""));
  } catch (failure) {
    if (screen.signal.aborted || failure.status !== 404) throw failure;
    if ((intent(screen.session.user) || {}).requestId === id) dropIntent();
    show(screen, t("notFound"), h("div.panel.state.warn", { role: "alert", "data-code": failure.code }, h("div.badge", {}, icon("alert")), h("h1", { tabindex: "-1" }, failure.message || t("notFound")), h("div.actions", {}, h("a.button.primary", { href: "#/history" }, t("toHistory")))));
  }
}

function stateOf(result) {
  if (result.processStatus === "PROCESSING") return result.inDoubt ? "DOUBT" : "PROCESSING";
  return result.resultCode === "CANCELLED" ? "CANCELLED" : result.processStatus;
}

function drawResult(screen, result, news, signal, redraw) {
  const state = stateOf(result);
  if (state === "COMPLETED") completed(screen, result);
  else if (state === "FAILED" || state === "CANCELLED") failed(screen, result, state);
  else waiting(screen, result, state, news, signal, redraw);
}

const detailsOf = (result) => [
  ["change", `${planName(result.currentProductCode)} → ${planName(result.targetProductCode)}`],
  ["requestedAt", time(result.requestedAt)],
  ["processedAt", result.processedAt && time(result.processedAt)],
  ["orderNumber", result.kosOrderNumber],
  ["requestId", result.requestId],
];

function completed(screen, result) {
  say(t("done"));
  show(
    screen,
    t("done"),
    outcome({
      state: "COMPLETED",
      title: t("done"),
      message: result.resultMessage,
      extra: result.changedProduct && planCard(result.changedProduct, t("newPlan")),
      facts: detailsOf(result),
      actions: result.nextActions,
      target: result.targetProductCode,
    }),
  );
}

function failed(screen, result, state) {
  const title = state === "CANCELLED" ? t("cancelled") : t("failed");
  say(title);
  show(
    screen,
    title,
    outcome({
      state,
      code: result.resultCode,
      title,
      message: state === "CANCELLED" ? "" : result.resultMessage,
      reason: result.failureReason,
      extra: h("p.quiet", {}, t("unchanged")),
      facts: detailsOf(result),
      actions: result.nextActions,
      target: result.targetProductCode,
    }),
  );
}

/** The end of a change: what it is, why, and what to do now. Also used for refusals that were not recorded. */
export function outcome({ state, code, title, message, reason, extra, facts, actions, target }) {
  const good = state === "COMPLETED";
  const support = (actions || []).some((a) => a.action === "CONTACT_SUPPORT");
  const buttons = (actions || []).filter((a) => WHERE[a.action]);
  return h(
    `div.panel.state.${good ? "good" : state === "CANCELLED" ? "calm" : "bad"}`,
    { "data-state": state, "data-code": code },
    h("div.badge", {}, icon(good ? "check" : "cross")),
    h("h1", { tabindex: "-1" }, title),
    message && message !== title && h("p", {}, message),
    reason && reason !== message && h("p.reason", { "data-reason": "" }, h("strong", {}, t("reason")), reason),
    extra,
    h("div.actions", {}, buttons.map((a, n) => h(`a.button${n ? "" : ".primary"}`, { href: WHERE[a.action](target), "data-action": a.action }, a.label))),
    support && h("p.note", { "data-action": "CONTACT_SUPPORT" }, t("support")),
    pairs(facts),
  );
}

function pairs(list) {
  const known = list.filter(([, value]) => value);
  return known.length > 0 && h("dl.pairs.plain", {}, known.map(([name, value]) => h("div", {}, h("dt", {}, t(name)), h("dd", {}, value))));
}

function progress({ state = "PROCESSING", title, lead, message }, ...more) {
  return h("div.panel.state.progress", { "data-state": state }, h("div.badge", {}, state === "PENDING" ? icon("clock") : spinner()), h("h1", { tabindex: "-1" }, title), message && h("p", {}, message), lead && h("p.quiet", {}, lead), more);
}

// ---- not ended yet ----

function waiting(screen, result, state, news, signal, redraw) {
  const [title, lead] = { DOUBT: ["doubt", "doubtLead"], PENDING: ["held", "heldLead"], PROCESSING: ["processing", "processingLead"] }[state];
  const until = result.expiresAt && h("p.count", { "data-expires": result.expiresAt });
  const support = result.nextActions.some((a) => a.action === "CONTACT_SUPPORT");
  say(t(title));
  show(
    screen,
    t(title),
    progress(
      { state, title: t(title), lead: t(lead) },
      state !== "PROCESSING" && h("div.track", { "aria-hidden": "true" }, h("span", {})),
      until,
      state === "DOUBT" && h("p.quiet", {}, t("doubtClose")),
      support && h("p.note", { "data-action": "CONTACT_SUPPORT" }, t("support")),
      news,
      result.cancellable && state === "PENDING" && cancelPart(screen, result, redraw),
      h("div.actions", {}, h("a.button", { href: "#/history", "data-action": "VIEW_HISTORY" }, t("toHistory"))),
      pairs([...detailsOf(result), ["nextCheck", result.nextCheckAt && clock(result.nextCheckAt)]]),
    ),
  );
  if (until) {
    countdown(signal, Date.parse(result.expiresAt), (left) => fill(until, t("heldUntil", clock(result.expiresAt), span(left)))).catch(() => {});
  }
}

/** Asked once more before it is done; whichever of cancelling and sending comes first wins, and is shown. */
function cancelPart(screen, result, redraw) {
  const part = h("div.cancel", {});
  const note = h("p.note.bad", { role: "alert", hidden: true });
  const ask = () => {
    fill(part, h("p", {}, t("cancelSure")), note, h("div.actions", {}, h("button.danger", { type: "button", id: "cancel-yes", onclick: cancel }, t("cancelYes")), h("button", { type: "button", onclick: rest }, t("cancelNo"))));
    part.querySelector("button").focus();
  };
  const rest = () => fill(part, h("div.actions", {}, h("button", { type: "button", id: "cancel", onclick: ask }, t("cancel"))));
  async function cancel() {
    fill(part, h("p", { role: "status" }, spinner(), t("cancelBusy")));
    try {
      const ended = await call("DELETE", `/product/request/${result.requestId}`, { signal: screen.signal });
      if ((intent(screen.session.user) || {}).requestId === result.requestId) dropIntent();
      redraw(ended);
    } catch (failure) {
      if (screen.signal.aborted) return;
      ask();
      note.hidden = false;
      fill(note, failure.message === "network" ? t("lost") : failure.message);
    }
  }
  rest();
  return part;
}

