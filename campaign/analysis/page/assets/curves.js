// Accuracy against bit error rate: a line with its band for each method.
const MOST_BANDS = 8;

// Estimates from samples of images have a curve for each training of a method, in one style.
const curveName = (curve) =>
  data.styles[curve.style].label + (known(curve.training) ? ` · training ${curve.training}` : "");

function curveLines(curve, k) {
  const cells = curve.cells, several = curve.trainings || 1;
  const seen = several > 1 ? `trials (${several} trainings)` : "maps";
  const lines = [
    curveName(curve),
    `BER ${rate(data.bers[cells.ber[k]])}: ${percent(cells.mean[k], 2)} %` +
      (known(cells.low[k]) ? ` [${percent(cells.low[k], 2)}, ${percent(cells.high[k], 2)}]` : ""),
    `${count(cells.trials[k])} ${seen} of ${count(cells.images[k])} images` +
      (cells.failed[k] ? `; ${count(cells.failed[k])} failed and are left out` : ""),
  ];
  if (known(cells.sd[k])) lines.push(`sd ${percent(cells.sd[k], 2)}, median ${percent(cells.median[k], 2)}, ` +
    `5-95 % of ${several > 1 ? "trials" : "maps"} ${percent(cells.q05[k], 2)}-${percent(cells.q95[k], 2)}`);
  if (known(curve.clean)) lines.push(`without faults ${percent(curve.clean, 2)} %`);
  if (known(cells.flips[k])) lines.push(`${count(cells.flips[k])} bits flipped on average`);
  if (cells.stop && cells.stop[k] === "max_seeds") lines.push("given up at max_seeds, wider than wanted");
  return lines.concat(classLines(cells, k));
}

function drawCurves() {
  const box = byId("curves-chart");
  if (!box) return;
  const curves = chosen("model", "dtype", "variant");
  drawLegend(curves);
  tellNumbers(curves);
  if (!curves.length) return box.replaceChildren(html("p", { class: "note" }, "not run"));
  const width = box.clientWidth, named = width >= 700;
  const height = Math.max(260, Math.min(480, 0.55 * width), named ? 14 * curves.length + 70 : 0);
  const frame = { left: 40, right: width - (named ? 215 : 12), top: 26, bottom: height - 44 };
  const shown = curves.flatMap((c) => [...c.cells.mean, ...c.cells.low, ...c.cells.high, c.clean]).filter(known);
  const most = Math.max(...shown, 0.01), least = Math.min(...shown, most);
  const low = least > 0.5 * most ? least - 0.08 * (most - least + 0.01) : 0;
  const rates = curves.flatMap((c) => c.cells.ber.map((b) => data.bers[b]));
  const first = Math.min(...rates), last = Math.max(...rates);
  const margin = last > first ? Math.pow(last / first, 0.03) : 3;
  const x = logScale(first / margin, last * margin, frame.left, frame.right);
  const top = most + 0.04 * (most - low);
  const y = linearScale(low, top, frame.bottom, frame.top);
  const ticks = decades(first / margin, last * margin, Math.max(2, Math.floor((frame.right - frame.left) / 52)));
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" }, axes(frame,
    { scale: x, ticks: (ticks.length > 1 ? ticks : [first, last]).map((b) => [b, rate(b)]) },
    { scale: y, ticks: shares(low, top, 8).map((s) => [s, percent(s, most - low < 0.05 ? 1 : 0)]) },
    { x: "bit error rate", y: `${data.metric_name} (%)` }));
  const clean = curves.map((c) => c.clean).find(known);
  if (known(clean)) drawing.append(
    svg("line", { class: "clean", x1: frame.left, x2: frame.right, y1: y(clean), y2: y(clean) }));
  const points = [], groups = new Map(), ends = [];
  const leads = (curve) => curves.find((c) => c.style === curve.style && c.cells.ber.length) === curve;
  const bands = (style) => curves.length <= MOST_BANDS || state.alone === style;
  curves.forEach((curve, order) => {
    const dim = state.alone !== null && state.alone !== curve.style;
    const group = svg("g", { class: "series" + (dim ? " dim" : ""), style: colour(curve.style) });
    groups.set(group, curve.style);
    const cells = curve.cells, at = cells.ber.map((b) => x(data.bers[b]));
    const sound = at.map((_, k) => k).filter((k) => known(cells.mean[k]));
    const wide = sound.filter((k) => known(cells.low[k]));
    const band = svg("path", { class: "band", d: wide.length > 1 ? "M" +
      wide.map((k) => `${at[k].toFixed(1)} ${y(cells.low[k]).toFixed(1)}`).join("L") + "L" +
      wide.slice().reverse().map((k) => `${at[k].toFixed(1)} ${y(cells.high[k]).toFixed(1)}`).join("L") + "Z" : "" });
    band.setAttribute("visibility", bands(curve.style) && !dim ? "visible" : "hidden");
    if (wide.length === 1) group.append(svg("line", { class: "bar", x1: at[wide[0]], x2: at[wide[0]],
      y1: y(cells.low[wide[0]]), y2: y(cells.high[wide[0]]) }));
    group.append(band, svg("path", { class: "line", "stroke-dasharray": data.styles[curve.style].dash,
      d: sound.length ? "M" + sound.map((k) => `${at[k].toFixed(1)} ${y(cells.mean[k]).toFixed(1)}`).join("L") : "" }));
    for (const k of sound) {
      const kind = cells.failed[k] ? "mark hollow" : "mark";
      group.append(mark(data.styles[curve.style].marker, at[k], y(cells.mean[k]), kind));
      if (!dim) points.push({ x: at[k], y: y(cells.mean[k]), series: curve.style, order, curve, k,
        key: `${curve.name} ${cells.ber[k]}`, lines: curveLines(curve, k) });
    }
    const end = sound[sound.length - 1];
    if (named && end !== undefined && leads(curve)) ends.push({ x: at[end], y: y(cells.mean[end]), dim, style: curve.style,
      text: data.styles[curve.style].label });
    drawing.append(group);
  });
  drawing.append(...nameEnds(ends.map((e) => ({ ...e, text: shortened(e.text, 30) })), frame));
  box.replaceChildren(drawing);
  listen(box, points, (style) => {
    for (const [group, own] of groups) {
      group.classList.toggle("hot", own === style);
      const dim = state.alone !== null && state.alone !== own;
      group.querySelector(".band").setAttribute("visibility",
        !dim && (bands(own) || own === style) ? "visible" : "hidden");
    }
  });
}
const shortened = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

function drawLegend(curves) {
  const list = byId("curves-legend"), held = document.activeElement, focus = held && held.dataset.style;
  list.classList.toggle("single", state.alone !== null);
  const once = curves.filter((c, k) => curves.findIndex((other) => other.style === c.style) === k);
  list.replaceChildren(...once.map((curve) => {
    const style = data.styles[curve.style];
    const sample = svg("svg", { viewBox: "0 0 30 12", "aria-hidden": "true", style: colour(curve.style) }, [
      svg("path", { class: "line", d: "M0 6H30", "stroke-dasharray": style.dash }), mark(style.marker, 15, 6)]);
    const button = html("button", { type: "button", "data-style": curve.style,
      "aria-pressed": state.alone === curve.style }, [sample, style.label]);
    button.addEventListener("click", () => {
      state.alone = state.alone === curve.style ? null : curve.style;
      redraw();
    });
    return html("li", {}, button);
  }));
  if (focus !== undefined && focus !== null) {
    const again = list.querySelector(`button[data-style="${focus}"]`);
    if (again) again.focus();
  }
}

function tellNumbers(curves) {
  const details = byId("curves-table");
  details.ontoggle = () => {
    if (!details.open) return;
    const places = [...new Set(curves.flatMap((c) => c.cells.ber))].sort((a, b) => a - b);
    const cell = (c, k) => (k < 0 ? "" : `${percent(c.cells.mean[k], 2)}` +
      (known(c.cells.low[k]) ? ` [${percent(c.cells.low[k], 2)}, ${percent(c.cells.high[k], 2)}]` : ""));
    const head = html("tr", {}, ["Method", "Clean (%)", ...places.map((b) => "BER " + rate(data.bers[b]))]
      .map((text) => html("th", { scope: "col" }, text)));
    const rows = curves.map((c) => html("tr", {}, [
      html("th", { scope: "row" }, curveName(c)), html("td", {}, percent(c.clean, 2)),
      ...places.map((b) => html("td", {}, cell(c, c.cells.ber.indexOf(b))))]));
    details.querySelector(".scroll").replaceChildren(
      html("table", {}, [html("thead", {}, head), html("tbody", {}, rows)]));
  };
  if (details.open) details.ontoggle();
}
charts.push(drawCurves);
