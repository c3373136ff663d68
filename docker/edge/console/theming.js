/** The theme: that of the system, or the one that the person chose (first_paint.js sets it before the first paint). */

const THEMES = ["system", "light", "dark"];

export function themeName() {
  return document.documentElement.dataset.theme ?? "system";
}

export function nextTheme() {
  const next = THEMES[(THEMES.indexOf(themeName()) + 1) % THEMES.length] ?? "system";
  if (next === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("zerocart-theme");
  } else {
    document.documentElement.dataset.theme = next;
    localStorage.setItem("zerocart-theme", next);
  }
}
