"use strict";
// Tables, tiles and the list of campaigns; every text from outside goes in as text.
const whole = (value) => (known(value) ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : "-");
const brief = (value) => (known(value) ? value.toLocaleString("en", { maximumSignificantDigits: 3 }) : "-");

function span(seconds) {
  if (!known(seconds)) return "-";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} d`;
}

function fillBar(bar, counts) {
  const share = (n) => (counts.total ? Math.min(100, (100 * n) / counts.total) : 0);
  bar.querySelector(".ok").style.width = `${share(counts.ok)}%`;
  bar.querySelector(".bad").style.width = `${share(counts.failed)}%`;
  if (bar.getAttribute("role")) bar.setAttribute("aria-valuenow", Math.floor(share(counts.ok)));
}
const newBar = (counts) => {
  const bar = html("div", { class: "bar", "aria-hidden": "true" }, [html("i", { class: "ok" }), html("i", { class: "bad" })]);
  fillBar(bar, counts);
  return bar;
};

// Rows of a table; `heads` are texts or nodes, a cell is a text, a node, or a number (set right).
function fillTable(table, heads, rows) {
  const cell = (value) => (typeof value === "number"
    ? html("td", { class: "n" }, Number.isInteger(value) ? whole(value) : brief(value))
    : html("td", {}, value === null || value === undefined ? "" : value));
  table.replaceChildren(
    html("thead", {}, html("tr", {}, heads.map((head) => html("th", { scope: "col" }, head)))),
    html("tbody", {}, rows.map((row) => html("tr", {}, row.map(cell)))));
}

function showList(campaigns, current, choose) {
  const list = byId("list"), focus = document.activeElement && document.activeElement.dataset.id;
  if (!campaigns.length) {
    list.replaceChildren(html("p", { class: "note" }, "none yet"));
    return;
  }
  list.replaceChildren(...campaigns.map((c) => {
    const pace = c.state === "running" && known(c.pace.trials)
      ? ` · ${brief(c.pace.trials)}/s · ${span(c.pace.eta)} left` : "";
    const button = html("button", { type: "button", "data-id": c.id, "aria-current": c.id === current }, [
      html("b", {}, c.id), newBar(c),
      html("span", { class: "state", "data-state": c.state }, c.state), " ",
      html("small", {}, `${whole(c.ok)} of ${whole(c.total)}` + pace + (c.failed ? ` · ${whole(c.failed)} failed` : "")),
    ]);
    button.addEventListener("click", () => choose(c.id));
    return button;
  }));
  if (focus) {
    const again = [...list.children].find((button) => button.dataset.id === focus);
    if (again) again.focus();
  }
}

function showTiles(overview) {
  const live = overview.live, pace = overview.pace;
  const whenRunning = (list) => (overview.state === "running" || overview.state === "stalled" ? list : []);
  const tiles = [
    ["State", html("span", { class: "state", "data-state": overview.state }, overview.state)],
    ["Trials", `${whole(overview.ok)} of ${whole(overview.total)}`],
    ...whenRunning([
      ["Trials a second", brief(pace.trials)],
      ["Images a second", brief(pace.images)],
      ["Time left", span(pace.eta)],
      ["Workers busy", live && known(live.workers) ? `${whole(live.busy)} of ${whole(live.workers)}` : "-"],
    ]),
    ["Failed", whole(overview.failed)],
    ["Last sign of life", known(overview.silent) ? `${span(overview.silent)} ago` : "-"],
  ];
  byId("tiles").replaceChildren(...tiles.map(([name, value]) =>
    html("div", {}, [html("dt", {}, name), html("dd", {}, value)])));
  fillBar(byId("bar"), overview);
}

function showSetups(setups) {
  fillTable(byId("setups"), ["Setup", "Progress", "Done", "Of", "Failed", "Not asked for"], setups.map((s) => [
    s.label, newBar(s), s.ok, s.total, s.failed, s.others || null]));
}

function showWorkers(workers, overview) {
  const live = overview.live;
  byId("workers-note").textContent = live
    ? `Driver: pid ${live.pid} on ${live.host}` + (known(live.queued)
      ? `; ${whole(live.queued)} trials queued, ${whole(live.in_flight)} in flight, ` +
        `${whole(live.retried)} retried, ${whole(live.restarts)} workers replaced` : "; starting")
    : "No driver is at work.";
  fillTable(byId("workers"), ["Host", "Device", "Trials", "Seconds a trial", "Last row"], workers.map((w) => [
    w.host, w.device, w.trials, w.seconds, `${span(w.ago)} ago`]));
}

function showFailures(details, show) {
  const { failures, warnings } = details;
  byId("failures-section").hidden = !failures.length && !warnings.length;
  byId("failures-note").textContent = warnings.join("\n");
  const table = byId("failures"), now = JSON.stringify(failures);
  if (table.dataset.shown === now) return;
  const focus = table.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  table.dataset.shown = now;
  fillTable(table, ["Trials", "Status", "Error", "Message", "First"], failures.map((f) => {
    const first = html("button", { type: "button", "data-id": f.trial_id }, "show");
    first.addEventListener("click", () => show(f.trial_id));
    return [f.trials, f.status, f.error_type, f.error, first];
  }));
  const again = focus && table.querySelector(`[data-id="${CSS.escape(focus)}"]`);
  if (again) again.focus();
}
