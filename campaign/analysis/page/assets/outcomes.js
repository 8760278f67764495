// What becomes of the answers: a panel for each method, a stacked bar for each bit error rate.
const classes = ["masked", "benign", "sdc", "due"];

function drawOutcomes() {
  const box = byId("outcomes-chart");
  if (!box) return;
  const curves = chosen("model", "dtype", "variant").filter(
    (c) => state.alone === null || c.style === state.alone);
  box.replaceChildren(...curves.map((curve) => {
    const figure = html("figure", {}, html("figcaption", {}, data.styles[curve.style].label));
    const place = html("div", { class: "chart", style: "min-height:0", tabindex: "0", role: "application",
      "aria-label": `Outcome classes of ${data.styles[curve.style].label}; arrow keys go along` });
    figure.append(place);
    return figure;
  }));
  curves.forEach((curve, k) => outcomePanel(box.children[k].lastElementChild, curve));
}

function outcomePanel(box, curve) {
  const width = box.clientWidth, height = 150, cells = curve.cells;
  const frame = { left: 30, right: width - 8, top: 8, bottom: height - 22 };
  const rates = cells.ber.map((b) => data.bers[b]);
  const first = Math.min(...rates), last = Math.max(...rates);
  const margin = last > first ? Math.pow(last / first, 0.5 / Math.max(1, rates.length - 1)) : 3;
  const x = logScale(first / margin, last * margin, frame.left, frame.right);
  const y = linearScale(0, 1, frame.bottom, frame.top);
  const wide = Math.max(2, ((frame.right - frame.left) / Math.max(1, rates.length)) * 0.8);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" }, axes(frame,
    { scale: x, ticks: decades(first / margin, last * margin, 4).map((b) => [b, rate(b)]) },
    { scale: y, ticks: [[0, "0"], [0.5, "50"], [1, "100 %"]].map(([v, t]) => [v, t.replace(" %", "")]) }));
  const points = [];
  rates.forEach((ber, k) => {
    if (!known(cells.masked[k])) return;
    let below = 0;
    for (const name of classes) {
      const share = cells[name][k];
      drawing.append(svg("rect", { class: name, x: (x(ber) - wide / 2).toFixed(1), width: wide.toFixed(1),
        y: y(below + share).toFixed(2), height: Math.max(0, y(below) - y(below + share)).toFixed(2) }));
      below += share;
    }
    points.push({ x: x(ber), y: y(0.5), series: 0, order: k, lines: [
      data.styles[curve.style].label, `BER ${rate(ber)}`,
      ...classes.map((name) => `${name.length === 3 ? name.toUpperCase() : name} ${percent(cells[name][k], 2)} %`)] });
  });
  box.replaceChildren(drawing);
  listen(box, points, () => {});
}
charts.push(drawOutcomes);
