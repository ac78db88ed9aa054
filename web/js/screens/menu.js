// SCR-005, UFR-PROD-010: own line, customer, current plan, and what may be done.
import { call } from "../api.js";
import { h, icon } from "../dom.js";
import { intent } from "../intent.js";
import { heading, load, planCard, show, staleNote } from "../parts.js";
import { day, line, t } from "../text.js";

const ITEMS = {
  PRODUCT_CHANGE: { to: "#/plans", lead: "changeLead", mark: "swap" },
  CHANGE_HISTORY: { to: "#/history", lead: "historyLead", mark: "list" },
};

export function menuScreen(screen) {
  return load(screen, () => call("GET", screen.withLine("/product/menu"), { signal: screen.signal }), (menu) => draw(screen, menu));
}

function draw(screen, menu) {
  const open = intent(screen.session.user);
  const fact = (name, value) => value && h("div", {}, h("dt", {}, t(name)), h("dd", {}, value));
  show(
    screen,
    t("menu"),
    heading(menu.customerName ? t("hello", menu.customerName) : t("helloNobody")),
    staleNote(menu),
    open && h("p.note.info", { "data-open-intent": "" }, icon("clock"), h("span", {}, t("openIntent"), " ", h("a", { href: open.requestId ? `#/result/${open.requestId}` : "#/order" }, t("openIntentGo")))),
    h(
      "div.columns",
      {},
      h(
        "div",
        {},
        menu.currentProduct ? planCard(menu.currentProduct, t("currentPlan")) : h("section.panel.plan", {}, h("h2.small", {}, t("currentPlan")), h("p.quiet", { "data-no-plan": "" }, t("noPlan"))),
        h(
          "dl.panel.pairs",
          {},
          fact("line", h("span", {}, line(menu.lineNumber), " ", h(`span.status.${menu.lineStatus.toLowerCase()}`, {}, t(menu.lineStatus)))),
          fact("customerId", menu.customerId),
          fact("contract", menu.contractInfo && day(menu.contractInfo.contractDate)),
        ),
      ),
      h("ul.menu", {}, menu.menuItems.map(item)),
    ),
  );
}

function item(entry) {
  const known = ITEMS[entry.menuId];
  if (!known) return null;
  const inside = [h("span.menu-mark", {}, icon(known.mark)), h("span.menu-text", {}, h("strong", {}, entry.menuName), h("span", {}, entry.available ? t(known.lead) : entry.reason))];
  return h(
    "li",
    {},
    entry.available
      ? h("a.panel.menu-item", { href: known.to, "data-menu": entry.menuId }, inside, icon("next"))
      : h("div.panel.menu-item.off", { "data-menu": entry.menuId, "aria-disabled": "true" }, inside),
  );
}
