// Login with the auth service; the test customers of the local stack to choose from.
import { keepSession, login } from "../api.js";
import { fill, h } from "../dom.js";
import { heading, say, show } from "../parts.js";
import { language, t } from "../text.js";

// tests/sim/data: what is special about each.
const TESTERS = [
  ["user01", "password1!", "홍길동", "5GX 스탠다드", "5GX Standard"],
  ["user02", "password1!", "김영희", "LTE 베이직", "LTE Basic"],
  ["user03", "password1!", "이철수", "정지된 회선", "Suspended line"],
  ["user05", "password1!", "최지우", "상품 정보 없음", "No plan known"],
  ["user07", "password1!", "강바다", "다른 통신사", "Another operator"],
  ["user09", "password1!", "한가을", "통신사가 거절", "Carrier refuses"],
  ["noperm", "password1!", "남궁민", "권한 없음", "No permission"],
  ["admin", "admin1234!", "관리자", "모든 회선", "Any line"],
];

export function loginScreen(screen) {
  const note = h("p.note", { role: "alert", id: "login-note", hidden: !screen.notice }, screen.notice && t(screen.notice));
  const user = h("input", { id: "user", name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", "aria-describedby": "login-note" });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", "aria-describedby": "login-note" });
  const button = h("button.primary.wide", { type: "submit" }, t("loginButton"));

  async function submit(event) {
    event.preventDefault();
    if (button.disabled) return;
    if (!user.value.trim() || !password.value) return wrong(t("loginEmpty"));
    button.disabled = true;
    fill(button, t("loginBusy"));
    try {
      screen.loggedIn(await login(user.value.trim(), password.value));
    } catch (failure) {
      button.disabled = false;
      fill(button, t("loginButton"));
      wrong(failure.status === 401 ? t("loginWrong") : failure.status === 403 ? t("loginLocked") : failure.kind === "network" ? t("offlineLead") : failure.message || t("wrong"));
    }
  }

  function wrong(text) {
    note.hidden = false;
    note.classList.add("bad");
    fill(note, text);
    (user.value ? password : user).focus();
  }

  const tester = ([id, secret, name, ko, en]) =>
    h(
      "button.tester",
      {
        type: "button",
        "data-user": id,
        onclick: () => {
          user.value = id;
          password.value = secret;
          button.focus();
          say(id);
        },
      },
      h("strong", {}, name),
      h("span", {}, language() === "en" ? en : ko),
    );

  show(
    screen,
    t("loginTitle"),
    h(
      "div.narrow",
      {},
      heading(t("loginTitle"), t("loginLead")),
      h(
        "form.panel.form",
        { onsubmit: submit, novalidate: true },
        note,
        h("label", { for: "user" }, t("userId")),
        user,
        h("label", { for: "password" }, t("password")),
        password,
        button,
      ),
      h("section.testers", { "aria-labelledby": "testers" }, h("h2.small", { id: "testers" }, t("testers")), h("p.quiet", {}, t("testersLead")), h("div.tester-grid", {}, TESTERS.map(tester))),
    ),
  );
}

/** An administrator's token has no line: the line to act on is asked for. */
export function lineScreen(screen) {
  const note = h("p.note.bad", { role: "alert", id: "line-note", hidden: true });
  const input = h("input", { id: "line", inputmode: "tel", autocomplete: "off", placeholder: "010-1234-5678", "aria-describedby": "line-note" });

  function submit(event) {
    event.preventDefault();
    const line = input.value.replace(/[-\s]/g, "");
    if (!/^010\d{8}$/.test(line)) {
      note.hidden = false;
      fill(note, t("lineBad"));
      input.focus();
      return;
    }
    keepSession({ ...screen.session, line, named: true });
    screen.go("#/menu");
  }

  show(
    screen,
    t("lineTitle"),
    h(
      "div.narrow",
      {},
      heading(t("lineTitle"), t("lineLead")),
      h("form.panel.form", { onsubmit: submit, novalidate: true }, note, h("label", { for: "line" }, t("lineNumber")), input, h("button.primary.wide", { type: "submit" }, t("go"))),
    ),
  );
}
