// SCR-007, UFR-PROD-030: the request once more, with the pre-check made while the customer reads.
import { call } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { begin, intent } from "../intent.js";
import { checkList, comparison, countdown, heading, load, say, show, spinner, staleNote } from "../parts.js";
import { line, t } from "../text.js";
import { readPlans } from "./plans.js";

const CHECKS = ["PRODUCT_AVAILABLE", "OPERATOR_MATCH", "LINE_STATUS"].map((checkType) => ({ checkType }));

export function confirmScreen(screen) {
  return load(screen, () => readPlans(screen), (data) => draw(screen, data));
}

function draw(screen, data) {
  const target = data.products.find((p) => p.productCode === screen.argument);
  const open = intent(screen.session.user);
  if (!target) return gone(screen, data);
  const body = { lineNumber: data.lineNumber, currentProductCode: data.currentProduct.productCode, targetProductCode: target.productCode };
  const checks = h("div.check-area", {});
  const button = h("button.primary.wide", { type: "button", id: "order", disabled: true, onclick: order }, t("order"));

  // The first press makes the intent; whatever comes after it finds it.
  function order() {
    if (button.disabled) return;
    button.disabled = true;
    begin(screen.session.user, body);
    screen.replace("#/order");
  }

  show(
    screen,
    t("confirmTitle"),
    heading(t("confirmTitle"), line(data.lineNumber)),
    staleNote(data),
    open && h("p.note.info", {}, icon("clock"), h("span", {}, t("openIntent"), " ", h("a", { href: open.requestId ? `#/result/${open.requestId}` : "#/order" }, t("openIntentGo")))),
    h(
      "div.columns.even",
      {},
      h("section.panel", {}, comparison(data.currentProduct, target)),
      h(
        "section.panel",
        { "aria-labelledby": "checks" },
        h("h2.small", { id: "checks" }, t("checks")),
        checks,
        h("ul.notes", {}, h("li", {}, t("note1")), h("li", {}, t("note2"))),
        h("div.order-actions", {}, !open && button, h("a.button.wide", { href: "#/plans" }, t("chooseOther"))),
      ),
    ),
  );
  return check(screen, body, checks, button);
}

async function check(screen, body, area, button) {
  for (;;) {
    fill(area, checkList(CHECKS));
    try {
      const answer = await call("POST", "/product/request/validation", { body, signal: screen.signal });
      const good = answer.validationResult === "SUCCESS";
      button.disabled = !good;
      fill(area, checkList(answer.validationDetails), h(`p.verdict.${good ? "good" : "bad"}`, { "data-verdict": answer.validationResult }, good ? t("checksGood") : answer.failureReason || t("checksBad")));
      say(good ? t("checksGood") : answer.failureReason || t("checksBad"));
      return;
    } catch (failure) {
      if (screen.signal.aborted) return;
      if (failure.expired || failure.kind === undefined) throw failure;
      await failed(screen, failure, area, button);
    }
  }
}

/** The pre-check could not be made. If KOS is out the request may still be made: it is kept, or refused at once. */
async function failed(screen, failure, area, button) {
  const count = h("p.count", {});
  const again = failure.temporary || failure.unknown;
  const out = failure.code === "KOS_UNAVAILABLE";
  fill(
    area,
    h("p.verdict.bad", { role: "alert", "data-verdict": failure.code || failure.kind }, failure.kind === "network" ? t("offlineTitle") : failure.message || t("wrong")),
    out && h("p.quiet", {}, t("orderAnywayLead")),
    again && count,
  );
  button.disabled = !out;
  fill(button, out ? t("orderAnyway") : t("order"));
  if (!again) return new Promise(() => {});
  await countdown(screen.signal, Date.now() + (failure.retryAfter || 5) * 1000, (left) => fill(count, t("retryIn", left)), "online");
  fill(count, spinner(), t("checking"));
  button.disabled = true;
  fill(button, t("order"));
}

function gone(screen, data) {
  const other = data.unavailable.find((p) => p.productCode === screen.argument);
  const same = data.currentProduct.productCode === screen.argument;
  show(
    screen,
    t("confirmTitle"),
    h(
      "div.panel.state.warn",
      { role: "alert", "data-code": "PLAN_GONE" },
      h("div.badge", {}, icon("alert")),
      h("h1", { tabindex: "-1" }, other ? other.productName : same ? data.currentProduct.productName : t("planGone")),
      h("p", {}, other ? other.reason : same ? t("currentPlan") : ""),
      h("div.actions", {}, h("a.button.primary", { href: "#/plans" }, t("chooseOther"))),
    ),
  );
}
