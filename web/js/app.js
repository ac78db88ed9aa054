// The frame: which screen is shown, the header, the session's end, the language, the network.
import { Failure, dropSession, keepSession, logout, session } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { dropIntent, intent } from "./intent.js";
import { confirmScreen } from "./screens/confirm.js";
import { historyScreen } from "./screens/history.js";
import { lineScreen, loginScreen } from "./screens/login.js";
import { menuScreen } from "./screens/menu.js";
import { orderScreen } from "./screens/order.js";
import { plansScreen } from "./screens/plans.js";
import { resultScreen } from "./screens/result.js";
import { language, setLanguage, t } from "./text.js";

const RETURN = "pcs.return";
const SCREENS = { login: loginScreen, line: lineScreen, menu: menuScreen, plans: plansScreen, confirm: confirmScreen, order: orderScreen, result: resultScreen, history: historyScreen };
const OPEN = ["login"];

let leave = new AbortController();
let ends;
let notice = "";

/** What a screen is given: where to draw, when it is left, whose it is, and ways to go on. */
function context(name, argument, signal) {
  return {
    name,
    argument,
    signal,
    main: document.getElementById("main"),
    session: session(),
    notice,
    go,
    replace: (hash) => {
      history.replaceState(null, "", hash);
      open();
    },
    loggedIn,
    bye,
    withLine,
  };
}

function go(hash) {
  if (location.hash === hash) open();
  else location.hash = hash;
}

/** Reads name the line only where the token does not: for administrators. */
function withLine(path) {
  const mine = session();
  if (!mine || !mine.named) return path;
  return `${path}${path.includes("?") ? "&" : "?"}lineNumber=${mine.line}`;
}

async function open() {
  leave.abort();
  leave = new AbortController();
  const signal = leave.signal;
  const mine = session();
  const [, wanted = "menu", argument = ""] = location.hash.split("/");
  let name = Object.hasOwn(SCREENS, wanted) ? wanted : "menu";
  if (!mine && !OPEN.includes(name)) {
    remember();
    name = "login";
  } else if (mine && name === "login") {
    name = "menu";
  }
  if (mine && !mine.line) name = "line";
  // An intent that is not under way any more ends when the customer goes elsewhere: nothing was ordered.
  if (mine && name !== "order" && (intent(mine.user) || {}).step === "unsent") dropIntent();
  announce(""); // what was said of the screen before
  frame(name, mine);
  window.scrollTo(0, 0);
  const screen = context(name, decode(argument), signal);
  notice = "";
  try {
    await SCREENS[name](screen);
  } catch (problem) {
    if (signal.aborted) return;
    if (problem instanceof Failure && problem.expired) expired();
    else throw problem;
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

// ---- session ----

function remember() {
  const hash = location.hash;
  if (hash && !hash.startsWith("#/login")) sessionStorage.setItem(RETURN, hash);
}

/** The token is no longer accepted: log in again and go on at the same place. What was ordered stays ordered. */
function expired() {
  remember();
  dropSession();
  notice = "loginExpired";
  go("#/login");
}

function loggedIn(value) {
  keepSession(value);
  watchSession();
  const back = sessionStorage.getItem(RETURN);
  const last = sessionStorage.getItem("pcs.user");
  sessionStorage.removeItem(RETURN);
  sessionStorage.setItem("pcs.user", value.user);
  if (last && last !== value.user) dropIntent(); // somebody else sits here now
  const where = resume(value) || (last === value.user && back) || "#/menu";
  history.replaceState(null, "", where);
  open();
}

/** Where an open intent goes on; "" without one. */
function resume(mine) {
  const open = mine && intent(mine.user);
  if (!open) return "";
  return open.requestId ? `#/result/${open.requestId}` : "#/order";
}

function watchSession() {
  clearTimeout(ends);
  const mine = session();
  if (mine) ends = setTimeout(expired, Math.min(mine.expiresAt - Date.now(), 2 ** 31 - 1));
}

async function bye() {
  clearTimeout(ends);
  leave.abort();
  const done = logout();
  sessionStorage.clear();
  notice = "loginBye";
  go("#/login");
  await done;
}

// ---- header ----

function frame(name, mine) {
  const link = (to, screens) => h("a", { href: `#/${to}`, "aria-current": screens.includes(name) ? "page" : null }, t(to));
  document.documentElement.lang = language();
  fill(document.getElementById("brand-text"), t("title"));
  fill(document.getElementById("skip"), t("skip"));
  fill(document.getElementById("foot"), t("foot"));
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t("navLabel"));
  fill(
    nav,
    mine && mine.line && [link("menu", ["menu"]), link("plans", ["plans", "confirm", "order"]), link("history", ["history"])],
    h("button.text", { type: "button", id: "language", "aria-label": t("otherLabel"), onclick: otherLanguage }, h("span.long", { lang: language() === "en" ? "ko" : "en" }, t("other")), h("span.short", { "aria-hidden": "true" }, language() === "en" ? "한" : "EN")),
    mine && h("button.text", { type: "button", id: "logout", onclick: bye }, t("logout")),
  );
}

function otherLanguage() {
  setLanguage(language() === "en" ? "ko" : "en");
  open().catch(() => {});
  document.getElementById("language").focus();
}

function networkChanged() {
  const note = document.getElementById("offline");
  note.hidden = navigator.onLine;
  fill(note, navigator.onLine ? "" : t("offline"));
}

// ---- start ----

window.addEventListener("hashchange", open);
window.addEventListener("online", networkChanged);
window.addEventListener("offline", networkChanged);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the screen's
  document.getElementById("main").focus();
});
networkChanged();
watchSession();
const goOn = resume(session());
if (goOn) history.replaceState(null, "", goOn);
open();
