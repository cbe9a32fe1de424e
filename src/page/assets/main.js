import { allowActions } from "./actions.js";
import { addPoint, showHistory, showLimits } from "./charts.js";
import { byId, setText } from "./element.js";
import { time } from "./format.js";
import { showNotAnswering, showOverview } from "./overview.js";
import { showLists, showListsAgain } from "./tables.js";
import "./search.js";

const SHOWN = {
  history: showHistory,
  point: addPoint,
  frame: (frame) => {
    heardAt = performance.now();
    if (isSilent) connected();
    // The tables may have come before the first frame, without buttons.
    if (allowActions(frame.hasActions)) showListsAgain();
    showLimits(frame);
    showOverview(frame);
    shownAt = frame.at;
  },
  lists: showLists,
};

/** A frame comes each second: a daemon that hangs keeps its connection, and sends none. */
const SILENT_MS = 5000;

let shownAt = null;
let heardAt = performance.now();
let isSilent = false;

watch();
setInterval(() => {
  if (isSilent || performance.now() - heardAt < SILENT_MS) return;
  isSilent = true;
  lost("the daemon does not answer");
}, 1000);

function watch() {
  const events = new EventSource("/page/events");
  for (const [name, show] of Object.entries(SHOWN)) {
    events.addEventListener(name, ({ data }) => show(JSON.parse(data)));
  }
  events.addEventListener("open", () => connected());
  events.addEventListener("error", () => {
    lost("no connection to the daemon, trying again");
    // After a refusal the browser does not try again by itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, 5000);
  });
}

function connected() {
  heardAt = performance.now();
  isSilent = false;
  connection("connected", "good");
}

function lost(what) {
  const since = shownAt === null ? "" : `; the numbers are of ${time(new Date(shownAt).toISOString())}`;
  connection(`${what}${since}`, "bad");
  showNotAnswering();
}

function connection(text, tone) {
  const shown = byId("connection");
  setText(shown, text);
  shown.className = `badge ${tone}`;
}
