// The line's changes, newest first, page by page (UFR-PROD-040).
import { call, planName, rememberNames } from "../api.js";
import { h, icon } from "../dom.js";
import { heading, load, show } from "../parts.js";
import { t, time } from "../text.js";

const SIZE = 5;

export function historyScreen(screen) {
  const page = Math.max(1, Math.min(100000, parseInt(screen.argument, 10) || 1));
  return load(screen, () => call("GET", screen.withLine(`/product/history?page=${page}&size=${SIZE}`), { signal: screen.signal }), (data) => draw(screen, data));
}

function draw(screen, { history, pagination: p }) {
  rememberNames(history.flatMap((c) => [{ productCode: c.currentProductCode, productName: c.currentProductName }, { productCode: c.targetProductCode, productName: c.targetProductName }]));
  show(
    screen,
    t("historyTitle"),
    heading(t("historyTitle")),
    history.length ? h("ol.history", {}, history.map(entry)) : empty(),
    p.totalPages > 1 &&
      h(
        "nav.pages",
        { "aria-label": t("pages") },
        step(p.hasPrevious, p.page - 1, "back", "newer"),
        h("span", { "data-page": p.page }, t("page", p.page, p.totalPages, p.totalElements)),
        step(p.hasNext, p.page + 1, "next", "older"),
      ),
  );
}

function step(there, page, mark, name) {
  const inside = mark === "back" ? [icon(mark), t(name)] : [t(name), icon(mark)];
  return there ? h("a.button", { href: `#/history/${page}`, "data-go": name }, inside) : h("span.button.off", { "aria-hidden": "true" }, inside);
}

function empty() {
  return h("div.panel.state.calm", { "data-empty": "" }, h("div.badge", {}, icon("list")), h("p", {}, t("historyEmpty")), h("div.actions", {}, h("a.button.primary", { href: "#/plans" }, t("historyEmptyGo"))));
}

function entry(change) {
  const state = change.resultCode === "CANCELLED" ? "CANCELLED" : change.processStatus;
  return h(
    "li",
    {},
    h(
      "a.panel.entry",
      { href: `#/result/${change.requestId}`, "data-request": change.requestId, "data-status": change.processStatus },
      h("span.entry-top", {}, h(`span.status.${state.toLowerCase()}`, {}, t(state)), h("time", { datetime: change.requestedAt }, time(change.requestedAt))),
      h("span.entry-plans", {}, h("span", {}, change.currentProductName || planName(change.currentProductCode)), h("span.arrow", { "aria-hidden": "true" }, "→"), h("strong", {}, change.targetProductName || planName(change.targetProductCode))),
      h("span.quiet", {}, change.resultMessage),
    ),
  );
}
