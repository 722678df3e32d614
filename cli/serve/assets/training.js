"use strict";
// The page of a run that trains.

const WIDTH = 480;
const HEIGHT = 220;
const LEFT = 62;
const TOP = 10;
const BOTTOM = 26;

const number = (value) => {
  if (value === 0) return "0";
  const isExtreme = Math.abs(value) < 0.001 || Math.abs(value) >= 1e6;
  return isExtreme ? value.toExponential(1) : String(Number(value.toPrecision(3)));
};

/** Round numbers between two values. */
function ticks(low, high, most) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(count, 0) }, (_, place) => (first + place) * step);
}

/** The ends of an axis: those of the values, with some room around them. */
function range(values) {
  const least = Math.min(...values);
  const most = Math.max(...values);
  const room = (most - least) * 0.05 || Math.abs(most) * 0.1 || 1;
  return [least - room, most + room];
}

/** Draws curves: lists of [x, y], the first as a line, the second with its points. */
function draw(chart) {
  const points = chart.curves.flatMap((curve) => curve.points);
  if (points.length === 0) return element("p", { class: "quiet" }, "Nothing to show yet.");
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const right = Math.max(...xs, 1);
  const [low, high] = range(ys);
  const x = (value) => LEFT + (value / right) * (WIDTH - LEFT - 12);
  const y = (value) => TOP + (1 - (value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const last = chart.curves.filter((curve) => curve.points.length)
    .map((curve) => `${curve.name} ${number(curve.points.at(-1)[1])}`).join(", ");
  const label = `${chart.title}: ${last}`;
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const value of ticks(low, high, 4)) {
    svg.append(element("line", { class: "grid", x1: LEFT, x2: WIDTH - 12, y1: y(value), y2: y(value) }),
      element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  for (const value of ticks(0, right, 5)) {
    svg.append(element("text", { x: x(value), y: HEIGHT - 8, "text-anchor": "middle" }, value.toLocaleString("en")));
  }
  chart.curves.forEach((curve, place) => {
    const kind = place === 0 ? "first" : "second";
    const line = curve.points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    svg.append(element("polyline", { class: kind, points: line }));
    if (curve.points.length <= 40) {
      const circle = ([step, value]) => element("circle", { class: kind, cx: x(step), cy: y(value), r: 2 });
      svg.append(...curve.points.map(circle));
    }
  });
  return svg;
}

function charts(run) {
  // The first epoch has no length yet.
  const length = run.steps_per_epoch ?? 1;
  const by = run.steps_per_epoch ? `by epochs of ${length.toLocaleString("en")} steps` : "by step";
  const points = (list, key, factor = 1) => list.map((point) => [point.step / length, factor * point[key]]);
  const training = (key, factor) => points(run.training, key, factor);
  const validation = (key, factor) => points(run.validation, key, factor);
  const two = (key, factor) => [
    { name: "training", points: training(key, factor) },
    { name: "validation", points: validation(key, factor) },
  ];
  return [
    { id: "chart-loss", title: "Loss", unit: `nats, ${by}`, curves: two("loss", 1) },
    { id: "chart-error", title: "Top-1 error", unit: `%, ${by}`, curves: two("top1_error", 100) },
    { id: "chart-rate", title: "Learning rate", unit: by,
      curves: [{ name: "learning rate", points: training("rate") }] },
    { id: "chart-speed", title: "Speed", unit: `images per second, ${by}`,
      curves: [{ name: "images per second", points: training("images_per_s") }] },
  ];
}

function showCharts(run) {
  byId("charts").replaceChildren(...charts(run).map((chart) => {
    const legend = chart.curves.length < 2 ? [] : [element("p", { class: "legend" },
      ...chart.curves.map((curve, place) => element("span", { class: place ? "of-second" : "of-first" }, curve.name)))];
    return element("div", { class: "chart", id: chart.id }, element("h2", {}, chart.title),
      element("p", { class: "quiet" }, chart.unit), ...legend, draw(chart));
  }));
}

function ofMetric({ monitor, value }) {
  return monitor.endsWith("error") ? `${(100 * value).toFixed(1)} %` : value.toFixed(4);
}

function showFigures(run) {
  const best = run.best ? [[`best ${run.best.monitor.replaceAll("-", " ").replace("top1", "top-1")}`, ofMetric(run.best)]] : [];
  const of = run.epochs ? ` of ${run.epochs}` : "";
  // Rounded down: 2.0 of 2 is the end.
  const tenths = run.steps_per_epoch && Math.floor((10 * run.step) / run.steps_per_epoch + 1e-9);
  const epoch = run.steps_per_epoch ? (tenths / 10).toFixed(1) : run.epoch;
  const figures = [
    ["state", run.state], ["epoch", `${epoch}${of}`], ["step", run.step.toLocaleString("en")],
    ["loss of the last steps", run.loss === null ? "-" : run.loss.toFixed(4)],
    ["images per second", run.images_per_s === null ? "-" : run.images_per_s.toFixed(0)], ...best,
  ];
  byId("figures").replaceChildren(...figures.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", { id: `figure-${name.split(" ")[0]}` }, value))));
}

/** The settings as pairs of a name with dots and a value. */
function flat(table, prefix = "") {
  return Object.entries(table).flatMap(([key, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? flat(value, `${prefix}${key}.`) : [[prefix + key, typeof value === "string" ? value : JSON.stringify(value)]]);
}

function show(run) {
  document.title = `${run.name}: ${run.state}`;
  byId("run-name").textContent = run.name;
  byId("run-network").textContent = `training of ${run.network}`;
  byId("run").hidden = false;
  showFigures(run);
  showCharts(run);
  byId("settings").tBodies[0].replaceChildren(...flat(run.settings).map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value))));
  if (run.message) say(run.message, true);
  else if (byId("status").textContent) say("");
}

const events = new EventSource("/v1/run/events");
events.addEventListener("run", (event) => show(JSON.parse(event.data)));
events.addEventListener("problem", (event) => say(JSON.parse(event.data).message, true));
events.addEventListener("error", () => {
  const isOver = events.readyState === EventSource.CLOSED;
  say(isOver ? "This server does not serve a run." : "The server does not answer; trying again ...", true);
});
