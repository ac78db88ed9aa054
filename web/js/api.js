// The gateway: requests, the session, and failures as objects that say what they mean.
import { language } from "./text.js";

const SESSION = "pcs.session";
const NAMES = "pcs.names";
const USUAL_MS = 15000;

/** kind: "network" (no answer: it may or may not have arrived), "http" (an answer that is no success). */
export class Failure extends Error {
  constructor(kind, status, error, retryAfter) {
    super((error && error.message) || kind);
    this.kind = kind;
    this.status = status;
    this.error = error || {};
    this.code = this.error.code || "";
    this.retryAfter = retryAfter || 0;
  }

  /** Asking again later can help, and nothing was done. */
  get temporary() {
    return this.kind === "http" && (this.status === 503 || this.status === 429);
  }

  /** Nobody knows whether the request took effect. */
  get unknown() {
    return this.kind === "network" || (this.kind === "http" && this.status >= 500 && this.status !== 503);
  }

  get expired() {
    return this.kind === "http" && this.status === 401;
  }
}

/** In sessionStorage: gone with the tab, never seen by another one, never in a URL or cookie. */
export function session() {
  try {
    const found = JSON.parse(sessionStorage.getItem(SESSION));
    return found && found.token && found.expiresAt > Date.now() ? found : null;
  } catch {
    return null;
  }
}

export function keepSession(value) {
  sessionStorage.setItem(SESSION, JSON.stringify(value));
}

export function dropSession() {
  sessionStorage.removeItem(SESSION);
}

/** What plans are called: a change names them by their codes only. Kept in the tab, so that a reload knows them too. */
export function rememberNames(plans) {
  const names = knownNames();
  for (const plan of plans) if (plan.productName) names[plan.productCode] = plan.productName;
  sessionStorage.setItem(NAMES, JSON.stringify(names));
}

export function planName(code) {
  const names = knownNames();
  return Object.hasOwn(names, code) ? names[code] : code;
}

function knownNames() {
  try {
    return JSON.parse(sessionStorage.getItem(NAMES)) || {};
  } catch {
    return {};
  }
}

export async function login(userId, password) {
  const answer = await request("POST", "/api/v1/auth/login", { body: { userId, password } });
  const value = {
    token: answer.access_token,
    expiresAt: Date.now() + answer.expires_in * 1000,
    user: answer.user_id,
    line: (answer.line_number || "").replaceAll("-", ""),
  };
  keepSession(value);
  return value;
}

/** The token is of no use to anybody afterwards, and not here any more. */
export async function logout() {
  const mine = session();
  dropSession();
  if (!mine) return;
  try {
    await request("POST", "/api/v1/auth/logout", { token: mine.token });
  } catch {
    // Not reached: the token ends by itself.
  }
}

/** The contract's envelope taken off: data of a success; anything else is a Failure. */
export async function call(method, path, options = {}) {
  const mine = session();
  if (!mine) throw new Failure("http", 401, { code: "UNAUTHORIZED" });
  const answer = await request(method, path, { ...options, token: mine.token });
  if (!answer || answer.success !== true) throw new Failure("http", 500, { code: "INTERNAL_ERROR" });
  return answer.data;
}

async function request(method, path, { body, headers, signal, token, patience = USUAL_MS }) {
  const ends = AbortSignal.timeout(patience);
  let response, text;
  try {
    response = await fetch(path, {
      method,
      headers: {
        Accept: "application/json",
        "Accept-Language": language(),
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...(body ? { "Content-Type": "application/json" } : {}),
        ...headers,
      },
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, ends]) : ends,
      cache: "no-store",
      credentials: "omit",
    });
    text = await response.text();
  } catch (problem) {
    if (signal && signal.aborted) throw problem;
    throw new Failure("network");
  }
  let value = null;
  try {
    value = JSON.parse(text);
  } catch {
    // A page of some proxy: the status has to do.
  }
  if (response.ok) return value;
  const error = value && value.error;
  const seconds = (error && error.retryAfterSeconds) || Number(response.headers.get("Retry-After")) || 0;
  throw new Failure("http", response.status, error, seconds);
}

/** Waits; ends early, with an error, when the screen is left. */
export function pause(ms, signal, wake) {
  return new Promise((done, failed) => {
    if (signal.aborted) return failed(signal.reason);
    const finish = () => {
      clearTimeout(timer);
      if (wake) window.removeEventListener(wake, finish);
      done();
    };
    const timer = setTimeout(finish, ms);
    if (wake) window.addEventListener(wake, finish);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      if (wake) window.removeEventListener(wake, finish);
      failed(signal.reason);
    }, { once: true });
  });
}
