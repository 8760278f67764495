// Theme, copying, and the first drawing.
(function () {
  const root = document.documentElement, button = byId("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => (button.textContent = dark() ? "Light" : "Dark");
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();

  const copy = byId("methods-copy");
  copy.addEventListener("click", () => {
    const range = document.createRange();
    range.selectNodeContents(byId("methods-text"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    copy.textContent = document.execCommand("copy") ? "Copied" : "Selected: copy it with your keys";
  });

  if (data.curves.length) Object.assign(state, {
    model: data.curves.reduce((least, c) => Math.min(least, c.model), Infinity),
    variant: data.curves[0].variant,
  });
  fillSelectors();
  settle("model");
  redraw();
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) redraw();
    width = innerWidth;
  });
})();
