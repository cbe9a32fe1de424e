import uPlot from "./uplot.js";
import { byId, element, setText } from "./element.js";
import { bytes, count, seconds, short, time } from "./format.js";

/** As the server keeps. */
const MOST_POINTS = 720;
const HOUR = 3600;
/** A daemon that has just begun shows so many seconds at least. */
const SHORTEST = 300;
const HEIGHT = 160;
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

// Distances between two marks of an axis, so that each mark is a round number in the unit that is shown.
const COUNTS = decades(0, 12);
const DURATIONS = [...decades(-5, 1), 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200, 18000, 43200, 86400, 604800];
const SIZES = Array.from({ length: 50 }, (_, power) => 2 ** power);
const MINUTES = [60, 120, 300, 600, 900, 1200];

/** Each series: its column, its name, its colour, and its dashes. */
const CHARTS = [
  {
    title: "Starts and answers per second",
    format: short,
    marks: [...decades(-2, 0), ...COUNTS],
    limit: (values) => values["queue.rateLimit"],
    series: [
      ["started", "started", 1],
      ["2xx", "2xx", 2],
      ["3xx", "3xx", 3],
      ["4xx", "4xx", 4],
      ["5xx", "5xx", 5],
      ["failed", "no answer", 6, [6, 4]],
    ],
  },
  {
    title: "Start to answer",
    format: seconds,
    marks: DURATIONS,
    series: [
      ["median", "median", 1],
      ["p99", "99th percentile", 4],
    ],
  },
  { title: "Rows in the outbox", format: count, marks: COUNTS, series: [["outboxRows", "rows", 1]] },
  { title: "Oldest due", format: seconds, marks: DURATIONS, series: [["oldestDueSeconds", "age", 4]] },
  {
    title: "WAL retained for the slot",
    format: bytes,
    marks: SIZES,
    limit: ({ "slot.retained": size, "slot.safe": safe }) => (Number.isFinite(safe) ? size + safe : null),
    series: [["retainedBytes", "retained", 3]],
  },
];

let columns = [];
let points = [];
let charts = [];
let numbers = {};

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

/** The numbers of now, with the limits among them. */
export function showLimits({ values }) {
  numbers = values;
}

// Colours are read when a chart is made.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const chart = charts.find(({ canvas }) => canvas === target);
    if (chart !== undefined && contentRect.width > 0) chart.plot.setSize({ width: contentRect.width, height: HEIGHT });
  }
});

function draw() {
  for (const { plot, canvas } of charts) {
    resized.unobserve(canvas);
    plot.destroy();
  }
  byId("charts").replaceChildren();
  charts = CHARTS.map((definition) => make(definition));
}

function make(definition) {
  const shown = definition.series.map(() => element("span"));
  const most = element("span");
  const when = element("span");
  const canvas = element("div", { role: "img", "aria-label": definition.title });
  const caption = element(
    "figcaption",
    {},
    ...definition.series.map(([, name, colour, dash], index) =>
      element("span", { class: "key" }, swatch(colour, dash), ` ${name} `, shown[index]),
    ),
    ...(definition.limit === undefined
      ? []
      : [
          element(
            "span",
            { class: "key" },
            element("span", { class: "swatch limit", "aria-hidden": "true" }),
            " limit ",
            most,
          ),
        ]),
    when,
  );
  byId("charts").append(element("figure", {}, element("h3", {}, definition.title), caption, canvas));
  const chart = { definition, canvas, shown, most, when, plot: null };
  chart.plot = new uPlot(optionsOf(chart), [[]], canvas);
  resized.observe(canvas);
  update(chart);
  return chart;
}

function swatch(colour, dash) {
  return element("span", { class: `swatch colour-${colour}${dash ? " dashed" : ""}`, "aria-hidden": "true" });
}

function optionsOf(chart) {
  const { definition, canvas } = chart;
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: colour("faint"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: Math.max(200, canvas.clientWidth),
    height: HEIGHT,
    padding: [8, 12, 0, 0],
    cursor: { drag: { x: false, y: false }, y: false },
    legend: { show: false },
    hooks: {
      setCursor: [() => chart.plot !== null && caption(chart)],
      draw: [(plot) => drawLimit(plot, definition.limit?.(numbers), colour("bad"))],
    },
    scales: {
      x: { range: () => span() },
      y: { range: (_plot, _low, high) => [0, highest(high, definition.limit?.(numbers))] },
    },
    axes: [
      {
        ...axis,
        incrs: MINUTES,
        space: 60,
        size: 30,
        values: (_plot, values) => values.map((value) => CLOCK.format(value * 1000)),
      },
      {
        ...axis,
        incrs: definition.marks,
        size: 66,
        values: (_plot, values) => values.map((value) => definition.format(value)),
      },
    ],
    series: [
      {},
      ...definition.series.map(([, , index, dash]) => ({
        stroke: colour(`chart-${index}`),
        width: 1.5,
        points: { show: false },
        ...(dash && { dash }),
      })),
    ],
  };
}

/** The last hour, or what there is of it. */
function span() {
  const now = Date.now() / 1000;
  const first = points[0]?.[columns.indexOf("at")] ?? now;
  return [now - Math.min(HOUR, Math.max(SHORTEST, now - first)), now];
}

/** The top of a chart: above all numbers, and above the limit where they come near it. */
function highest(high, limit) {
  if (Number.isFinite(limit) && high > limit / 2) return Math.max(high, limit) * 1.1;
  return high > 0 ? high * 1.1 : 1;
}

/** Where it is near. */
function drawLimit(plot, limit, colour) {
  if (!Number.isFinite(limit) || limit > plot.scales.y.max) return;
  const { ctx, bbox } = plot;
  const y = Math.round(plot.valToPos(limit, "y", true));
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

function update(chart) {
  const { definition, plot, canvas, most } = chart;
  const column = (name) => points.map((point) => point[columns.indexOf(name)] ?? null);
  plot.setData([column("at"), ...definition.series.map(([name]) => column(name))]);
  const now = caption(chart);
  setText(most, definition.format(definition.limit?.(numbers)));
  canvas.setAttribute("aria-label", `${definition.title} over the last hour. Now: ${now}`);
}

/** What the latest point says, or the one under the pointer. */
function caption({ definition, plot, shown, when }) {
  const index = plot.cursor.idx ?? points.length - 1;
  const point = points[index];
  const isLatest = plot.cursor.idx === null || plot.cursor.idx === undefined;
  setText(when, isLatest ? "" : `at ${time(new Date(point[columns.indexOf("at")] * 1000).toISOString())}`);
  return definition.series
    .map(([column, name], which) => {
      const text = definition.format(point?.[columns.indexOf(column)]);
      setText(shown[which], text);
      return `${name} ${text}`;
    })
    .join(", ");
}

/** 1, 2 and 5 times each power of ten. */
function decades(from, to) {
  return Array.from({ length: to - from }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** (from + power))).flat();
}
