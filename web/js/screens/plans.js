// SCR-006, UFR-PROD-020: the plans this line may change to, each against the current one; the others with why not.
import { call, rememberNames } from "../api.js";
import { fill, h } from "../dom.js";
import { comparison, facts, heading, load, network, planCard, say, show, staleNote } from "../parts.js";
import { difference, signed, t, won } from "../text.js";

export async function readPlans(screen) {
  const data = await call("GET", screen.withLine("/product/change"), { signal: screen.signal });
  rememberNames([data.currentProduct, ...data.products, ...data.unavailable]);
  return data;
}

export function plansScreen(screen) {
  return load(screen, () => readPlans(screen), (data) => draw(screen, data));
}

function draw(screen, data) {
  const chosen = h("div.chosen", {});
  const bar = h("div.bar", { hidden: true });
  const select = (plan) => {
    fill(chosen, comparison(data.currentProduct, plan));
    fill(
      bar,
      h("div.bar-in", {}, h("p", {}, h("strong", {}, plan.productName), h("span", {}, difference(plan.monthlyFeeDifference))), h("button.primary", { type: "button", id: "next", onclick: () => screen.go(`#/confirm/${encodeURIComponent(plan.productCode)}`) }, t("next"))),
    );
    bar.hidden = false;
    say(`${plan.productName}: ${difference(plan.monthlyFeeDifference)}`);
  };
  fill(chosen, h("p.quiet", {}, t("chooseFirst")));

  show(
    screen,
    t("plansTitle"),
    heading(t("plansTitle"), data.totalCount ? t("plansLead", data.totalCount) : t("plansNone")),
    staleNote(data),
    h(
      "div.columns.plans",
      {},
      h(
        "div",
        {},
        h("fieldset.options", {}, h("legend.sr", {}, t("plansTitle")), data.products.map((plan) => option(plan, select))),
        data.unavailable.length > 0 && others(data.unavailable),
      ),
      h("div.side", {}, planCard(data.currentProduct, t("currentPlan")), h("section.panel", { "aria-labelledby": "compare" }, h("h2.small", { id: "compare" }, t("compare")), chosen)),
    ),
    bar,
  );
}

function option(plan, select) {
  const fee = plan.monthlyFeeDifference;
  return h(
    "label.panel.option",
    { "data-plan": plan.productCode },
    h("input", { type: "radio", name: "plan", value: plan.productCode, onchange: () => select(plan) }),
    h(
      "span.option-body",
      {},
      h("span.plan-head", {}, h("span.plan-name", {}, plan.productName, " ", network(plan)), h("span.price", {}, won(plan.monthlyFee), h("span", {}, t("perMonth")))),
      h("span.option-foot", {}, facts(plan), h(`span.change.${fee > 0 ? "more" : fee < 0 ? "less" : "same"}`, {}, h("span", {}, t("thanNow")), " ", h("strong", {}, signed(fee)))),
    ),
  );
}

function others(list) {
  return h(
    "details.panel.others",
    {},
    h("summary", {}, t("unavailable", list.length)),
    h("ul", {}, list.map((p) => h("li", { "data-unavailable": p.productCode, "data-reason": p.reasonCode }, h("span", {}, p.productName), h("span.quiet", {}, p.reason)))),
  );
}
