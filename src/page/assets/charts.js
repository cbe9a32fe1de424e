import uPlot from "./uplot.js";
import { byId, element, setText } from "./element.js";
import { bytes, count, seconds, short } from "./format.js";

/** As the server keeps. */
const MOST_POINTS = 720;
const HOUR = 3600;
const LEAST_SHOWN = 300;
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

const CHARTS = [
  {
    title: "Starts and answers per second",
    format: short,
    series: [
      ["started", "started", 1],
      ["2xx", "2xx", 2],
      ["3xx", "3xx", 3],
      ["4xx", "4xx", 4],
      ["5xx", "5xx", 5],
      ["failed", "no answer", 5, [6, 4]],
    ],
  },
  {
    title: "Start to answer",
    format: seconds,
    series: [
      ["median", "median", 1],
      ["p99", "99th percentile", 4],
    ],
  },
  { title: "Rows in the outbox", format: count, series: [["outboxRows", "rows", 1]] },
  { title: "Oldest due", format: seconds, series: [["oldestDueSeconds", "age", 4]] },
  { title: "WAL retained for the slot", format: bytes, series: [["retainedBytes", "retained", 3]] },
];

let columns = [];
let points = [];
let charts = [];

/** Begins with an hour. */
export function showHistory(history) {
  columns = history.columns;
  points = history.points;
  draw();
}

/** Adds one point. */
export function addPoint(point) {
  points.push(point);
  if (points.length > MOST_POINTS) points.shift();
  for (const chart of charts) update(chart);
}

// Colours are read when a chart is made.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const chart = charts.find(({ figure }) => figure === target);
    if (chart !== undefined && contentRect.width > 0) chart.plot.setSize({ width: contentRect.width, height: 180 });
  }
});

function draw() {
  for (const { plot, figure } of charts) {
    resized.unobserve(figure);
    plot.destroy();
  }
  byId("charts").replaceChildren();
  charts = CHARTS.map((definition) => make(definition));
}

function make(definition) {
  const caption = element("figcaption");
  const canvas = element("div", { role: "img", "aria-label": definition.title });
  const figure = element("figure", {}, element("h3", {}, definition.title), caption, canvas);
  byId("charts").append(figure);
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: colour("faint"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { stroke: colour("line") },
  };
  const format = (_plot, value) => definition.format(value);
  const plot = new uPlot(
    {
      width: Math.max(200, figure.clientWidth),
      height: 180,
      cursor: { drag: { x: false, y: false } },
      legend: { live: false },
      scales: {
        x: { range: shownTime },
        y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] },
      },
      axes: [
        {
          ...axis,
          incrs: [60, 300, 600, 1200],
          values: (_plot, values) => values.map((value) => CLOCK.format(value * 1000)),
        },
        { ...axis, size: 70, values: (_plot, values) => values.map((value) => definition.format(value)) },
      ],
      series: [
        {},
        ...definition.series.map(([, label, index, dash]) => ({
          label,
          stroke: colour(`chart-${index}`),
          width: 1.5,
          value: format,
          points: { show: false },
          ...(dash && { dash }),
        })),
      ],
    },
    [[]],
    canvas,
  );
  const chart = { definition, plot, figure, caption, canvas };
  resized.observe(figure);
  update(chart);
  return chart;
}

/** The last hour; of a daemon that has just begun what there is of it, five minutes at least. */
function shownTime() {
  const now = Date.now() / 1000;
  const first = points[0]?.[0] ?? now;
  return [Math.max(now - HOUR, Math.min(first, now - LEAST_SHOWN)), now];
}

function update({ definition, plot, caption, canvas }) {
  const column = (name) => points.map((point) => point[columns.indexOf(name)] ?? null);
  plot.setData([column("at"), ...definition.series.map(([name]) => column(name))]);
  const last = points.at(-1);
  const now = definition.series
    .map(([name, label]) => `${label} ${definition.format(last?.[columns.indexOf(name)])}`)
    .join(", ");
  setText(caption, `Now: ${now}`);
  canvas.setAttribute("aria-label", `${definition.title} over the last hour. Now: ${now}`);
}
