// Between the button and the first answer: the intent is sent, under one key, however often that takes.
import { fill, h, icon } from "../dom.js";
import { again, dropIntent, intent, send } from "../intent.js";
import { checkList, countdown, say, show, spinner } from "../parts.js";
import { t } from "../text.js";
import { outcome } from "./result.js";

export async function orderScreen(screen) {
  const mine = intent(screen.session.user);
  if (!mine) return screen.replace("#/menu");
  if (mine.requestId) return screen.replace(`#/result/${mine.requestId}`);
  if (mine.step === "unsent") return unsent(screen, mine);

  const news = h("p", { "data-news": "" }, t("sendingLead"));
  const more = h("p.quiet", {});
  show(screen, t("sending"), h("div.panel.state.progress", { role: "status", "data-state": "SENDING" }, h("div.badge", {}, spinner()), h("h1", { tabindex: "-1" }, t("sending")), news, more));
  const answer = await send(mine, screen.signal, (what) => {
    fill(news, t(what));
    fill(more, what === "lost" ? t("lostLead") : "");
    say(t(what));
  });
  if (answer.result) return screen.replace(`#/result/${answer.result.requestId}`);
  if (answer.unsent) return unsent(screen, intent(screen.session.user), answer.unsent);
  return refused(screen, mine, answer.refused);
}

/** 503 or 429: nothing was ordered. When it may be tried again is counted down; trying is the customer's. */
async function unsent(screen, mine, failure) {
  const title = t("unsentTitle");
  const button = h("button.primary", { type: "button", id: "again", disabled: true, onclick: retry }, t("unsentAgain"));
  const count = h("p.count", {});

  function retry() {
    if (button.disabled) return;
    button.disabled = true;
    again(mine);
    screen.go("#/order");
  }

  show(
    screen,
    title,
    h(
      "div.panel.state.warn",
      { "data-state": "UNSENT", "data-code": mine.code },
      h("div.badge", {}, icon("alert")),
      h("h1", { tabindex: "-1" }, title),
      h("p", { role: "alert" }, (failure && failure.message) || mine.message),
      h("p.quiet", {}, t("unsentLead")),
      count,
      h("div.actions", {}, button, h("a.button", { href: "#/menu", id: "stop", onclick: () => dropIntent() }, t("unsentStop"))),
    ),
  );
  await countdown(screen.signal, mine.until, (left) => fill(count, t("unsentWait", left)));
  fill(count, "");
  button.disabled = false;
  say(t("unsentAgain"));
}

/** An answer that ends the intent. A change that was recorded has its own page; the rest is told here. */
function refused(screen, mine, failure) {
  const error = failure.error;
  const code = failure.code;
  if (error.requestId && code !== "VALIDATION_FAILED") return screen.replace(`#/result/${error.requestId}`);
  show(
    screen,
    t("failed"),
    outcome({
      state: "FAILED",
      code,
      title: code === "CHANGE_IN_PROGRESS" ? failure.message : t("failed"),
      message: code === "CHANGE_IN_PROGRESS" ? "" : failure.message || t("wrong"),
      reason: error.details,
      extra: [
        error.fields && h("ul.notes", {}, error.fields.map((f) => h("li", {}, `${f.field}: ${f.message}`))),
        error.checks && checkList(error.checks),
        code !== "CHANGE_IN_PROGRESS" && h("p.quiet", {}, t("unchanged")),
      ],
      facts: [["requestId", error.requestId], ["correlation", !error.requestId && error.correlationId]],
      actions: error.nextActions || [{ action: "CHOOSE_ANOTHER", label: t("chooseOther") }, { action: "VIEW_HISTORY", label: t("toHistory") }],
      target: mine.body.targetProductCode,
    }),
  );
}
