// What the customer has asked for, so that it is ordered once and only once.
//
// One intent, one Idempotency-Key, made when the button is pressed and kept in sessionStorage before anything is
// sent, until the result is known. A double click finds the intent that is there; a reload, a lost connection and
// a new login go on with it under the same key, which the service answers with the first answer.
//
//   asking    sent, or about to be; no answer yet: it may have been ordered
//   accepted  the service has it: requestId says where to look
//   unsent    answered 503 or 429: nothing was ordered, the key is free, the customer may ask again
import { call, pause } from "./api.js";

const INTENT = "pcs.intent";
// The service answers a request within 9 s: after that a key in use is somebody else's change.
const ANSWERED_MS = 12000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const LOOK_SECONDS = 3;

export function intent(user) {
  try {
    const found = JSON.parse(sessionStorage.getItem(INTENT));
    return found && found.user === user ? found : null;
  } catch {
    return null;
  }
}

function keep(value) {
  sessionStorage.setItem(INTENT, JSON.stringify(value));
}

export function dropIntent() {
  sessionStorage.removeItem(INTENT);
}

/** The intent to follow: a new one, or the one that is still open. */
export function begin(user, body) {
  const open = intent(user);
  if (open) return open;
  const made = { key: newKey(), user, body, step: "asking", tries: 0 };
  keep(made);
  return made;
}

/** Another attempt of the customer's after "unsent", under the same key. */
export function again(value) {
  keep({ ...value, step: "asking", tries: 0, firstAt: undefined });
}

// crypto.randomUUID is not there on plain http; this is.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((b) => b.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Sends the intent until there is an answer. tell(what): "lost" (no answer, trying again), "busy" (being worked on).
 * Gives {result}, {unsent: Failure} (nothing was ordered) or {refused: Failure} (final, the intent is gone).
 * Throws on 401 and when the screen is left; the intent stays.
 */
export async function send(mine, signal, tell) {
  for (;;) {
    mine.tries += 1;
    mine.firstAt ||= Date.now();
    keep(mine);
    try {
      const result = await call("POST", "/product/request", {
        body: mine.body,
        headers: { "Idempotency-Key": `"${mine.key}"`, Prefer: "respond-async" },
        signal,
      });
      mine.step = "accepted";
      mine.requestId = result.requestId;
      keep(mine);
      return { result };
    } catch (failure) {
      if (signal.aborted || failure.expired) throw failure;
      if (failure.unknown) {
        tell("lost");
      } else if (failure.code === "CHANGE_IN_PROGRESS" && mine.tries > 1 && Date.now() - mine.firstAt < ANSWERED_MS) {
        tell("busy"); // our own first attempt, most likely: its answer is on the way
      } else if (failure.temporary && mine.tries > 1 && failure.code !== "KOS_UNAVAILABLE") {
        // This attempt was not looked at: what became of the one before is still open. (KOS_UNAVAILABLE is said by
        // the service after it has looked for the key: then there was none.)
        tell("lost");
      } else if (failure.temporary) {
        mine.step = "unsent";
        mine.until = Date.now() + (failure.retryAfter || 5) * 1000;
        mine.code = failure.code;
        mine.message = failure.error.message;
        keep(mine);
        return { unsent: failure };
      } else {
        dropIntent();
        return { refused: failure };
      }
    }
    await pause(RETRY_MS[Math.min(mine.tries - 1, RETRY_MS.length - 1)], signal, "online");
  }
}

/**
 * Looks at a change until it has ended. show(result) at every look, tell("lost" | "found") when looking fails and
 * works again. Throws on 401, 404 and when the screen is left.
 */
export async function watch(user, requestId, signal, show, tell) {
  let failures = 0;
  let seconds = 0;
  for (;;) {
    try {
      const result = await call("GET", `/product/request/${encodeURIComponent(requestId)}?wait=${seconds}`, {
        signal,
        patience: (seconds + 12) * 1000,
      });
      if (failures) tell("found");
      failures = 0;
      seconds = LOOK_SECONDS;
      const ended = isFinal(result);
      if (ended && (intent(user) || {}).requestId === requestId) dropIntent();
      show(result);
      if (ended) return result;
    } catch (failure) {
      if (signal.aborted || failure.expired || failure.status === 404 || failure.status === 403) throw failure;
      tell("lost");
      const ms = failure.retryAfter ? failure.retryAfter * 1000 : RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
      failures += 1;
      await pause(ms, signal, "online");
    }
  }
}

export function isFinal(result) {
  return result.processStatus === "COMPLETED" || result.processStatus === "FAILED";
}
