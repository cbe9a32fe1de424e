import { byId, element, setText } from "./element.js";
import { bytes, count, seconds, short } from "./format.js";

const DAY = 86400;
const STATE_TONES = { live: "good", standby: "good", "catch-up": "warn", polling: "warn" };

/** What the operator looks at first: each a name, and what it says of a frame: text, the small print, whether it is good. */
const TILES = [
  ["Starts per second", ({ startedPerSecond, values }) => [short(startedPerSecond), limit(values["queue.rateLimit"])]],
  ["In flight", ({ values }) => [count(values["queue.inFlight"]), `of ${count(values["queue.inFlightLimit"])}`]],
  [
    "In the outbox",
    ({ values }) => [count(values["queue.outboxRows"]), `${count(values["queue.deferredRows"])} deferred`],
  ],
  [
    "Oldest due",
    ({ values }) => [seconds(values["queue.oldestDue"]), waits(values["queue.queued"]), age(values["queue.oldestDue"])],
  ],
  ["Lanes behind", ({ values }) => behind(values)],
  ["Failed tries", ({ lastMinute }) => failed(lastMinute)],
  [
    "Dead letters",
    ({ values }) => [count(values["queue.deadLetters"]), "", values["queue.deadLetters"] > 0 ? "warn" : ""],
  ],
  [
    "In memory",
    ({ values }) => [
      count(values["queue.memoryRequests"]),
      `${bytes(values["queue.memoryBytes"])} of ${bytes(values["queue.memoryBytesLimit"])}`,
    ],
  ],
  ["Slot", ({ values }) => slot(values)],
  ["Retained WAL", ({ values }) => retained(values)],
  ["Leader", (frame) => leader(frame)],
  [
    "Database",
    ({ state, values }) => [
      values["state.databaseUp"] ? "answers" : "away",
      values["state.databaseUp"]
        ? state === "starting"
          ? "nothing is sent yet"
          : values["state.writable"]
            ? "results are written"
            : "results cannot be written"
        : "nothing is sent",
      values["state.databaseUp"] && values["state.writable"] && state !== "starting" ? "" : "bad",
    ],
  ],
];

/** Shows one frame. */
export function showOverview(frame) {
  setText(byId("database"), frame.database);
  const state = byId("state");
  const shown = [
    frame.state,
    ...(frame.mode === "capture" ? ["capture"] : []),
    ...(frame.isStalled ? ["stalled"] : []),
  ];
  setText(state, shown.join(", "));
  state.className = `badge ${frame.ready && !frame.isStalled ? (STATE_TONES[frame.state] ?? "") : "bad"}`;
  setText(byId("detail"), frame.detail);
  document.title = `${frame.state} – ${frame.database} – pgnetd`;
  const now = byId("now");
  if (now.childElementCount === 0) {
    now.append(
      ...TILES.map(([name]) =>
        element("div", {}, element("dt", {}, name), element("dd", {}, element("span"), element("small"))),
      ),
    );
  }
  const numbered = { ...frame, values: numbersOf(frame.values) };
  TILES.forEach(([, says], index) => {
    const [text, small, tone = ""] = says(numbered);
    const shown = now.children[index].lastElementChild;
    setText(shown.firstElementChild, text);
    setText(shown.lastElementChild, small);
    shown.className = tone;
  });
}

/** What the last frame said of the daemon may not be so any more. The next one says what is. */
export function showNotAnswering() {
  const state = byId("state");
  setText(state, "not answering");
  state.className = "badge bad";
  setText(
    byId("detail"),
    "whether requests are sent is not known here: pgnetd doctor, where the daemon runs, says why it does not answer",
  );
  document.title = document.title.replace(/^.* – (.*) – /, "not answering – $1 – ");
}

/** Infinity comes as text. */
function numbersOf(values) {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, value === "Infinity" ? Infinity : value]),
  );
}

function limit(rate) {
  return Number.isFinite(rate) ? `limit ${count(rate)}` : "no limit";
}

function behind(values) {
  const paused = values["queue.hostsPaused"];
  const text = values["queue.everyLaneBehind"] ? "every" : count(values["queue.lanesBehind"]);
  return [
    text,
    paused > 0 ? `${count(paused)} ${paused === 1 ? "host" : "hosts"} paused` : "",
    paused > 0 ? "warn" : "",
  ];
}

/** Of the last minute: those without an answer, or with a status from 500 on. */
function failed({ ended, failed: failures }) {
  const share = ended === 0 ? 0 : failures / ended;
  const tone = failures < 5 ? "" : share > 0.5 ? "bad" : share > 0.1 ? "warn" : "";
  return [count(failures), `of ${count(ended)} in a minute`, tone];
}

/** What most of the queued requests wait for. */
function waits(queued) {
  const [most] = Object.entries(queued ?? {}).toSorted(([, one], [, other]) => other - one);
  return most === undefined || most[1] === 0 ? "" : `${count(most[1])} wait for ${most[0].replaceAll("_", " ")}`;
}

function age(value) {
  return value > 300 ? "bad" : value > 30 ? "warn" : "";
}

function slot(values) {
  const [health = "unknown"] = Object.entries(values["slot.health"] ?? {}).find(([, is]) => is === 1) ?? [];
  const isActive = values["slot.slotActive"] === 1;
  const lag = values["slot.confirmedLag"];
  return [
    health.replaceAll("_", " "),
    health === "unknown" ? "" : `${isActive ? "in use" : "not in use"}${lag === null ? "" : `, ${bytes(lag)} behind`}`,
    health === "ok" ? "good" : health === "unknown" ? "" : "bad",
  ];
}

function retained(values) {
  const safe = values["slot.safe"];
  const size = values["slot.retained"];
  if (safe === null || size === null) return [bytes(size), size === null ? "" : "no limit"];
  const left = values["slot.secondsToLimit"] ?? Infinity;
  // A little that has just been written says nothing of the next day.
  const isFilling = left < DAY && size > (size + safe) / 10;
  const small = `of ${bytes(Math.max(0, size + safe))}${isFilling ? `, full in ${seconds(left)}` : ""}`;
  return [bytes(size), small, safe <= 0 ? "bad" : size > safe || isFilling ? "warn" : ""];
}

function leader({ state, values, holder }) {
  if (values["state.leader"]) return ["this daemon", values["state.streamUp"] ? "streams" : "sweeps, without a stream"];
  if (state === "standby") {
    const who =
      holder === null ? "" : `pid ${holder.pid ?? "?"}${holder.address === null ? "" : `, ${holder.address}`}`;
    return holder?.isStranger ? ["no pgnetd", `${who} has the lock`, "bad"] : ["another", who];
  }
  return ["not known", "", "bad"];
}
