"use strict";
// Asks the server, keeps what is chosen in the address, and draws what has changed.
const EVERY = 2000;
const MANY = ["method", "t"];
let answered = null, drawn = "", opened = null;

const chosenNow = () => new URLSearchParams(location.hash.slice(1));
function choose(changes) {
  const next = chosenNow();
  for (const [name, values] of Object.entries(changes)) {
    next.delete(name);
    for (const value of [].concat(values)) if (value !== "") next.append(name, value);
  }
  history.replaceState(null, "", "#" + next);
  drawn = "";
  return refresh();
}

async function ask(path, query) {
  const answer = await fetch(`${path}?${new URLSearchParams(query)}`);
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.error || answer.statusText), { told: true });
  return found;
}

function pulse(state, text) {
  const line = byId("pulse");
  line.dataset.state = state;
  if (line.textContent !== text) line.textContent = text;
  document.body.classList.toggle("stale", state === "stale");
}

function message(text, isError) {
  const box = byId("message");
  box.hidden = !text;
  box.textContent = text || "";
  box.classList.toggle("error", Boolean(isError));
  if (text) byId("campaign").hidden = true;
}

let asking = 0;
async function refresh() {
  const turn = ++asking;
  try {
    const root = await ask("api/campaigns", {});
    const query = chosenNow();
    const ids = root.campaigns.map((c) => c.id);
    if (!query.get("name") && ids.length) {
      const first = root.campaigns.find((c) => c.state === "running") || root.campaigns[0];
      query.set("name", first.id);
    }
    const name = query.get("name");
    const found = ids.includes(name) ? await ask("api/campaign", query) : null;
    if (turn !== asking) return;
    answered = Date.now();
    pulse("live", `live · ${root.campaigns.length} campaign${root.campaigns.length === 1 ? "" : "s"}`);
    showRoot(root);
    showList(root.campaigns, name, (id) => {
      closeTrials();
      choose({ name: id, model: "", dtype: "", variant: "", method: [], t: [] });
    });
    if (found) show(found);
    else if (!ids.length) message(`No results under ${root.root} yet.\nStart one: campaign run SPEC`);
    else message(`There is no campaign ${name} any more; choose another one.`, true);
  } catch (error) {
    if (turn !== asking) return;
    if (error.told) return message(error.message, true);
    const since = answered ? ` since ${new Date(answered).toLocaleTimeString()}` : "";
    pulse("stale", `the server does not answer${since}; what is shown may be old`);
  }
}

function showRoot(root) {
  byId("root").textContent = root.root;
  const links = Object.entries(root.links).map(([name, url]) => html("a", { href: url }, name));
  if (byId("links").childElementCount !== links.length) byId("links").replaceChildren(...links);
}

function show({ overview, details, chart }) {
  if (overview.state === "unreadable") return message(`${overview.folder} cannot be read: ${overview.problem}`, true);
  if (!chart) return message("reading the rows…");
  message("");
  byId("campaign").hidden = false;
  document.title = `${overview.ok === overview.total ? "" : Math.floor((100 * overview.ok) / (overview.total || 1)) + " % "}${overview.name}`;
  byId("title").textContent = overview.name;
  byId("about").textContent = details.description;
  showTiles(overview);
  showSetups(details.setups);
  showWorkers(details.workers, overview);
  showFailures(details, showFailed);
  const now = JSON.stringify(chart) + innerWidth;
  if (now === drawn) return;
  drawn = now;
  showFilters(chart);
  byId("level").textContent = `${brief(100 * chart.level)} %`;
  Object.assign(data, chart, { models: [""], dtypes: [""], variants: [""] });
  byId("palette").textContent = chart.css;
  state.model = state.dtype = state.variant = 0;
  if (!chart.curves.some((c) => c.style === state.alone)) state.alone = null;
  byId("curves-title").textContent = `${chart.metric_name} against bit error rate`;
  const faulty = chart.curves.filter((c) => c.cells.ber.length);
  data.curves = faulty;
  drawCurves();
  if (!faulty.length) byId("curves-chart").replaceChildren(html("p", { class: "message" },
    chart.curves.length ? "Only fault-free trials so far." : details.setups.some((s) => s.ok)
      ? "No curve passes the filters." : "No trial has a result yet."));
}

function showFilters(chart) {
  for (const select of document.querySelectorAll("select[data-facet]")) {
    const name = select.dataset.facet, names = chart.facets[name];
    const now = name === "metric" ? chart.metric : chart.chosen[name];
    if (names) {
      const same = names.join("\n") === [...select.options].map((o) => o.value).join("\n");
      if (!same) select.replaceChildren(...names.map((value) => html("option", { value }, value)));
      select.parentNode.hidden = names.length < 2;
    }
    select.value = now;
  }
  for (const name of MANY) {
    const field = document.querySelector(`fieldset[data-facet=${name}]`), boxes = field.querySelector(".boxes");
    const names = chart.facets[name];
    field.hidden = names.length < 2;
    const same = names.join("\n") === [...boxes.querySelectorAll("input")].map((b) => b.value).join("\n");
    if (!same) boxes.replaceChildren(...names.map((value) =>
      html("label", {}, [html("input", { type: "checkbox", name, value }), ` ${value}`])));
    for (const box of boxes.querySelectorAll("input")) box.checked = chart.chosen[name].includes(box.value);
  }
}

function filtersChanged(event) {
  const held = event.target;
  if (held.type !== "checkbox") return choose({ [held.dataset.facet]: held.value });
  const boxes = [...byId("filters").querySelectorAll(`input[name=${held.name}]`)];
  const on = boxes.filter((box) => box.checked);
  if (!on.length) held.checked = true;
  return choose({ [held.name]: on.length === boxes.length ? [] : on.length ? on.map((b) => b.value) : [held.value] });
}

// The trials behind a point, and one of them.
function openTrials(event) {
  const { curve, k } = event.detail, style = data.styles[curve.style];
  const ber = data.bers[curve.cells.ber[k]];
  byId("trial").hidden = true;
  openPoint(curve.setup, ber, style.label, { sort: "seed", down: 0 }).then(() => byId("trials-title").focus());
}

function openPoint(setup, ber, name, order) {
  opened = { setup, ber, label: `${name}, BER ${rate(ber)}`, ...order, offset: 0 };
  return showTrials();
}

async function showTrials() {
  if (!opened) return;
  const { label, ...query } = opened;
  try {
    const found = await ask("api/trials", { name: current(), ...query });
    byId("trials").hidden = false;
    byId("trials-title").textContent = `Trials: ${label}`;
    const last = opened.offset + found.rows.length;
    byId("trials-note").textContent = `${whole(opened.offset + 1)} to ${whole(last)} of ${whole(found.count)}`;
    byId("trials-before").disabled = opened.offset === 0;
    byId("trials-after").disabled = last >= found.count;
    const heads = found.columns.map((column) => {
      const arrow = column === opened.sort ? (opened.down ? " ↓" : " ↑") : "";
      const button = html("button", { type: "button" }, column + arrow);
      button.addEventListener("click", () => {
        Object.assign(opened, { sort: column, down: column === opened.sort ? 1 - opened.down : 0, offset: 0 });
        showTrials();
      });
      return button;
    });
    fillTable(byId("trials-table"), heads, found.rows.map(([id, ...cells]) => {
      const button = html("button", { type: "button", title: id }, id.length > 22 ? "…" + id.slice(-20) : id);
      button.addEventListener("click", () => showTrial(id));
      return [button, ...cells];
    }));
  } catch (error) {
    byId("trials-note").textContent = error.message;
  }
}

// From the table of failures: the trial among the others of its point, those that failed first.
async function showFailed(id) {
  try {
    const { row } = await ask("api/trial", { name: current(), id });
    const name = `${row.model} · ${row.dtype} · ${row.method}`;
    await openPoint(row.setup_id, row.ber, name, { sort: "status", down: row.status > "ok" ? 1 : 0 });
    await showTrial(id);
  } catch (error) {
    byId("failures-note").textContent = error.message;
  }
}

async function showTrial(id) {
  byId("trial").hidden = false;
  byId("trial-title").textContent = `Trial ${id}`;
  try {
    const found = await ask("api/trial", { name: current(), id });
    byId("trial-command").textContent = found.command;
    fillTable(byId("trial-table"), ["Column", "Value"], Object.entries(found.row).map(([name, value]) =>
      [name, value === null ? "" : String(value)]));
  } catch (error) {
    byId("trial-command").textContent = error.message;
  }
  byId("trial-title").focus();
}

function closeTrials() {
  opened = null;
  byId("trials").hidden = byId("trial").hidden = true;
  byId("trials-table").replaceChildren();
}

const current = () => byId("list").querySelector("[aria-current=true]").dataset.id;

(function () {
  const root = document.documentElement, theme = byId("theme");
  const wish = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme || (wish.matches ? "dark" : "light")) === "dark";
  const name = () => (theme.textContent = dark() ? "Light" : "Dark");
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  wish.addEventListener("change", name);
  name();

  charts.length = 0;
  charts.push(drawCurves);
  byId("filters").addEventListener("change", filtersChanged);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("curves-chart").addEventListener("choose", openTrials);
  byId("trials-close").addEventListener("click", () => {
    closeTrials();
    byId("curves-chart").focus();
  });
  const turn = (step) => {
    opened.offset = Math.max(0, opened.offset + 100 * step);
    showTrials();
  };
  byId("trials-before").addEventListener("click", () => turn(-1));
  byId("trials-after").addEventListener("click", () => turn(1));
  byId("trial-copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(byId("trial-command").textContent);
    byId("trial-copy").textContent = "Copied";
    setTimeout(() => (byId("trial-copy").textContent = "Copy"), 1500);
  });
  addEventListener("hashchange", () => {
    drawn = "";
    refresh();
  });
  addEventListener("resize", () => refresh());
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  refresh();
  setInterval(() => document.hidden || refresh(), EVERY);
})();
