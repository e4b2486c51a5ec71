// Keys of a page: dead in fields, and single letters can be switched off (WCAG 2.1.4).
const FIELDS = "input:not([type=checkbox]):not([type=range]), select, textarea, [contenteditable]";
const STORED = "callcoach-letters";

export function bindKeys(keys, letters) {
  if (letters) {
    letters.checked = localStorage.getItem(STORED) !== "off";
    letters.addEventListener("change", () => localStorage.setItem(STORED, letters.checked ? "on" : "off"));
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(FIELDS)) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const pressable = event.target.closest("button, a, summary, input, [role=tab]");
    if (pressable && (name === " " || name === "Enter" || name.startsWith("Arrow"))) return;
    if (name.length === 1 && name !== " " && letters && !letters.checked) return;
    const act = keys[name];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
