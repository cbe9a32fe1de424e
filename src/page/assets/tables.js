import { byId, element, setText } from "./element.js";
import { act, hasActions } from "./actions.js";
import { count, seconds, short, time } from "./format.js";

const LANES = [
  ["Lane", (lane) => lane.lane],
  ["Outbox", (lane) => counted(lane.outboxRows, lane.outboxRows - lane.deferred, lane.deferred), "number"],
  ["Deferred", (lane) => counted(lane.deferred, lane.deferred), "number"],
  ["Oldest", (lane) => seconds(lane.oldestSeconds), "number"],
  ["Queued", (lane) => count(lane.queued), "number"],
  ["In flight", (lane) => count(lane.inFlight), "number"],
  ["Rate", (lane) => (lane.ratePerSecond === null ? "default" : `${short(lane.ratePerSecond)}/s`), "number"],
  ["State", (lane) => [lane.isPaused ? "paused" : "", lane.isBehind ? "behind" : ""].filter(Boolean).join(", ")],
  ["Last error", (lane) => (lane.lastError === null ? "" : `${lane.lastError}, ${seconds(lane.lastErrorSeconds)} ago`)],
  ["Action", (lane) => (lane.host === null ? "" : hostButton(lane.host, lane.isPaused))],
];

/** Rows of a lane are counted up to here, of those that are due and of those that are deferred. */
const MOST_COUNTED = 10_000;

const ENDED = [
  ["Ended", (row) => time(row.ended)],
  ["Id", (row) => row.id],
  ["Request", (row) => `${row.method} ${row.url}`],
  ["Result", (row) => String(row.status ?? row.errorCode ?? "")],
  ["Error", (row) => row.error ?? ""],
  ["Tries", (row) => count(row.attempts), "number"],
  ["Took", (row) => (row.totalMs === null ? "–" : seconds(row.totalMs / 1000)), "number"],
];

const DEAD = [
  ...ENDED.filter(([name]) => name !== "Took"),
  ["Action", (row) => button("Replay", { action: "replay", id: row.id })],
];

const FOUND = [
  ["State", (row) => (row.place === "waiting" && row.due !== null ? `waits until ${time(row.due)}` : row.place)],
  ...ENDED,
  ["Action", (row) => found(row)],
];

let latest = null;

/** Shows those that came last, where any have: their columns may be others now. */
export function showListsAgain() {
  if (latest !== null) showLists(latest);
}

/** Shows the tables. */
export function showLists(lists) {
  latest = lists;
  if (lists.error !== undefined) {
    setText(byId("paused"), `The tables could not be read: ${lists.error}`);
    return;
  }
  const shown = new Set(lists.lanes.map(({ host }) => host));
  const others = lists.pausedHosts.filter((host) => !shown.has(host));
  byId("paused").replaceChildren(
    ...(others.length === 0
      ? []
      : ["Paused, with nothing waiting: ", ...others.flatMap((host) => [host, " ", hostButton(host, true), " "])]),
  );
  fill(byId("lanes"), LANES, lists.lanes, "Nothing waits, and nothing is in flight.");
  fill(byId("failures"), ENDED, lists.failures, "None among the latest results.");
  fill(byId("dead"), DEAD, lists.deadLetters, "None.");
}

/** Shows what a search found. */
export function showFound(requests) {
  fill(byId("found"), FOUND, requests, "Nothing.");
}

function fill(place, all, rows, none) {
  const columns = hasActions() ? all : all.filter(([name]) => name !== "Action");
  const focused = document.activeElement?.getAttribute("data-key");
  if (rows.length === 0) place.replaceChildren(element("p", { class: "none" }, none));
  else {
    // Named roles: on a phone rows are shown as cards, which are no table by themselves.
    const head = element(
      "tr",
      { role: "row" },
      ...columns.map(([name, , kind]) => element("th", { role: "columnheader", scope: "col", class: kind }, name)),
    );
    const body = rows.map((row) =>
      element(
        "tr",
        { role: "row" },
        ...columns.map(([name, cell, kind]) =>
          element("td", { role: "cell", class: kind, "data-name": name }, cell(row)),
        ),
      ),
    );
    place.replaceChildren(
      element(
        "table",
        { role: "table" },
        element("thead", { role: "rowgroup" }, head),
        element("tbody", { role: "rowgroup" }, ...body),
      ),
    );
  }
  // The rows are made anew: whoever was on a button is left there.
  if (focused)
    [...place.querySelectorAll("[data-key]")].find((one) => one.getAttribute("data-key") === focused)?.focus();
}

function counted(shown, ...parts) {
  return parts.some((part) => part >= MOST_COUNTED) ? `${count(shown)} or more` : count(shown);
}

function hostButton(host, isPaused) {
  return isPaused ? button("Resume", { action: "resume", host }) : button("Pause", { action: "pause", host });
}

function found(row) {
  if (row.place === "waiting") return button("Cancel", { action: "cancel", id: row.id });
  return row.place === "dead" ? button("Replay", { action: "replay", id: row.id }) : "";
}

function button(label, action) {
  if (!hasActions()) return "";
  const of = action.host ?? `request ${action.id}`;
  const key = `${action.action === "resume" || action.action === "pause" ? "host" : action.action} ${of}`;
  return element(
    "button",
    { type: "button", "aria-label": `${label} ${of}`, "data-key": key, onclick: () => void act(action) },
    label,
  );
}
