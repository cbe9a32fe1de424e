import { allowActions } from "./actions.js";
import { addPoint, showHistory, showLimits } from "./charts.js";
import { byId, setText } from "./element.js";
import { time } from "./format.js";
import { showOverview } from "./overview.js";
import { showLists } from "./tables.js";
import "./search.js";

const SHOWN = {
  history: showHistory,
  point: addPoint,
  frame: (frame) => {
    allowActions(frame.hasActions);
    showLimits(frame);
    showOverview(frame);
    shownAt = frame.at;
  },
  lists: showLists,
};

let shownAt = null;

watch();

function watch() {
  const events = new EventSource("/page/events");
  for (const [name, show] of Object.entries(SHOWN)) {
    events.addEventListener(name, ({ data }) => show(JSON.parse(data)));
  }
  events.addEventListener("open", () => connection("connected", "good"));
  events.addEventListener("error", () => {
    const since = shownAt === null ? "" : `; the numbers are of ${time(new Date(shownAt).toISOString())}`;
    connection(`no connection to the daemon, trying again${since}`, "bad");
    // After a refusal the browser does not try again by itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, 5000);
  });
}

function connection(text, tone) {
  const shown = byId("connection");
  setText(shown, text);
  shown.className = `badge ${tone}`;
}
