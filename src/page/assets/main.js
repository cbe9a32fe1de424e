import { allowActions } from "./actions.js";
import { addPoint, showHistory } from "./charts.js";
import { byId, setText } from "./element.js";
import { showOverview } from "./overview.js";
import { showLists } from "./tables.js";
import "./search.js";

const events = new EventSource("/page/events");

const SHOWN = {
  history: showHistory,
  point: addPoint,
  frame: (frame) => {
    allowActions(frame.hasActions);
    showOverview(frame);
  },
  lists: showLists,
};

for (const [name, show] of Object.entries(SHOWN)) {
  events.addEventListener(name, ({ data }) => show(JSON.parse(data)));
}
events.addEventListener("open", () => connection("connected", "good"));
events.addEventListener("error", () => {
  connection("no connection to the daemon; trying again", "bad");
  // After a refusal the browser does not try again by itself.
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
});

function connection(text, tone) {
  const shown = byId("connection");
  setText(shown, text);
  shown.className = `badge ${tone}`;
}
