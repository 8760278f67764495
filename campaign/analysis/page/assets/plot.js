// Axes, marks, names beside lines, and the nearest point to a pointer or an arrow key.
const shapes = {
  o: "M3.2 0A3.2 3.2 0 1 1 -3.2 0A3.2 3.2 0 1 1 3.2 0Z",
  s: "M-2.9-2.9H2.9V2.9H-2.9Z",
  "^": "M0-3.8L3.5 2.6H-3.5Z",
  v: "M0 3.8L3.5-2.6H-3.5Z",
  D: "M0-4L4 0L0 4L-4 0Z",
  P: "M-1.3-3.6H1.3V-1.3H3.6V1.3H1.3V3.6H-1.3V1.3H-3.6V-1.3H-1.3Z",
  X: "M-3.4-2L-2-3.4L0-1.4L2-3.4L3.4-2L1.4 0L3.4 2L2 3.4L0 1.4L-2 3.4L-3.4 2L-1.4 0Z",
  "<": "M-3.8 0L2.6-3.5V3.5Z",
  ">": "M3.8 0L-2.6-3.5V3.5Z",
  p: "M0-3.8L3.6-1.2L2.2 3.1H-2.2L-3.6-1.2Z",
  h: "M0-3.8L3.3-1.9V1.9L0 3.8L-3.3 1.9V-1.9Z",
  "*": "M0-4.4L1.2-1.4L4.2-1.3L1.8.6L2.6 3.6L0 1.8L-2.6 3.6L-1.8.6L-4.2-1.3L-1.2-1.4Z",
};
const colour = (style) => `--c:var(--s${style})`;
const mark = (shape, x, y, kind = "mark") =>
  svg("path", { class: kind, d: shapes[shape], transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });

const logScale = (low, high, from, to) => (value) =>
  from + ((to - from) * Math.log(value / low)) / Math.log(high / low);
const linearScale = (low, high, from, to) => (value) => from + ((to - from) * (value - low)) / (high - low);

function decades(low, high, most) {
  const all = [];
  for (let k = Math.ceil(Math.log10(low) - 1e-9); k <= Math.log10(high) + 1e-9; k++) all.push(Number(`1e${k}`));
  const step = Math.max(1, Math.ceil(all.length / most));
  return all.filter((_, k) => (all.length - 1 - k) % step === 0);
}

function shares(low, high, most) {
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find((s) => (high - low) / s <= most) || 1;
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= Math.min(high, 1) + 1e-9; k++) ticks.push(k * step);
  return ticks;
}

// The frame of a chart: grid, ticks and names of the axes. `frame` has left, right, top, bottom.
function axes(frame, across, up, names) {
  const group = svg("g", { "aria-hidden": "true" });
  for (const [value, text] of up.ticks) {
    const y = up.scale(value);
    group.append(
      svg("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y, y2: y }),
      svg("text", { class: "soft", x: frame.left - 6, y: y + 4, "text-anchor": "end" }, text));
  }
  for (const [value, text] of across.ticks) {
    const x = across.scale(value);
    group.append(
      svg("line", { class: "axis", x1: x, x2: x, y1: frame.bottom, y2: frame.bottom + 4 }),
      svg("text", { class: "soft", x, y: frame.bottom + 17, "text-anchor": "middle" }, text));
  }
  group.append(
    svg("line", { class: "axis", x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom }));
  if (names) group.append(
    svg("text", { x: (frame.left + frame.right) / 2, y: frame.bottom + 36, "text-anchor": "middle" }, names.x),
    svg("text", { x: 0, y: frame.top - 10 }, names.y));
  return group;
}

// Moves wanted heights apart, keeping their order, within a range.
function spread(wanted, gap, top, bottom) {
  const placed = wanted.slice();
  for (let k = 0; k < placed.length; k++) placed[k] = Math.max(placed[k], k ? placed[k - 1] + gap : top);
  for (let k = placed.length - 1; k >= 0; k--)
    placed[k] = Math.min(placed[k], k + 1 < placed.length ? placed[k + 1] - gap : bottom);
  return placed;
}

// Names at the right of a chart; each target has x, y, text, style.
function nameEnds(targets, frame, gap = 14) {
  const ordered = targets.slice().sort((a, b) => a.y - b.y);
  const places = spread(ordered.map((t) => t.y), gap, frame.top, frame.bottom);
  return ordered.map((target, k) =>
    svg("g", { class: "series" + (target.dim ? " dim" : ""), style: colour(target.style), "aria-hidden": "true" }, [
      svg("path", { class: "leader",
        d: `M${target.x + 5} ${target.y}L${frame.right + 10} ${target.y}L${frame.right + 18} ${places[k]}H${frame.right + 22}` }),
      svg("text", { x: frame.right + 25, y: places[k] + 4, style: "font-size:11.5px" }, target.text),
    ]));
}

// Pointer and arrow keys over points with x, y, series, lines; `heard` is told which one is meant.
// A click or Enter gives the box an event "choose" with the point; a point with a `key` that was
// meant before is meant again when the chart is drawn anew.
function listen(box, points, heard) {
  let at = null;
  const held = box.meant;
  const ring = svg("circle", { class: "target", r: 6.5, visibility: "hidden" });
  box.firstElementChild.append(ring);
  const point = (found) => {
    at = found;
    box.meant = found ? found.key : undefined;
    heard(found ? found.series : null);
    ring.setAttribute("visibility", found ? "visible" : "hidden");
    if (!found) return hideTip();
    ring.setAttribute("cx", found.x);
    ring.setAttribute("cy", found.y);
    const frame = box.getBoundingClientRect();
    showTip(found.lines, frame.left + found.x, frame.top + found.y);
  };
  const near = (x, y, among = points) => {
    const far = (p) => (p.x - x) ** 2 + (p.y - y) ** 2;
    return among.reduce((best, p) => (!best || far(p) < far(best) ? p : best), null);
  };
  box.onpointermove = (event) => {
    const frame = box.getBoundingClientRect();
    const x = event.clientX - frame.left, y = event.clientY - frame.top;
    const found = near(x, y);
    point(found && Math.hypot(found.x - x, found.y - y) < 60 ? found : null);
  };
  box.onpointerleave = box.onblur = () => point(null);
  const choose = () => at && box.dispatchEvent(new CustomEvent("choose", { detail: at }));
  box.onclick = choose;
  box.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") point(null);
    if (event.key === "Enter") choose();
    if (!step || !points.length) return;
    event.preventDefault();
    if (!at) return point(points[0]);
    const beyond = points.filter((p) => p !== at && (step[0]
      ? p.series === at.series && (p.x - at.x) * step[0] > 0
      : p.series !== at.series && (p.y - at.y || (p.order - at.order)) * step[1] > 0));
    if (beyond.length) point(near(at.x, at.y, beyond));
  };
  const again = held !== undefined && points.find((p) => p.key === held);
  if (again) point(again);
}
