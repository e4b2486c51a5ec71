// Keys of a review: 1-4 choose, Enter sends; dead in fields.
const form = document.getElementById("review");
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=radio]), textarea, select")) return;
  const choice = form.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (choice) { choice.checked = true; choice.focus(); event.preventDefault(); }
  if (event.key === "Enter" && form.querySelector("[name=verdict]:checked") && !event.target.closest("button, a, summary")) { event.preventDefault(); form.requestSubmit(); }
});
