"use strict";
// Draws the charts of the page with Plotly, in the colours of the theme, and connects buttons and check boxes.
for (const figure of document.querySelectorAll(".plot")) {
  const chart = figure.querySelector(".chart");
  const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
  const initial = JSON.stringify(layout);
  const options = { responsive: true, displayModeBar: false };
  Plotly.newPlot(chart, data, themed(layout), options);
  const log = figure.querySelector(".log");
  log?.addEventListener("click", () => {
    const isOn = log.getAttribute("aria-pressed") !== "true";
    log.setAttribute("aria-pressed", isOn);
    const scale = isOn ? { "yaxis.type": "log", "yaxis.nticks": 5 } : { "yaxis.type": "linear", "yaxis.nticks": 0 };
    Plotly.relayout(chart, { ...scale, "yaxis.autorange": true });
  });
  figure.querySelector(".reset").addEventListener("click", () => {
    const { xaxis, yaxis } = JSON.parse(initial);
    for (const [name, axis] of [["xaxis", xaxis], ["yaxis", yaxis]]) {
      const change = axis.range ? { [name + ".range"]: axis.range } : { [name + ".autorange"]: true };
      Plotly.relayout(chart, change);
    }
  });
}

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  layout.paper_bgcolor = "rgba(0,0,0,0)";
  layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { color: colour("--ink"), family: "system-ui, sans-serif", size: 13 };
  layout.hoverlabel = { bgcolor: colour("--panel"), font: { color: colour("--ink") } };
  for (const axis of [layout.xaxis, layout.yaxis]) {
    axis.gridcolor = colour("--line");
    axis.linecolor = colour("--line");
  }
  return layout;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of document.querySelectorAll(".chart")) Plotly.react(chart, chart.data, themed(chart.layout));
});

// The check box of a run shows and hides its lines.
for (const box of document.querySelectorAll("#groups input")) {
  box.addEventListener("change", () => {
    for (const chart of document.querySelectorAll(".chart")) {
      const lines = chart.data.flatMap((line, at) => (line.legendgroup === box.dataset.group ? [at] : []));
      if (lines.length > 0) Plotly.restyle(chart, { visible: box.checked }, lines);
    }
  });
}

// A table that is wider than the page says so; one in a part that is folded away has no width until it is opened.
const widths = new ResizeObserver((tables) => {
  for (const { target } of tables) target.classList.toggle("wide", target.scrollWidth > target.clientWidth + 1);
});
for (const table of document.querySelectorAll(".scroll")) widths.observe(table);
