// Memory against the bit error rate that is tolerated: a point for each curve of a model.
const kinds = Object.keys(shapes);
const drop = "ber_at_5pt";

// Where a curve stands: its estimate, or the bound that is known of it.
function spot(curve) {
  const [best, low, high] = curve.tolerated[drop];
  const rates = curve.cells.ber.map((b) => data.bers[b]);
  const bound = known(best) ? 0 : { ">": 1, "<": -1 }[String(best)[0]];
  if (!curve.cost || bound === undefined) return null;
  const value = bound ? (bound > 0 ? Math.max(...rates) : Math.min(...rates)) : best;
  return { curve, bound, bits: curve.cost.total_bits, value, low, high, front: curve.cost.front_of_model };
}

function costLines(found) {
  const { curve } = found, ends = curve.tolerated[drop];
  const lines = [
    `${data.dtypes[curve.dtype]} · ${data.styles[curve.style].label}`,
    `tolerates ${rate(ends[0])}` + (known(ends[1]) && known(ends[2]) ? ` [${rate(ends[1])}, ${rate(ends[2])}]` : ""),
    `${found.bits.toFixed(2)} bits per weight, memory +${percent(curve.cost.memory)} %, ` +
      `operations +${percent(curve.cost.operations)} %`,
    `without faults ${percent(curve.clean, 2)} %`,
  ];
  return found.front ? lines.concat("nothing else of the model is as small and tolerates as much") : lines;
}

function drawCost() {
  const box = byId("cost-chart");
  if (!box) return;
  const spots = chosen("model", "variant").map(spot).filter((s) => s);
  drawKeys(spots);
  if (!spots.length) return box.replaceChildren(html("p", { class: "note" }, "nothing is known of the cost"));
  const width = box.clientWidth, named = width >= 700;
  const front = spots.filter((s) => s.front).sort((a, b) => a.bits - b.bits || a.value - b.value);
  const height = Math.max(300, Math.min(520, 0.6 * width), named ? 14 * front.length + 70 : 0);
  const frame = { left: 52, right: width - (named ? 260 : 16), top: 26, bottom: height - 44 };
  const bits = spots.map((s) => s.bits);
  const rates = spots.flatMap((s) => (s.front ? [s.value, s.low, s.high] : [s.value])).filter((v) => known(v) && v > 0);
  const across = Math.max(Math.pow(Math.max(...bits) / Math.min(...bits), 0.05), 1.03);
  const up = Math.max(Math.pow(Math.max(...rates) / Math.min(...rates), 0.06), 1.3);
  const least = Math.min(...bits) / across, most = Math.max(...bits) * across;
  const low = Math.min(...rates) / up, high = Math.max(...rates) * up;
  const x = logScale(least, most, frame.left, frame.right), y = logScale(low, high, frame.bottom, frame.top);
  const powers = [];
  const parts = frame.right - frame.left > 420 ? [1, 1.25, 1.5, 1.75] : [1, 1.5];
  for (let k = Math.floor(Math.log2(least)); k <= Math.log2(most); k++)
    for (const part of parts) if (2 ** k * part >= least && 2 ** k * part <= most) powers.push(2 ** k * part);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" }, axes(frame,
    { scale: x, ticks: powers.map((b) => [b, String(Number(b.toPrecision(3)))]) },
    { scale: y, ticks: decades(low, high, 10).map((b) => [b, rate(b)]) },
    { x: "bits per weight", y: "tolerated bit error rate (drop of 5 points)" }));
  if (front.length) drawing.append(svg("path", { class: "front",
    d: `M${x(front[0].bits)} ${y(front[0].value)}` +
      front.slice(1).map((s) => `H${x(s.bits)}V${y(s.value)}`).join("") + `H${frame.right}` }));
  const points = [...spots.filter((s) => !s.front), ...front].map((found, order) => {
    const px = x(found.bits), py = y(found.value);
    const dim = state.alone !== null && state.alone !== found.curve.style;
    const group = svg("g", { class: "series" + (dim ? " dim" : ""), style: colour(found.curve.style) });
    if (found.front && known(found.low) && known(found.high))
      group.append(svg("line", { class: "bar", x1: px, x2: px, y1: y(found.low), y2: y(found.high) }));
    if (found.bound) group.append(svg("path", { class: "line",
      d: `M${px} ${py}v${-14 * found.bound}m-3 ${4 * found.bound}l3 ${-4 * found.bound}l3 ${4 * found.bound}` }));
    group.append(mark(kinds[found.curve.dtype % kinds.length], px, py, found.front ? "mark" : "hollow"));
    drawing.append(group);
    return { x: px, y: py, series: found.curve.style, order, dim, found, lines: costLines(found) };
  });
  if (named) drawing.append(...nameEnds(points.filter((p) => p.found.front).map((p) => ({
    x: p.x, y: p.y, dim: p.dim, style: p.series, text: shortened(p.lines[0], 38) })), frame));
  box.replaceChildren(drawing);
  listen(box, points.filter((p) => !p.dim), () => {});
}

function drawKeys(spots) {
  const used = [...new Set(spots.map((s) => s.curve.dtype))].sort((a, b) => a - b);
  byId("cost-keys").replaceChildren(...used.map((dtype) => html("li", {}, [
    svg("svg", { viewBox: "-6 -6 12 12", "aria-hidden": "true", style: "--c:var(--ink)" },
      mark(kinds[dtype % kinds.length], 0, 0, "hollow")), " " + data.dtypes[dtype]])));
}
charts.push(drawCost);
