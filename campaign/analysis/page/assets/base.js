"use strict";
// The data of the page, elements, and numbers as people read them.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const known = (value) => typeof value === "number";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  for (const child of [].concat(children === undefined ? [] : children)) node.append(child);
  return node;
}
const html = (name, attributes, children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

const percent = (share, digits = 1) => (known(share) ? (100 * share).toFixed(digits) : "-");

function rate(value, digits = 3) {
  if (typeof value === "string") return value;
  if (!known(value)) return "-";
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const raised = String(Number(exponent)).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] || "⁻");
  const plain = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  return (plain === "1" ? "" : plain + "×") + "10" + raised;
}
const count = (value) => (known(value) ? value.toLocaleString("en", { maximumFractionDigits: 1 }) : "-");

// What is chosen; one state for all charts, so that they always show the same campaign cells.
const state = { model: 0, dtype: 0, variant: 0, alone: null };
const charts = [];
const redraw = () => charts.forEach((draw) => draw());

const fits = (curve, fields) => fields.every((field) => curve[field] === state[field]);
const chosen = (...fields) =>
  data.curves.filter((curve) => fits(curve, fields)).sort((a, b) => a.style - b.style);

function fillSelectors() {
  for (const select of document.querySelectorAll("select[data-field]")) {
    const field = select.dataset.field;
    const names = data[field + "s"];
    select.replaceChildren(...names.map((name, k) => html("option", { value: k }, name)));
    if (field === "variant" && names.length < 2) select.parentNode.hidden = true;
    select.addEventListener("change", () => {
      state[field] = Number(select.value);
      settle(field);
      redraw();
    });
  }
}

// A choice that was never run moves the others to what was.
function settle(field) {
  if (!chosen("model", "dtype", "variant").length) {
    const near = data.curves.find((curve) => curve[field] === state[field]);
    if (near) for (const other of ["model", "dtype", "variant"]) state[other] = near[other];
  }
  if (state.alone !== null && !chosen("model", "dtype", "variant").some((c) => c.style === state.alone))
    state.alone = null;
  for (const select of document.querySelectorAll("select[data-field]"))
    select.value = state[select.dataset.field];
}

function showTip(lines, x, y) {
  const tip = byId("tip");
  tip.replaceChildren(html("b", {}, lines[0]), lines.slice(1).join("\n"));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth ? x - box.width - 14 : x + 14;
  tip.style.left = Math.max(4, Math.min(left, innerWidth - box.width - 4)) + "px";
  tip.style.top = Math.max(4, Math.min(y - box.height / 2, innerHeight - box.height - 4)) + "px";
}
const hideTip = () => (byId("tip").hidden = true);

const classLines = (cells, k) =>
  known(cells.masked[k])
    ? [`masked ${percent(cells.masked[k])} %, benign ${percent(cells.benign[k])} %, ` +
       `SDC ${percent(cells.sdc[k])} %, DUE ${percent(cells.due[k])} %`]
    : [];
