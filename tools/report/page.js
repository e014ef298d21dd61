// Draws the charts of the report from the JSON in this page. The tables stand without it.
"use strict";
(() => {
  const results = JSON.parse(document.getElementById("results").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const digits = (value) => (value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2));
  const seconds = (value) =>
    value >= 0.9995 ? digits(value) + " s" : value >= 0.0009995 ? digits(value * 1e3) + " ms" : digits(value * 1e6) + " µs";
  const bytes = (value) => (value >= 999.5e6 ? digits(value / 1e9) + " GB" : digits(value / 1e6) + " MB");
  const cpus = (value) => value.toFixed(2);

  const measures = [
    { title: "Time, less is better", key: "wall_seconds", text: seconds },
    { title: `CPUs used, of ${results.machine.cpus_usable}`, key: "cpus_used", text: cpus, limit: results.machine.cpus_usable },
    { title: "Peak memory of all processes", key: "peak_bytes", text: bytes },
  ];

  // Writes each bar's value beside its end, so that no axis has to be read.
  const values = {
    id: "values",
    afterDatasetsDraw(chart, _, options) {
      const pen = chart.ctx;
      pen.save();
      pen.font = `600 12px ${Chart.defaults.font.family}`;
      pen.textBaseline = "middle";
      chart.getDatasetMeta(0).data.forEach((bar, index) => {
        pen.fillStyle = options.colours[index];
        pen.fillText(options.labels[index], bar.x + 6, bar.y);
      });
      pen.restore();
    },
  };

  let charts = [];
  function draw() {
    charts.forEach((chart) => chart.destroy());
    charts = [];
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = 12;
    Chart.defaults.color = colour("--ink");
    for (const comparison of results.comparisons) {
      const models = comparison.models.filter((model) => model.measured);
      const holder = document.querySelector(`[id="${comparison.work}-${comparison.part}"] .charts`);
      if (!holder || models.length === 0) continue;
      holder.hidden = false;
      holder.replaceChildren();
      for (const measure of measures) holder.append(plot(measure, models));
    }
  }

  function plot(measure, models) {
    const figure = document.createElement("div");
    const title = document.createElement("h3");
    title.textContent = measure.title;
    const area = document.createElement("div");
    area.className = "plot";
    area.style.height = `${models.length * 30 + 8}px`;
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute(
      "aria-label",
      measure.title + ": " + models.map((model) => `${model.model} ${measure.text(model[measure.key])}`).join(", "));
    area.append(canvas);
    figure.append(title, area);
    const highest = Math.max(measure.limit || 0, ...models.map((model) => model[measure.key]));
    // Chart.js measures its canvas, which has a size only once it is in the page.
    requestAnimationFrame(() => {
      charts.push(new Chart(canvas, {
        type: "bar",
        plugins: [values],
        data: {
          labels: models.map((model) => model.model),
          datasets: [{
            data: models.map((model) => model[measure.key]),
            backgroundColor: models.map((model) =>
              !model.identical ? colour("--bad") : model.best ? colour("--accent") : colour("--bar")),
            borderRadius: 3,
            borderSkipped: "start",
            barThickness: 16,
            minBarLength: 2,
          }],
        },
        options: {
          indexAxis: "y",
          maintainAspectRatio: false,
          animation: false,
          layout: { padding: { right: 64 } },
          plugins: {
            legend: { display: false },
            tooltip: { enabled: false },
            values: {
              labels: models.map((model) => measure.text(model[measure.key])),
              colours: models.map((model) => (model.best ? colour("--accent") : colour("--ink"))),
            },
          },
          scales: {
            x: { display: false, min: 0, max: highest || 1 },
            y: { grid: { display: false, drawBorder: false }, ticks: { autoSkip: false, crossAlign: "far" } },
          },
        },
      }));
    });
    return figure;
  }

  draw();
  dark.addEventListener("change", draw);
})();
